// Thin, exception-free wrappers of the socket calls the readiness port makes, in the engine's own types.
// The first group is the same on every POSIX system (socket_posix.cc); the second differs from system to system,
// and each backend folder defines it in a file of its own. Nothing here remembers anything.
#pragma once

#include <sys/socket.h>

#include <string>

#include "port/address.h"
#include "port/port.h"
#include "port/posix/descriptor.h"

namespace iocp {

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(sockaddr_storage);

  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

// --- the same everywhere: socket_posix.cc ------------------------------------------------------------------------

// `path` is looked at for Family::local only.
Status to_socket_address(const Address& address, const std::string& path, SocketAddress* out) noexcept;
Address from_socket_address(const SocketAddress& address) noexcept;
Address local_address_of(int fd) noexcept;
Address peer_address_of(int fd) noexcept;

// A socket that listens; what a failed step had made is closed again.
Status open_listener(const ListenOptions& options, Descriptor* out) noexcept;
// A socket ready for connect(), bound to `local` unless that is null.
Status open_unconnected(Family family, const SocketOptions& options, const Address* local, Descriptor* out) noexcept;
// Removes the file of a Unix-domain listener; does nothing for other sockets.
void unlink_listener_path(int fd) noexcept;

Status set_socket_option(int fd, int level, int name, int value) noexcept;
// Takes the pending error away from the socket.
Status take_socket_error(int fd) noexcept;
// The next close() sends RST and drops what is unsent.
void make_close_reset(int fd) noexcept;
// A descriptor that is good for nothing but being given up when the process runs out of them.
int open_spare_descriptor() noexcept;

// --- chosen by file: one definition per backend folder -----------------------------------------------------------

// Both answer a descriptor that is non-blocking and close-on-exec, or -1 with errno. accept_socket() has already
// retried what was no fault of ours (the connection was gone before it could be accepted).
int create_socket(int domain) noexcept;
int accept_socket(int listener, SocketAddress* peer) noexcept;

// Does nothing for sockets that are not TCP.
Status apply_stream_options(int fd, const SocketOptions& options) noexcept;
Status enable_reuse_port(int fd) noexcept;
TcpInfo read_tcp_info(int fd) noexcept;

// Before the first send_file_range() on a socket: what the system should know to do it well. Cannot fail.
void prepare_for_files(int socket) noexcept;

// First thing on a thread that does nothing but send files: it is less urgent than whoever steps a port, or waits for
// one, and lets them have the processor at once. Cannot fail.
void prepare_thread_for_files() noexcept;

// A stretch of an open file.
struct FileRange {
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
};
// `head`, then the range, without copying the file. How much of both was sent, at least one byte; 0 = no head, and the
// file ends at or before the range; -1 with errno = nothing was sent. Never blocks for the socket, though perhaps for
// the disk, and never raises a signal.
ssize_t send_file_range(int socket, ConstBytes head, const FileRange& range) noexcept;

// For send() and sendmsg(): never raise SIGPIPE, never block.
extern const int kSendFlags;
// Whether a Unix-domain path may begin with NUL and then names no file.
extern const bool kAbstractPaths;

}  // namespace iocp
