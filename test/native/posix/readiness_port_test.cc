// What only a readiness backend promises, and only a POSIX system can show: what happens when descriptors run out,
// a host's event loop that polls the port, and what survives a fork.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <string_view>

#include "conformance/scratch.h"
#include "conformance/world.h"

namespace conformance {
namespace {

bool polls_readable(int descriptor) {
  pollfd waiting = {descriptor, POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

// Leaves the process without a single free descriptor until it goes out of scope. The limit is lowered first, so
// that few descriptors are enough.
class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit low = before_;
    low.rlim_cur = 64;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    for (;;) {
      const int taken = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
      if (taken < 0) break;
      taken_.push_back(taken);
    }
    CHECK_EQ(errno, EMFILE);
  }
  ~NoDescriptorsLeft() {
    for (const int each : taken_) CHECK_EQ(::close(each), 0);
    CHECK_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0);
  }
  NoDescriptorsLeft(const NoDescriptorsLeft&) = delete;
  NoDescriptorsLeft& operator=(const NoDescriptorsLeft&) = delete;

 private:
  rlimit before_ = {};
  std::vector<int> taken_;
};

}  // namespace

TEST("without descriptors every waiting peer is turned away by name, and accepting goes on afterwards") {
  constexpr std::size_t kPeers = 3;
  World world;
  const Listener listener = world.listen();
  Socket* clients[kPeers] = {};
  std::uint16_t ports[kPeers] = {};
  for (std::size_t i = 0; i < kPeers; ++i) {
    clients[i] = world.open_stream();
    Operation& connecting = world.operation();
    world.connect(connecting, clients[i], listener.address);
    REQUIRE(world.result(connecting).status == Status::ok);
    ports[i] = world.port.local_address(clients[i]).port;
  }
  {
    const NoDescriptorsLeft nothing_left;
    for (const std::uint16_t port : ports) {
      AcceptOperation& accepting = world.accept_operation();
      world.accept(accepting, listener.socket);
      CHECK_EQ(world.result(accepting).status, Status::too_many_open_files);
      CHECK(accepting.accepted == RawSocket::none);
      CHECK_EQ(accepting.peer.port, port);
    }
    // Nobody waits any more: the next accept waits as well, and nothing spins.
    AcceptOperation& waiting = world.accept_operation();
    world.accept(waiting, listener.socket);
    const std::uint64_t waits = world.port.counters().waits;
    CHECK_EQ(world.step(50), 0U);
    CHECK(world.port.counters().waits - waits <= 2);
    CHECK(!world.finished(waiting));
    world.port.cancel(&waiting, listener.socket);
    CHECK_EQ(world.result(waiting).status, Status::cancelled);
  }
  for (Socket* each : clients) {
    Operation& hanging_up = world.operation();
    world.hang_up(hanging_up, each);
    CHECK_EQ(world.result(hanging_up).status, Status::connection_reset);
  }
  CHECK(world.connected_pair(listener).server != nullptr);
}

TEST("without descriptors listening and connecting fail with too_many_open_files, and so does opening a port") {
  World world;
  const NoDescriptorsLeft nothing_left;
  iocp::ListenOptions options;
  options.address = loopback();
  Socket* socket = nullptr;
  Address bound;
  CHECK_EQ(world.port.listen(options, &socket, &bound), Status::too_many_open_files);
  CHECK_EQ(world.port.open_stream(Family::ipv4, {}, nullptr, &socket), Status::too_many_open_files);
  Port another;
  CHECK_EQ(another.open(), Status::too_many_open_files);
}

