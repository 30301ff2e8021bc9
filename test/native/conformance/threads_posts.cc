// What a port promises to other threads: posts, wake-ups, listening. Not for the simulator, which has one thread.
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <thread>

#include "conformance/world.h"

namespace conformance {
namespace {

constexpr std::int32_t kLongerThanTheLimitMs = 60'000;

}  // namespace

TEST("thousands of posts from four threads arrive exactly once each") {
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kMessages = 5'000;
  std::array<std::deque<Operation>, kThreads> messages;
  World world;
  std::array<std::thread, kThreads> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    messages[i].resize(kMessages);
    threads[i] = std::thread([&mine = messages[i], &port = world.port] {
      for (Operation& each : mine) port.post(&each);
    });
  }
  std::size_t total = 0;
  std::array<Completion, 64> batch;
  while (total < kThreads * kMessages) {
    const std::size_t count = world.port.wait(batch, kLongerThanTheLimitMs);
    for (std::size_t i = 0; i < count; ++i) {
      CHECK_EQ(batch[i].operation->tag, 0);
      batch[i].operation->tag = 1;
    }
    total += count;
  }
  for (std::thread& each : threads) each.join();
  CHECK_EQ(world.port.wait(batch, 0), 0U);
  CHECK_EQ(world.port.counters().posts, kThreads * kMessages);
  CHECK(world.port.counters().wakes <= kThreads * kMessages);
}

TEST("two threads that answer each other's posts never miss a wake-up") {
  constexpr int kRounds = 5'000;
  Operation there;
  Operation back;
  World first;
  World second;
  std::thread echo([&] {
    std::array<Completion, 1> batch;
    for (int round = 0; round < kRounds; ++round) {
      if (second.port.wait(batch, kLongerThanTheLimitMs) != 1) return;
      first.port.post(&back);
    }
  });
  std::array<Completion, 1> batch;
  int answered = 0;
  for (; answered < kRounds; ++answered) {
    second.port.post(&there);
    if (first.port.wait(batch, kLongerThanTheLimitMs) != 1) break;
  }
  echo.join();
  CHECK_EQ(answered, kRounds);
}

TEST("a post wakes a wait that sleeps without limit") {
  World world;
  Operation& message = world.operation();
  world.expect(message);
  std::thread poster([&] { world.port.post(&message); });
  CHECK_EQ(world.step(-1), 1U);
  poster.join();
  CHECK_EQ(world.result(message).status, Status::ok);
}

TEST("another thread may listen while the port is stepped") {
  constexpr int kListeners = 50;
  std::atomic<bool> done = false;
  std::array<Socket*, kListeners> listeners = {};
  std::array<Status, kListeners> statuses = {};
  World world;
  std::thread listening([&] {
    iocp::ListenOptions options;
    options.address.family = Family::ipv4;
    options.address.ip = {127, 0, 0, 1};
    Address bound;
    for (std::size_t i = 0; i < kListeners; ++i) statuses[i] = world.port.listen(options, &listeners[i], &bound);
    done = true;
  });
  const Pair pair = world.connected_pair();
  while (!done) {
    world.send_all(pair.client, text("x"));
    CHECK(world.receive(pair.server, 1) == text("x"));
  }
  listening.join();
  for (const Status each : statuses) CHECK_EQ(each, Status::ok);
  for (Socket* each : listeners) world.port.close_socket(each, CloseMode::normal);
}

TEST("counters can be read by another thread") {
  std::atomic<bool> done = false;
  World world;
  std::uint64_t last = 0;
  bool monotonous = true;
  std::thread reader([&] {
    while (!done) {
      const std::uint64_t now = world.port.counters().completions;
      monotonous = monotonous && now >= last;
      last = now;
    }
  });
  Operation& message = world.operation();
  for (int i = 0; i < 1'000; ++i) {
    world.post(message);
    CHECK_EQ(world.result(message).status, Status::ok);
  }
  done = true;
  reader.join();
  CHECK(monotonous);
}

TEST("a wait with a timeout takes about as long as it was told") {
  World world;
  std::array<Completion, 1> batch;
  const auto start = std::chrono::steady_clock::now();
  CHECK_EQ(world.port.wait(batch, 50), 0U);
  const auto taken = std::chrono::steady_clock::now() - start;
  // Never early, but for the coarsest system clock's tick; late only by what a busy machine costs.
  CHECK(taken >= std::chrono::milliseconds(34));
  CHECK(taken < std::chrono::seconds(5));
}

TEST("a wait with a timeout is not cut short by an event that completes nothing") {
  World world;
  const Pair pair = world.connected_pair();
  // Nobody reads at the other end: the bytes raise readiness there and complete no operation.
  world.send_all(pair.client, text("nobody asked"));
  std::array<Completion, 1> batch;
  const auto start = std::chrono::steady_clock::now();
  CHECK_EQ(world.port.wait(batch, 50), 0U);
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(34));
}

}  // namespace conformance
