// Level-triggered epoll on one thread; a socket is watched for writing only while the kernel takes no more.
#include "connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <limits>
#include <utility>

namespace loadgen {

namespace {

// Below the default range of ephemeral ports (32768 … 60999), which each source address has for itself.
constexpr std::size_t kConnectionsPerSourceAddress = 25'000;
constexpr std::size_t kInputBytes = std::size_t{256} * 1024;

template <typename Value>
void set_option(int descriptor, int level, int name, const Value& value, const char* what) {
  if (setsockopt(descriptor, level, name, &value, sizeof value) != 0) fail(what, errno);
}

}  // namespace

std::int64_t now_ns() {
  using std::chrono::steady_clock;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

Connections::Connections(const Options& options, Listener listener)
    : options_(options),
      listener_(std::move(listener)),
      most_per_send_(options.mode == Mode::split ? 1 : std::numeric_limits<std::size_t>::max()),
      sockets_(options.connections),
      input_(kInputBytes) {
  poller_ = epoll_create1(EPOLL_CLOEXEC);
  if (poller_ < 0) fail("epoll_create1", errno);
}

Connections::~Connections() {
  for (const Socket& socket : sockets_) {
    if (socket.descriptor >= 0) close(socket.descriptor);
  }
  close(poller_);
}

void Connections::start(std::size_t index) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) fail("socket", errno);
  sockets_[index].descriptor = descriptor;
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
  if (sockets_.size() > kConnectionsPerSourceAddress) bind_source(descriptor, index);

  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(options_.port);
  if (inet_pton(AF_INET, options_.host.c_str(), &to.sin_addr) != 1) fail("--host must be an IPv4 address");
  const int result = connect(descriptor, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  if (result != 0 && errno != EINPROGRESS) fail("connect", errno);
  watch(index, EPOLL_CTL_ADD, EPOLLOUT);
}

// One loopback address has ports for some 28,000 connections to one server; the next ones leave from 127.0.0.2 …
void Connections::bind_source(int descriptor, std::size_t index) {
  set_option(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, "IP_BIND_ADDRESS_NO_PORT");
  sockaddr_in from = {};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + static_cast<std::uint32_t>(index / kConnectionsPerSourceAddress));
  if (bind(descriptor, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) fail("bind", errno);
}

void Connections::finish_connect(std::size_t index) {
  int error = 0;
  socklen_t bytes = sizeof error;
  if (getsockopt(sockets_[index].descriptor, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) fail("SO_ERROR", errno);
  if (error != 0) fail("connect", error);
  sockets_[index].connected = true;
  watch(index, EPOLL_CTL_MOD, EPOLLIN);
  listener_.connected(index);
}

void Connections::watch(std::size_t index, int operation, std::uint32_t events) const {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = index;
  if (epoll_ctl(poller_, operation, sockets_[index].descriptor, &event) != 0) fail("epoll_ctl", errno);
}

void Connections::append(std::size_t index, std::span<const std::uint8_t> bytes) {
  auto& output = sockets_[index].output;
  output.insert(output.end(), bytes.begin(), bytes.end());
}

void Connections::flush(std::size_t index) {
  Socket& socket = sockets_[index];
  while (socket.output_begin < socket.output.size()) {
    const std::size_t left = socket.output.size() - socket.output_begin;
    const ssize_t sent = send(socket.descriptor, socket.output.data() + socket.output_begin,
                              std::min(left, most_per_send_), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) fail("send", errno);
    socket.output_begin += static_cast<std::size_t>(sent);
  }
  const bool blocked = socket.output_begin < socket.output.size();
  if (!blocked) {
    socket.output.clear();
    socket.output_begin = 0;
  } else if (socket.output_begin > socket.output.size() / 2) {
    socket.output.erase(socket.output.begin(),
                        socket.output.begin() + static_cast<std::ptrdiff_t>(socket.output_begin));
    socket.output_begin = 0;
  }
  if (blocked == socket.wants_write) return;
  socket.wants_write = blocked;
  watch(index, EPOLL_CTL_MOD, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void Connections::reset(std::size_t index) {
  Socket& socket = sockets_[index];
  const linger now = {.l_onoff = 1, .l_linger = 0};
  set_option(socket.descriptor, SOL_SOCKET, SO_LINGER, now, "SO_LINGER");
  close(socket.descriptor);
  socket = Socket{};
}

void Connections::receive(std::size_t index) {
  const ssize_t received = recv(sockets_[index].descriptor, input_.data(), input_.size(), 0);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (received < 0) fail("recv", errno);
  if (received == 0) fail("the server closed a connection");
  listener_.received(index, std::span(input_).first(static_cast<std::size_t>(received)));
}

void Connections::step(int timeout_ms) {
  std::array<epoll_event, 512> events;
  const int count = epoll_wait(poller_, events.data(), static_cast<int>(events.size()), timeout_ms);
  if (count < 0 && errno != EINTR) fail("epoll_wait", errno);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const auto index = static_cast<std::size_t>(event.data.u64);
    if (!sockets_[index].connected) {
      finish_connect(index);
      continue;
    }
    if ((event.events & EPOLLOUT) != 0) flush(index);
    if ((event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) receive(index);
  }
}

}  // namespace loadgen
