// Thin, exception-free wrappers of the Winsock calls the port makes, in the engine's own types. Nothing here
// remembers anything, and nothing here is overlapped.
#pragma once

#include <string>
#include <utility>

#include "port/address.h"
#include "port/iocp/winsock.h"
#include "port/port.h"

namespace iocp {

// Closes itself unless released.
class SocketHandle {
 public:
  SocketHandle() = default;
  explicit SocketHandle(SOCKET handle) : handle_(handle) {}
  SocketHandle(SocketHandle&& other) noexcept : handle_(other.release()) {}
  SocketHandle& operator=(SocketHandle&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~SocketHandle() { reset(); }

  bool valid() const noexcept { return handle_ != INVALID_SOCKET; }
  SOCKET get() const noexcept { return handle_; }
  SOCKET release() noexcept { return std::exchange(handle_, INVALID_SOCKET); }
  void reset(SOCKET handle = INVALID_SOCKET) noexcept;

 private:
  SOCKET handle_ = INVALID_SOCKET;
};

struct SocketAddress {
  sockaddr_storage storage = {};
  int length = sizeof(sockaddr_storage);

  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

// not_supported for Family::local.
Status to_socket_address(const Address& address, SocketAddress* out) noexcept;
Address from_socket_address(const SocketAddress& address) noexcept;
Address local_address_of(SOCKET socket) noexcept;
Address peer_address_of(SOCKET socket) noexcept;

// What the last Winsock call of this thread failed with.
Status last_socket_error() noexcept;

// Overlapped, and not inherited by child processes.
Status create_socket(int family, SocketHandle* out) noexcept;
Status open_listener(const ListenOptions& options, SocketHandle* out) noexcept;
// Bound to `local`, or to any address when that is null: ConnectEx() insists on a bound socket.
Status open_unconnected(Family family, const SocketOptions& options, const Address* local, SocketHandle* out) noexcept;
// Also makes the plain calls non-blocking; overlapped ones do not care.
Status apply_stream_options(SOCKET socket, const SocketOptions& options) noexcept;
TcpInfo read_tcp_info(SOCKET socket) noexcept;
// The next closesocket() sends RST and drops what is unsent.
void make_close_reset(SOCKET socket) noexcept;
void close_socket_handle(SOCKET socket) noexcept;
// The socket the driver knows, beneath what firewalls and filters may have put around it.
HANDLE driver_socket_of(SOCKET socket) noexcept;
// Makes the port hear of the socket. Calls that succeed at once send no packet when that was asked for by a
// `skips_success` that is not null, and answered with true there.
Status associate(SOCKET socket, HANDLE port, bool* skips_success) noexcept;

}  // namespace iocp
