// The yardstick: an echo server as a competent C++ programmer writes it for one thread. Level-triggered epoll,
// frames found in the input, all frames of a chunk answered with one write, reading stopped while the peer does
// not read. It prints its port on standard output and serves until it is killed.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace {

constexpr std::size_t kHeaderBytes = 4;
constexpr std::size_t kMaxFrame = std::size_t{1} << 20;
constexpr std::size_t kMaxQueued = std::size_t{1} << 20;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Peer {
  int descriptor = -1;
  std::uint32_t watched = EPOLLIN;
  std::vector<std::uint8_t> partial;  // the beginning of a frame whose end has not arrived
  std::vector<std::uint8_t> output;   // what the kernel has not taken yet
};

std::size_t frame_length(const std::uint8_t* header) {
  return static_cast<std::size_t>(header[0]) | static_cast<std::size_t>(header[1]) << 8 |
         static_cast<std::size_t>(header[2]) << 16 | static_cast<std::size_t>(header[3]) << 24;
}

// Bytes of whole frames at the front of `bytes`; false when a frame is longer than allowed.
bool whole_frames(const std::uint8_t* bytes, std::size_t count, std::size_t* whole) {
  *whole = 0;
  while (count - *whole >= kHeaderBytes) {
    const std::size_t length = frame_length(bytes + *whole);
    if (length > kMaxFrame) return false;
    if (count - *whole < kHeaderBytes + length) break;
    *whole += kHeaderBytes + length;
  }
  return true;
}

class Server {
 public:
  Server() : input_(64 * 1024) {
    poller_ = epoll_create1(EPOLL_CLOEXEC);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (poller_ < 0 || listener_ < 0) fail("socket");
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), bytes) != 0) fail("bind");
    if (listen(listener_, 4096) != 0) fail("listen");
    if (getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) fail("getsockname");
    watch(listener_, EPOLL_CTL_ADD, EPOLLIN, nullptr);
    std::printf("listening %u\n", static_cast<unsigned>(ntohs(address.sin_port)));
    std::fflush(stdout);
  }

  [[noreturn]] void serve() {
    std::array<epoll_event, 512> events;
    for (;;) {
      const int count = epoll_wait(poller_, events.data(), static_cast<int>(events.size()), -1);
      if (count < 0 && errno != EINTR) fail("epoll_wait");
      for (int i = 0; i < count; ++i) react(events[static_cast<std::size_t>(i)]);
    }
  }

 private:
  void react(const epoll_event& event) {
    if (event.data.ptr == nullptr) return accept_all();
    auto* peer = static_cast<Peer*>(event.data.ptr);
    bool alive = true;
    if ((event.events & EPOLLOUT) != 0) alive = flush(peer);
    if (alive && (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) alive = receive(peer);
    if (alive) return update_interest(peer);
    close(peer->descriptor);
    delete peer;
  }

  void accept_all() const {
    for (;;) {
      const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)) return;
      if (descriptor < 0) fail("accept4");
      const int on = 1;
      if (setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail("TCP_NODELAY");
      auto peer = std::make_unique<Peer>();
      peer->descriptor = descriptor;
      watch(descriptor, EPOLL_CTL_ADD, EPOLLIN, peer.release());
    }
  }

  bool receive(Peer* peer) {
    const ssize_t received = recv(peer->descriptor, input_.data(), input_.size(), 0);
    if (received < 0) return errno == EAGAIN || errno == EINTR;
    if (received == 0) return false;
    const std::uint8_t* bytes = input_.data();
    auto count = static_cast<std::size_t>(received);
    if (!peer->partial.empty()) {
      peer->partial.insert(peer->partial.end(), bytes, bytes + count);
      bytes = peer->partial.data();
      count = peer->partial.size();
    }
    std::size_t whole = 0;
    if (!whole_frames(bytes, count, &whole)) return false;
    if (!reply(peer, bytes, whole)) return false;
    if (bytes == peer->partial.data()) {
      peer->partial.erase(peer->partial.begin(), peer->partial.begin() + static_cast<std::ptrdiff_t>(whole));
    } else {
      peer->partial.assign(bytes + whole, bytes + count);
    }
    return true;
  }

  static bool reply(Peer* peer, const std::uint8_t* bytes, std::size_t count) {
    std::size_t done = 0;
    while (peer->output.empty() && done < count) {
      const ssize_t sent = send(peer->descriptor, bytes + done, count - done, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) break;
      if (sent < 0) return false;
      done += static_cast<std::size_t>(sent);
    }
    peer->output.insert(peer->output.end(), bytes + done, bytes + count);
    return true;
  }

  static bool flush(Peer* peer) {
    std::size_t done = 0;
    while (done < peer->output.size()) {
      const ssize_t sent = send(peer->descriptor, peer->output.data() + done, peer->output.size() - done, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) break;
      if (sent < 0) return false;
      done += static_cast<std::size_t>(sent);
    }
    peer->output.erase(peer->output.begin(), peer->output.begin() + static_cast<std::ptrdiff_t>(done));
    return true;
  }

  void update_interest(Peer* peer) const {
    const std::uint32_t in = peer->output.size() < kMaxQueued ? static_cast<std::uint32_t>(EPOLLIN) : 0U;
    const std::uint32_t out = peer->output.empty() ? 0U : static_cast<std::uint32_t>(EPOLLOUT);
    if ((in | out) == peer->watched) return;
    peer->watched = in | out;
    watch(peer->descriptor, EPOLL_CTL_MOD, peer->watched, peer);
  }

  void watch(int descriptor, int operation, std::uint32_t events, Peer* peer) const {
    epoll_event event = {};
    event.events = events;
    event.data.ptr = peer;
    if (epoll_ctl(poller_, operation, descriptor, &event) != 0) fail("epoll_ctl");
  }

  int poller_ = -1;
  int listener_ = -1;
  std::vector<std::uint8_t> input_;
};

}  // namespace

int main() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");
  Server().serve();
}
