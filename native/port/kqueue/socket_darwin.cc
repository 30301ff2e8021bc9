// What only macOS offers, or lacks: no accept4, SO_NOSIGPIPE in place of a flag, TCP_KEEPALIVE, TCP_CONNECTION_INFO.
#include <fcntl.h>
#include <netinet/in.h>
// netinet/tcp.h relies on the types of the one above.
#include <netinet/tcp.h>

#include <cerrno>

#include "port/kqueue/bsd_sockets.h"
#include "port/posix/errno_status.h"

namespace iocp {
namespace {

// Between its creation and here a descriptor can be inherited by a child that another thread starts: macOS has no call
// that does both at once.
bool prepare(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return false;
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return false;
  const int on = 1;
  return ::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on)) == 0;
}

// 0 when everything worked; else errno, and the descriptor is closed.
int prepare_or_close(int fd) {
  if (prepare(fd)) return 0;
  const int error = errno;
  close_descriptor(fd);
  return error;
}

}  // namespace

const int kSendFlags = MSG_DONTWAIT;
const bool kAbstractPaths = false;

int create_socket(int domain) noexcept {
  const int fd = ::socket(domain, SOCK_STREAM, 0);
  if (fd < 0) return -1;
  const int error = prepare_or_close(fd);
  if (error == 0) return fd;
  errno = error;
  return -1;
}

int accept_socket(int listener, SocketAddress* peer) noexcept {
  for (;;) {
    peer->length = sizeof(peer->storage);
    const int fd = ::accept(listener, peer->get(), &peer->length);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) return -1;
    const int error = prepare_or_close(fd);
    if (error == 0) return fd;
    // EINVAL is setsockopt()'s word for a connection that has gone.
    if (error == EINVAL) continue;
    errno = error;
    return -1;
  }
}

Status apply_stream_options(int fd, const SocketOptions& options) noexcept {
  const Status status = apply_common_stream_options(fd, options, TCP_KEEPALIVE);
  if (status != Status::ok || options.user_timeout_ms == 0) return status;
  const Status limited =
      set_socket_option(fd, IPPROTO_TCP, TCP_RXT_CONNDROPTIME, option_seconds(options.user_timeout_ms));
  // Refused by Unix-domain sockets, and by a connection that will soon say itself that it has gone.
  return limited == Status::not_supported || limited == Status::invalid_argument ? Status::ok : limited;
}

// SO_REUSEPORT lets several listeners in, but gives every connection to one of them.
Status enable_reuse_port(int) noexcept { return Status::not_supported; }

TcpInfo read_tcp_info(int fd) noexcept {
  tcp_connection_info info = {};
  socklen_t length = sizeof(info);
  if (::getsockopt(fd, IPPROTO_TCP, TCP_CONNECTION_INFO, &info, &length) != 0) return {};
  TcpInfo result;
  result.rtt_us = info.tcpi_srtt * 1000;
  result.rtt_variance_us = info.tcpi_rttvar * 1000;
  result.retransmits_total = static_cast<std::uint32_t>(info.tcpi_txretransmitpackets);
  if (info.tcpi_maxseg != 0) result.congestion_window_segments = info.tcpi_snd_cwnd / info.tcpi_maxseg;
  return result;
}

}  // namespace iocp
