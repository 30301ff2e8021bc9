// The peers of bench/files-beside.mjs: one connection that plays ping-pong, and many that take files and throw them
// away.
//   iocp_file_beside PORT TRANSFERS SECONDS
// Plays for SECONDS with nobody else there, then for as long beside the transfers, and leaves them alone for as long
// again. Prints a line after each: the median and the 99th percentile of the round trips in microseconds (0 when there
// were none) and the megabytes a second that came in.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

// Types of our own, which the server knows.
constexpr std::uint8_t kPing = 64;
constexpr std::uint8_t kGet = 65;
constexpr std::array<std::uint8_t, 5> kStart = {1, 0, 0, 0, 2};

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int connected(std::uint16_t port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) fail("socket");
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("connect");
  const int yes = 1;
  if (setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) fail("TCP_NODELAY");
  return descriptor;
}

void write_all(int descriptor, const std::uint8_t* bytes, std::size_t count) {
  if (send(descriptor, bytes, count, MSG_NOSIGNAL) != static_cast<ssize_t>(count)) fail("send");
}

void read_all(int descriptor, std::uint8_t* bytes, std::size_t count) {
  while (count > 0) {
    const ssize_t got = recv(descriptor, bytes, count, MSG_WAITALL);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail("recv");
    bytes += got;
    count -= static_cast<std::size_t>(got);
  }
}

double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

void rest(double seconds, std::uint64_t* received) {
  const std::uint64_t before = std::atomic_ref(*received).load();
  const auto begin = Clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  std::printf("0 0 %.1f\n", static_cast<double>(std::atomic_ref(*received).load() - before) / 1e6 / since(begin));
  std::fflush(stdout);
}

void play(int descriptor, double seconds, std::uint64_t* received) {
  std::array<std::uint8_t, 68> package = {64, 0, 0, 0, kPing};
  std::vector<double> trips;
  const std::uint64_t before = std::atomic_ref(*received).load();
  const auto begin = Clock::now();
  while (since(begin) < seconds) {
    const auto sent = Clock::now();
    write_all(descriptor, package.data(), package.size());
    read_all(descriptor, package.data(), package.size());
    trips.push_back(since(sent) * 1e6);
  }
  const double rate = static_cast<double>(std::atomic_ref(*received).load() - before) / 1e6 / since(begin);
  std::sort(trips.begin(), trips.end());
  const auto at = [&](double share) {
    return trips[static_cast<std::size_t>(share * static_cast<double>(trips.size()))];
  };
  std::printf("%.1f %.1f %.1f\n", at(0.5), at(0.99), rate);
  std::fflush(stdout);
}

// One connection that asks for files: an announcement, five bytes of ours, the file, and the next announcement.
struct Transfer {
  int descriptor = -1;
  std::array<std::uint8_t, 512> head = {};
  std::size_t head_filled = 0;
  std::uint64_t left = 0;  // of the file

  // False: what has come is no whole announcement yet.
  bool take_announcement() {
    if (head_filled < 4) return false;
    const std::size_t whole = 4 + (static_cast<std::size_t>(head[0]) | static_cast<std::size_t>(head[1]) << 8);
    if (head_filled < whole) return false;
    for (std::uint32_t i = 0; i < 4; ++i) left |= static_cast<std::uint64_t>(head[5 + i]) << (8 * i);
    head_filled = 0;
    write_all(descriptor, kStart.data(), kStart.size());
    return true;
  }
};

void drain(Transfer& transfer, std::vector<std::uint8_t>& buffer, std::uint64_t* received) {
  std::uint8_t* target = buffer.data();
  std::size_t most = std::min<std::uint64_t>(buffer.size(), transfer.left);
  if (transfer.left == 0) {
    // One byte behind an announcement would be the file's, and there is none before we have answered.
    target = transfer.head.data() + transfer.head_filled;
    most = transfer.head.size() - transfer.head_filled;
  }
  const ssize_t got = recv(transfer.descriptor, target, most, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) fail("recv");
  if (transfer.left > 0) {
    transfer.left -= static_cast<std::uint64_t>(got);
    std::atomic_ref(*received).fetch_add(static_cast<std::uint64_t>(got));
  } else {
    transfer.head_filled += static_cast<std::size_t>(got);
    transfer.take_announcement();
  }
}

void take_files(std::uint16_t port, std::size_t count, std::uint64_t* received, const std::atomic<bool>& over) {
  // These stand for a hundred other machines: what they do must not keep the server or the player from a processor.
  const sched_param none = {};
  if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) fail("sched_setscheduler");
  std::vector<Transfer> transfers(count);
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  if (poller < 0) fail("epoll_create1");
  for (std::size_t i = 0; i < count; ++i) {
    transfers[i].descriptor = connected(port);
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u64 = i;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, transfers[i].descriptor, &event) != 0) fail("epoll_ctl");
    const std::array<std::uint8_t, 5> get = {1, 0, 0, 0, kGet};
    write_all(transfers[i].descriptor, get.data(), get.size());
  }
  // No larger: not every kernel interrupts a call that copies.
  std::vector<std::uint8_t> buffer(std::size_t{1} << 16);
  std::array<epoll_event, 128> events;
  while (!over.load()) {
    const int ready = epoll_wait(poller, events.data(), static_cast<int>(events.size()), 100);
    if (ready < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < ready; ++i) drain(transfers[events[static_cast<std::size_t>(i)].data.u64], buffer, received);
  }
  close(poller);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::fputs("iocp_file_beside PORT TRANSFERS SECONDS\n", stderr);
    return 2;
  }
  const auto port = static_cast<std::uint16_t>(std::strtoul(arguments[1], nullptr, 10));
  const std::size_t transfers = std::strtoul(arguments[2], nullptr, 10);
  const double seconds = std::strtod(arguments[3], nullptr);
  std::uint64_t received = 0;
  std::atomic<bool> over{false};
  const int descriptor = connected(port);
  play(descriptor, seconds, &received);
  std::thread taker([&] { take_files(port, transfers, &received, over); });
  // Until the transfers are on their way.
  while (std::atomic_ref(received).load() < transfers << 20) std::this_thread::yield();
  play(descriptor, seconds, &received);
  rest(seconds, &received);
  over.store(true);
  taker.join();
  return close(descriptor) == 0 ? 0 : 1;
}