TEST("without descriptors a long transmit says out_of_memory, sends nothing, and may be tried again") {
  constexpr std::uint32_t kLength = 256 * 1024;
  Scratch scratch;
  scratch.write_sparse("large.bin", kLength, pattern(10));
  iocp::File file;
  REQUIRE(iocp::File::open_for_reading(scratch.path("large.bin"), &file) == Status::ok);
  World world;
  const Pair pair = world.connected_pair();
  TransmitOperation& sending = world.transmit_operation();
  {
    const NoDescriptorsLeft nothing_left;
    world.transmit(sending, pair.client, file, 0, kLength);
    CHECK_EQ(world.result(sending).status, Status::out_of_memory);
  }
  world.settle();
  CHECK_EQ(world.port.counters().transmit_bytes, 0U);
  world.transmit(sending, pair.client, file, 0, kLength);
  static_cast<void>(world.receive(pair.server, kLength));
  CHECK_EQ(world.result(sending).bytes, kLength);
}

TEST("whoever steps the port hears of a long transmit when it ends, or every tenth of a second") {
  constexpr std::uint32_t kTotal = 16 * 1024 * 1024;
  Scratch scratch;
  scratch.write_sparse("large.bin", kTotal, pattern(10));
  iocp::File file;
  REQUIRE(iocp::File::open_for_reading(scratch.path("large.bin"), &file) == Status::ok);
  World world;
  World other;  // the reader steps a port of its own
  const Listener listener = other.listen();
  AcceptOperation& accepting = other.accept_operation();
  other.accept(accepting, listener.socket);
  Socket* const sender = world.open_stream();
  Operation& connecting = world.operation();
  world.connect(connecting, sender, listener.address);
  REQUIRE(world.result(connecting).status == Status::ok);
  REQUIRE(other.result(accepting).status == Status::ok);
  Socket* const reader = other.attach(accepting);
  world.settle();

  Bytes target(64 * 1024);
  TransmitOperation& sending = world.transmit_operation();
  std::uint32_t sent = 0;
  while (sent < kTotal) {
    const auto begin = std::chrono::steady_clock::now();
    world.transmit(sending, sender, file, sent, kTotal - sent);
    while (!world.finished(sending)) {
      std::uint32_t bytes = 0;
      const Status read = other.port.read_now(reader, target, &bytes);
      if (read == Status::would_block) other.step(1);
      // Whatever there is to be heard is the end.
      if (polls_readable(world.port.host_descriptor())) CHECK_EQ(world.step(1'000), 1U);
    }
    sent += world.result(sending).bytes;
    const auto took = std::chrono::steady_clock::now() - begin;
    CHECK(sent == kTotal || took >= std::chrono::milliseconds(100));
  }
}

TEST("the host descriptor polls readable for posts and for I/O, and falls silent once they are fetched") {
  World world;
  const int descriptor = world.port.host_descriptor();
  REQUIRE(descriptor >= 0);
  CHECK(!polls_readable(descriptor));
  Operation& message = world.operation();
  world.post(message);
  CHECK(polls_readable(descriptor));
  CHECK_EQ(world.result(message).status, Status::ok);
  world.settle();
  CHECK(!polls_readable(descriptor));

  const Pair pair = world.connected_pair();
  world.settle();
  CHECK(!polls_readable(descriptor));
  Operation& readable = world.operation();
  world.zero_byte_read(readable, pair.server);
  world.send_all(pair.client, text("x"));
  CHECK(polls_readable(descriptor));
  CHECK_EQ(world.result(readable).status, Status::ok);
  world.settle();
  CHECK(!polls_readable(descriptor));
}

TEST("a ping-pong of small packages costs three system calls a round and side") {
  constexpr std::uint64_t kRounds = 100;
  const Bytes ping(64, 7);
  World world;
  const Pair pair = world.connected_pair();
  world.settle();
  Bytes target(4096);
  Operation& readable = world.operation();
  Operation& writing = world.operation();
  const iocp::PortCounters before = world.port.counters();
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    for (const bool back : {false, true}) {
      Socket* const from = back ? pair.server : pair.client;
      Socket* const to = back ? pair.client : pair.server;
      world.zero_byte_read(readable, to);
      world.write(writing, from, ping);
      REQUIRE(world.result(writing).bytes == 64);
      REQUIRE(world.result(readable).status == Status::ok);
      std::uint32_t bytes = 0;
      REQUIRE(world.port.read_now(to, target, &bytes) == Status::ok);
      REQUIRE(bytes == 64);
    }
  }
  const iocp::PortCounters after = world.port.counters();
  CHECK_EQ(after.waits - before.waits, 2 * kRounds);
  CHECK_EQ(after.reads - before.reads, 2 * kRounds);
  CHECK_EQ(after.writes - before.writes, 2 * kRounds);
  CHECK_EQ(after.empty_reads, before.empty_reads);
  CHECK_EQ(after.blocked_writes, before.blocked_writes);
}

TEST("a socket that was closed while a forked child still held it raises no event for its ghost") {
  int gate[2] = {-1, -1};
  REQUIRE(::pipe(gate) == 0);
  World world;
  const Pair pair = world.connected_pair();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // Holds a copy of every descriptor until the parent lets go of the gate.
    char byte = 0;
    static_cast<void>(::close(gate[1]));
    const ssize_t end = ::read(gate[0], &byte, 1);
    ::_exit(end == 0 ? 0 : 1);
  }
  REQUIRE(::close(gate[0]) == 0);
  world.close(pair.server);
  world.send_all(pair.client, text("to nobody"));
  CHECK_EQ(world.step(20), 0U);
  REQUIRE(::close(gate[1]) == 0);
  int state = 0;
  REQUIRE(::waitpid(child, &state, 0) == child);
  CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
}

