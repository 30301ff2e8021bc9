// The Winsock calls behind the port.
#include "port/iocp/socket_windows.h"

// Needs the types above.
#include <mstcpip.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "port/check.h"
#include "port/iocp/windows_status.h"

namespace iocp {
namespace {

Status set_option(SOCKET socket, int level, int name, int value) {
  const int result = setsockopt(socket, level, name, reinterpret_cast<const char*>(&value), sizeof(value));
  return result == 0 ? Status::ok : last_socket_error();
}

int family_of(Family family) {
  switch (family) {
    case Family::ipv4:
      return AF_INET;
    case Family::ipv6:
      return AF_INET6;
    case Family::local:
    case Family::none:
      return AF_UNSPEC;
  }
  IOCP_UNREACHABLE("a Family outside the enumeration");
}

Status usable(Family family) {
  if (family == Family::none) return Status::invalid_argument;
  // AF_UNIX exists since Windows 10 1803, but neither AcceptEx() nor ConnectEx() takes it.
  return family == Family::local ? Status::not_supported : Status::ok;
}

template <typename T>
void store(const T& value, SocketAddress* out) {
  std::memcpy(&out->storage, &value, sizeof(value));
  out->length = sizeof(value);
}

Status prepare_listener(SOCKET socket, const ListenOptions& options) {
  // Without it any program may bind the same address again and take the connections. It is Windows' SO_REUSEADDR
  // that allows that; a restart needs neither here.
  const Status status = set_option(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1);
  if (status != Status::ok || options.address.family != Family::ipv6) return status;
  return set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only ? 1 : 0);
}

// A plain number is cut to 200 by Windows, and what comes on top is refused at once. Negated (SOMAXCONN_HINT) it may be
// anything from 200 up.
int backlog_of(std::uint32_t asked) {
  constexpr std::uint32_t kMostPlain = 200;
  constexpr std::uint32_t kMostHinted = 65'535;
  if (asked <= kMostPlain) return static_cast<int>(asked);
  return -static_cast<int>(std::min(asked, kMostHinted));
}

Status apply_keep_alive(SOCKET socket, const KeepAlive& keep_alive) {
  tcp_keepalive values = {};
  values.onoff = 1;
  values.keepalivetime = std::max<std::uint32_t>(keep_alive.initial_delay_ms, 1);
  values.keepaliveinterval = std::max<std::uint32_t>(keep_alive.interval_ms, 1);
  DWORD bytes = 0;
  const int result =
      WSAIoctl(socket, SIO_KEEPALIVE_VALS, &values, sizeof(values), nullptr, 0, &bytes, nullptr, nullptr);
  if (result != 0) return last_socket_error();
#if defined(TCP_KEEPCNT)
  // Since Windows 10 1703; before, it is always ten.
  const int count = static_cast<int>(std::clamp<std::uint32_t>(keep_alive.count, 1, 255));
  const Status counted = set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, count);
  if (counted != Status::ok && counted != Status::not_supported) return counted;
#endif
  return Status::ok;
}

}  // namespace

void SocketHandle::reset(SOCKET handle) noexcept {
  if (valid()) close_socket_handle(handle_);
  handle_ = handle;
}

Status last_socket_error() noexcept { return status_from_windows(static_cast<unsigned long>(WSAGetLastError())); }

// --- addresses -----------------------------------------------------------------------------------------------------

Status to_socket_address(const Address& address, SocketAddress* out) noexcept {
  const Status status = usable(address.family);
  if (status != Status::ok) return status;
  if (address.family == Family::ipv4) {
    sockaddr_in ipv4 = {};
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(address.port);
    std::memcpy(&ipv4.sin_addr, address.ip.data(), sizeof(ipv4.sin_addr));
    store(ipv4, out);
  } else {
    sockaddr_in6 ipv6 = {};
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(address.port);
    ipv6.sin6_scope_id = address.scope_id;
    std::memcpy(&ipv6.sin6_addr, address.ip.data(), sizeof(ipv6.sin6_addr));
    store(ipv6, out);
  }
  return Status::ok;
}

Address from_socket_address(const SocketAddress& address) noexcept {
  Address result;
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, &address.storage, sizeof(ipv4));
    result.family = Family::ipv4;
    result.port = ntohs(ipv4.sin_port);
    std::memcpy(result.ip.data(), &ipv4.sin_addr, sizeof(ipv4.sin_addr));
  } else if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 ipv6;
    std::memcpy(&ipv6, &address.storage, sizeof(ipv6));
    result.family = Family::ipv6;
    result.port = ntohs(ipv6.sin6_port);
    result.scope_id = ipv6.sin6_scope_id;
    std::memcpy(result.ip.data(), &ipv6.sin6_addr, sizeof(ipv6.sin6_addr));
  }
  return result;
}

Address local_address_of(SOCKET socket) noexcept {
  SocketAddress address;
  if (getsockname(socket, address.get(), &address.length) != 0) return {};
  return from_socket_address(address);
}

Address peer_address_of(SOCKET socket) noexcept {
  SocketAddress address;
  // WSAENOTCONN once the peer is gone: the address is then no longer known.
  if (getpeername(socket, address.get(), &address.length) != 0) return {};
  return from_socket_address(address);
}

// --- making sockets ------------------------------------------------------------------------------------------------

Status create_socket(int family, SocketHandle* out) noexcept {
  constexpr DWORD kFlags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
  SocketHandle socket(WSASocketW(family, SOCK_STREAM, IPPROTO_TCP, nullptr, 0, kFlags));
  if (!socket.valid()) return last_socket_error();
  *out = std::move(socket);
  return Status::ok;
}

