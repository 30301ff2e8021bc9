// Sending a file on Linux: sendfile(), the head before it held back with MSG_MORE so that both share their segments,
// and a short queue in front of a reader on the same machine.
#include <pthread.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "port/check.h"
#include "port/posix/socket_posix.h"

namespace iocp {
namespace {

// Linux doubles it for its own bookkeeping.
constexpr int kLocalQueueBytes = 256 * 1024;

constexpr int kFilesNice = 10;

bool within_one_machine(int socket) {
  Address local = local_address_of(socket);
  const Address peer = peer_address_of(socket);
  local.port = peer.port;
  return peer == local && (peer.family == Family::ipv4 || peer.family == Family::ipv6);
}

// sendfile() has no flag against SIGPIPE, and the thread may be a host's whose mask is not ours to keep. The signal
// goes to the thread that wrote, so it can be held back, taken, and forgotten here.
class WithoutBrokenPipeSignal {
 public:
  WithoutBrokenPipeSignal() noexcept {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    IOCP_CHECK(pthread_sigmask(SIG_BLOCK, &pipe_, &before_) == 0);
  }
  ~WithoutBrokenPipeSignal() { IOCP_CHECK(pthread_sigmask(SIG_SETMASK, &before_, nullptr) == 0); }
  WithoutBrokenPipeSignal(const WithoutBrokenPipeSignal&) = delete;
  WithoutBrokenPipeSignal& operator=(const WithoutBrokenPipeSignal&) = delete;

  // After EPIPE: takes the signal that came with it, unless the host had held such signals back itself.
  void take() noexcept {
    if (sigismember(&before_, SIGPIPE) == 1) return;
    const timespec at_once = {};
    while (sigtimedwait(&pipe_, nullptr, &at_once) < 0 && errno == EINTR) continue;
  }

 private:
  sigset_t pipe_;
  sigset_t before_;
};

ssize_t send_range(int socket, const FileRange& range) {
  WithoutBrokenPipeSignal quiet;
  auto offset = static_cast<off_t>(range.offset);
  ssize_t sent = 0;
  do {
    sent = ::sendfile(socket, range.fd, &offset, range.length);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno == EPIPE) {
    quiet.take();
    errno = EPIPE;
  }
  return sent;
}

}  // namespace

// A peer on this machine needs no queue for bytes that are under way. Left to itself the kernel's grows to some
// megabytes, and then the reader needs two to three times the processor time per byte: docs/performance.md has the
// figures. Towards any other peer the queue is the system's to size: it must hold what the network has not
// acknowledged.
void prepare_for_files(int socket) noexcept {
  if (!within_one_machine(socket)) return;
  // Refused, it is as it was: slower, not wrong.
  static_cast<void>(set_socket_option(socket, SOL_SOCKET, SO_SNDBUF, kLocalQueueBytes));
}

// A thread has a priority of its own here. Refused, it is as urgent as the others.
void prepare_thread_for_files() noexcept { static_cast<void>(setpriority(PRIO_PROCESS, 0, kFilesNice)); }

ssize_t send_file_range(int socket, ConstBytes head, const FileRange& range) noexcept {
  if (head.empty()) return send_range(socket, range);
  const int more = range.length != 0 ? MSG_MORE : 0;
  ssize_t sent = 0;
  do {
    sent = ::send(socket, head.data(), head.size(), kSendFlags | more);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 || static_cast<std::size_t>(sent) < head.size() || range.length == 0) return sent;
  // Whatever stands in the way of the file now will do so again, and is told then.
  const ssize_t of_file = send_range(socket, range);
  return of_file > 0 ? sent + of_file : sent;
}

}  // namespace iocp