TEST("writing to a peer that is gone raises no signal") {
  // The default action of SIGPIPE would end this process.
  REQUIRE(std::signal(SIGPIPE, SIG_DFL) != SIG_ERR);
  const Bytes bytes(1000, 1);
  World world;
  const Pair pair = world.connected_pair();
  world.close(pair.server, CloseMode::reset);
  world.settle();
  Operation& writing = world.operation();
  world.write(writing, pair.client, bytes);
  CHECK_EQ(world.result(writing).status, Status::connection_reset);
  world.write(writing, pair.client, bytes);
  CHECK_EQ(world.result(writing).status, Status::connection_reset);
}

TEST("no descriptor of a port is inherited by a program it starts") {
  constexpr int kLooked = 64;
  bool ours[kLooked] = {};
  for (int fd = 0; fd < kLooked; ++fd) ours[fd] = ::fcntl(fd, F_GETFD) < 0;
  World world;
  const Listener listener = world.listen();
  REQUIRE(world.connected_pair(listener).server != nullptr);
  int found = 0;
  for (int fd = 0; fd < kLooked; ++fd) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (!ours[fd] || flags < 0) continue;
    ++found;
    CHECK((flags & FD_CLOEXEC) != 0);
  }
  // The queue, the spare descriptor, the listener and both ends, at the least.
  CHECK(found >= 5);
}

TEST("on Linux a file for a peer on this machine gets a short send queue, once, and no other socket does") {
  // What the kernel makes of the 256 KiB that are asked for: doubled, unless the machine allows less.
  std::ifstream limit("/proc/sys/net/core/wmem_max");
  int most = 256 * 1024;
  limit >> most;
  const int wanted = 2 * std::min(most, 256 * 1024);
  const auto with_short_queue = [wanted] {
    int count = 0;
    for (int fd = 0; fd < 64; ++fd) {
      int bytes = 0;
      socklen_t size = sizeof bytes;
      if (::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size) == 0 && bytes == wanted) ++count;
    }
    return count;
  };
  iocp::File file;
  REQUIRE(iocp::File::open_for_reading("/proc/self/exe", &file) == Status::ok);
  World world;
  const Pair pair = world.connected_pair();
  CHECK_EQ(with_short_queue(), 0);
  TransmitOperation& sending = world.transmit_operation();
  for (int i = 0; i < 2; ++i) {
    world.transmit(sending, pair.client, file, 0, 1'000);
    REQUIRE(world.result(sending).status == Status::ok);
    CHECK_EQ(with_short_queue(), iocp::Port::name() == std::string_view("epoll") ? 1 : 0);
  }
}

}  // namespace conformance