Status open_listener(const ListenOptions& options, SocketHandle* out) noexcept {
  // Windows has no SO_REUSEPORT that balances; its SO_REUSEADDR would only steal.
  if (options.reuse_port) return Status::not_supported;
  SocketAddress address;
  Status status = to_socket_address(options.address, &address);
  if (status != Status::ok) return status;
  SocketHandle socket;
  status = create_socket(family_of(options.address.family), &socket);
  if (status == Status::ok) status = prepare_listener(socket.get(), options);
  if (status != Status::ok) return status;
  if (bind(socket.get(), address.get(), address.length) != 0) {
    const Status refused = last_socket_error();
    // What an address held with SO_EXCLUSIVEADDRUSE answers to anybody else.
    return refused == Status::access_denied ? Status::address_in_use : refused;
  }
  if (listen(socket.get(), backlog_of(options.backlog)) != 0) return last_socket_error();
  *out = std::move(socket);
  return Status::ok;
}

Status open_unconnected(Family family, const SocketOptions& options, const Address* local, SocketHandle* out) noexcept {
  Address any;
  any.family = family;
  SocketAddress address;
  Status status = usable(family);
  if (status == Status::ok) status = to_socket_address(local == nullptr ? any : *local, &address);
  if (status != Status::ok) return status;
  SocketHandle socket;
  status = create_socket(family_of(family), &socket);
  if (status == Status::ok) status = apply_stream_options(socket.get(), options);
  if (status != Status::ok) return status;
  if (bind(socket.get(), address.get(), address.length) != 0) return last_socket_error();
  *out = std::move(socket);
  return Status::ok;
}

Status apply_stream_options(SOCKET socket, const SocketOptions& options) noexcept {
  u_long non_blocking = 1;
  if (ioctlsocket(socket, static_cast<long>(FIONBIO), &non_blocking) != 0) return last_socket_error();
  Status status = set_option(socket, IPPROTO_TCP, TCP_NODELAY, options.no_delay ? 1 : 0);
  if (status == Status::ok && options.keep_alive.enabled) status = apply_keep_alive(socket, options.keep_alive);
#if defined(TCP_MAXRT)
  if (status == Status::ok && options.user_timeout_ms != 0) {
    // In seconds; a system without it keeps its own.
    const int seconds = static_cast<int>(std::min<std::uint32_t>(options.user_timeout_ms / 1000 + 1, INT_MAX));
    status = set_option(socket, IPPROTO_TCP, TCP_MAXRT, seconds);
    if (status == Status::not_supported) status = Status::ok;
  }
#endif
  return status;
}

Status associate(SOCKET socket, HANDLE port, bool* skips_success) noexcept {
  HANDLE const handle = reinterpret_cast<HANDLE>(socket);
  if (CreateIoCompletionPort(handle, port, 0, 0) == nullptr) return status_from_windows(GetLastError());
  if (skips_success == nullptr) return Status::ok;
  // Skipping is only safe where the socket is the system's own: a layered provider completes on its own terms.
  WSAPROTOCOL_INFOW provider = {};
  int length = sizeof(provider);
  const bool own =
      getsockopt(socket, SOL_SOCKET, SO_PROTOCOL_INFOW, reinterpret_cast<char*>(&provider), &length) == 0 &&
      (provider.dwServiceFlags1 & XP1_IFS_HANDLES) != 0;
  *skips_success = own && SetFileCompletionNotificationModes(
                              handle, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE) != 0;
  return Status::ok;
}

HANDLE driver_socket_of(SOCKET socket) noexcept {
  SOCKET base = socket;
  DWORD bytes = 0;
  const int result = WSAIoctl(socket, SIO_BASE_HANDLE, nullptr, 0, &base, sizeof(base), &bytes, nullptr, nullptr);
  return reinterpret_cast<HANDLE>(result == 0 ? base : socket);
}

// --- figures and endings -------------------------------------------------------------------------------------------

TcpInfo read_tcp_info(SOCKET socket) noexcept {
  // Since Windows 10 1703. Delivery rate and variance it does not tell.
  DWORD version = 0;
  DWORD bytes = 0;
  TCP_INFO_v0 info = {};
  if (WSAIoctl(socket, SIO_TCP_INFO, &version, sizeof(version), &info, sizeof(info), &bytes, nullptr, nullptr) != 0) {
    return {};
  }
  TcpInfo result;
  result.rtt_us = info.RttUs;
  result.retransmits_total = info.FastRetrans + info.TimeoutEpisodes;
  if (info.Mss != 0) {
    result.congestion_window_segments = info.Cwnd / info.Mss;
    result.unacknowledged_segments = (info.BytesInFlight + info.Mss - 1) / info.Mss;
  }
  return result;
}

void make_close_reset(SOCKET socket) noexcept {
  const linger now = {1, 0};
  // WSAENOTCONN, WSAEINVAL or a reset when the connection is gone: then there is nothing left to reset.
  const int result = setsockopt(socket, SOL_SOCKET, SO_LINGER, reinterpret_cast<const char*>(&now), sizeof(now));
  IOCP_CHECK(result == 0 || WSAGetLastError() != WSAENOTSOCK);
}

void close_socket_handle(SOCKET socket) noexcept {
  // WSAENOTSOCK would be a fault of ours; anything else concerns the connection, which is over.
  if (closesocket(socket) != 0) IOCP_CHECK(WSAGetLastError() != WSAENOTSOCK);
}

}  // namespace iocp
