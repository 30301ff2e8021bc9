// What only Linux offers, or offers under these names: accept4, TCP_USER_TIMEOUT, TCP_INFO, a balancing
// SO_REUSEPORT, keep-alive in seconds.
#include <linux/tcp.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>

#include "port/posix/errno_status.h"
#include "port/posix/socket_posix.h"

namespace iocp {
namespace {

// The kernel's own bounds for the keep-alive options.
constexpr std::uint32_t kMostKeepAliveSeconds = 32'767;
constexpr std::uint32_t kMostKeepAliveProbes = 127;

int keep_alive_seconds(std::uint32_t milliseconds) {
  const std::uint32_t rounded_up = milliseconds / 1000 + (milliseconds % 1000 != 0 ? 1 : 0);
  return static_cast<int>(std::clamp<std::uint32_t>(rounded_up, 1, kMostKeepAliveSeconds));
}

Status apply_keep_alive(int fd, const KeepAlive& keep_alive) {
  const int probes = static_cast<int>(std::clamp<std::uint32_t>(keep_alive.count, 1, kMostKeepAliveProbes));
  Status status = set_socket_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  if (status == Status::ok) {
    status = set_socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, keep_alive_seconds(keep_alive.initial_delay_ms));
  }
  if (status == Status::ok) {
    status = set_socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, keep_alive_seconds(keep_alive.interval_ms));
  }
  if (status == Status::ok) status = set_socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
  return status;
}

// Errors of the connection that was waiting, not of the listener (accept(2), "Error handling").
bool concerns_only_the_connection(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:  // a firewall rule
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

}  // namespace

const int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
const bool kAbstractPaths = true;

int create_socket(int domain) noexcept { return ::socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

int accept_socket(int listener, SocketAddress* peer) noexcept {
  for (;;) {
    peer->length = sizeof(peer->storage);
    const int fd = ::accept4(listener, peer->get(), &peer->length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 || !concerns_only_the_connection(errno)) return fd;
  }
}

Status apply_stream_options(int fd, const SocketOptions& options) noexcept {
  // Asked with the value 0 too, although that is the default: an accepted socket inherits its listener's options,
  // and the answer tells a Unix-domain socket without another system call.
  Status status = set_socket_option(fd, IPPROTO_TCP, TCP_NODELAY, options.no_delay ? 1 : 0);
  if (status == Status::not_supported) return Status::ok;
  if (status == Status::ok && options.keep_alive.enabled) status = apply_keep_alive(fd, options.keep_alive);
  if (status == Status::ok && options.user_timeout_ms != 0) {
    const auto most = static_cast<std::uint32_t>(INT32_MAX);
    const int timeout_ms = static_cast<int>(std::min(options.user_timeout_ms, most));
    status = set_socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms);
  }
  return status;
}

Status enable_reuse_port(int fd) noexcept { return set_socket_option(fd, SOL_SOCKET, SO_REUSEPORT, 1); }

TcpInfo read_tcp_info(int fd) noexcept {
  // An older kernel fills less of it; what it leaves out stays 0.
  tcp_info info = {};
  socklen_t length = sizeof(info);
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return {};
  TcpInfo result;
  result.rtt_us = info.tcpi_rtt;
  result.rtt_variance_us = info.tcpi_rttvar;
  result.retransmits_total = info.tcpi_total_retrans;
  result.congestion_window_segments = info.tcpi_snd_cwnd;
  result.unacknowledged_segments = info.tcpi_unacked;
  result.delivery_rate_bytes_per_second = info.tcpi_delivery_rate;
  return result;
}

}  // namespace iocp
