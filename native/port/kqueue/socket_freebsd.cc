// What only FreeBSD offers, or offers under these names: accept4, SO_NOSIGPIPE, SO_REUSEPORT_LB, TCP_INFO.
#include <netinet/in.h>
// netinet/tcp.h relies on the types of the one above.
#include <netinet/tcp.h>

#include <cerrno>

#include "port/kqueue/bsd_sockets.h"
#include "port/posix/errno_status.h"

namespace iocp {

const int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
const bool kAbstractPaths = false;

int create_socket(int domain) noexcept {
  Descriptor fd(::socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return -1;
  // For sendfile(), which has no flag against SIGPIPE. A listener hands it on to what it accepts.
  const int on = 1;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on)) == 0) return fd.release();
  const int error = errno;
  fd.reset();
  errno = error;
  return -1;
}

int accept_socket(int listener, SocketAddress* peer) noexcept {
  for (;;) {
    peer->length = sizeof(peer->storage);
    const int fd = ::accept4(listener, peer->get(), &peer->length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 || (errno != EINTR && errno != ECONNABORTED)) return fd;
  }
}

Status apply_stream_options(int fd, const SocketOptions& options) noexcept {
  const Status status = apply_common_stream_options(fd, options, TCP_KEEPIDLE);
  if (status != Status::ok || options.user_timeout_ms == 0) return status;
  const Status limited = set_socket_option(fd, IPPROTO_TCP, TCP_MAXUNACKTIME, option_seconds(options.user_timeout_ms));
  // Unknown to older kernels; refused by Unix-domain sockets.
  return limited == Status::not_supported || limited == Status::invalid_argument ? Status::ok : limited;
}

Status enable_reuse_port(int fd) noexcept { return set_socket_option(fd, SOL_SOCKET, SO_REUSEPORT_LB, 1); }

TcpInfo read_tcp_info(int fd) noexcept {
  // An older kernel fills less of it; what it leaves out stays 0.
  tcp_info info = {};
  socklen_t length = sizeof(info);
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return {};
  TcpInfo result;
  result.rtt_us = info.tcpi_rtt;
  result.rtt_variance_us = info.tcpi_rttvar;
  result.retransmits_total = info.tcpi_snd_rexmitpack;
  if (info.tcpi_snd_mss != 0) result.congestion_window_segments = info.tcpi_snd_cwnd / info.tcpi_snd_mss;
  return result;
}

}  // namespace iocp
