// What the sockets of macOS and FreeBSD have in common, beyond POSIX.
#include "port/kqueue/bsd_sockets.h"

#include <netinet/in.h>
// netinet/tcp.h relies on the types of the one above.
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>

#include "port/posix/errno_status.h"

namespace iocp {
namespace {

// The kernels count in ticks of a millisecond, in 32 bits.
constexpr std::uint32_t kMostSeconds = 2'000'000;
constexpr std::uint32_t kMostKeepAliveProbes = 127;

bool is_local(int fd) {
  SocketAddress address;
  return ::getsockname(fd, address.get(), &address.length) == 0 && address.storage.ss_family == AF_UNIX;
}

Status apply_keep_alive(int fd, const KeepAlive& keep_alive, int idle_option) {
  const int probes = static_cast<int>(std::clamp<std::uint32_t>(keep_alive.count, 1, kMostKeepAliveProbes));
  Status status = set_socket_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  if (status == Status::ok) {
    status = set_socket_option(fd, IPPROTO_TCP, idle_option, option_seconds(keep_alive.initial_delay_ms));
  }
  if (status == Status::ok) {
    status = set_socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, option_seconds(keep_alive.interval_ms));
  }
  if (status == Status::ok) status = set_socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
  return status;
}

}  // namespace

int option_seconds(std::uint32_t milliseconds) noexcept {
  const std::uint32_t rounded_up = milliseconds / 1000 + (milliseconds % 1000 != 0 ? 1 : 0);
  return static_cast<int>(std::clamp<std::uint32_t>(rounded_up, 1, kMostSeconds));
}

Status apply_common_stream_options(int fd, const SocketOptions& options, int idle_option) noexcept {
  // Asked with the value 0 too: an accepted socket inherits its listener's options.
  Status status = set_socket_option(fd, IPPROTO_TCP, TCP_NODELAY, options.no_delay ? 1 : 0);
  if (status != Status::ok && is_local(fd)) return Status::ok;
  if (status == Status::ok && options.keep_alive.enabled)
    status = apply_keep_alive(fd, options.keep_alive, idle_option);
  // setsockopt() refuses with EINVAL when the connection has gone; the values above are all in range.
  return status == Status::invalid_argument ? Status::connection_aborted : status;
}

ssize_t sent_or_error(std::uint64_t sent) noexcept {
  if (sent > 0) return static_cast<ssize_t>(sent);
  // A connection that has gone is no connection to sendfile(); a write would say EPIPE.
  if (errno == ENOTCONN) errno = EPIPE;
  // It cannot send from this file system; Linux says so with EINVAL.
  if (errno == ENOTSUP || errno == EOPNOTSUPP) errno = EINVAL;
  return -1;
}

ssize_t send_head(int socket, ConstBytes head) noexcept {
  ssize_t sent = 0;
  do {
    sent = ::send(socket, head.data(), head.size(), kSendFlags);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

// Nothing is known that would help these systems.
void prepare_for_files(int) noexcept {}

// A priority belongs to a process here, and what macOS has for threads would slow the disk down as well.
void prepare_thread_for_files() noexcept {}

}  // namespace iocp
