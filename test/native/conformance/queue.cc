// The queue of a port: posts, batches, timeouts, has_queued(), counters, opening and closing.
#include <array>
#include <deque>

#include "conformance/world.h"

namespace conformance {

TEST("wait answers 0 when its time is over and nothing is due") {
  World world;
  std::array<Completion, 4> batch;
  CHECK_EQ(world.port.wait(batch, 0), 0U);
  CHECK_EQ(world.port.wait(batch, 20), 0U);
}

TEST("wait never sleeps while completions are queued") {
  constexpr std::size_t kMessages = 1'000;
  constexpr std::int32_t kLongerThanTheLimitMs = 60'000;
  std::deque<Operation> messages(kMessages);
  World world;
  for (Operation& each : messages) world.port.post(&each);
  std::array<Completion, 7> batch;
  std::size_t received = 0;
  while (received < kMessages) {
    const std::size_t count = world.port.wait(batch, kLongerThanTheLimitMs);
    REQUIRE(count > 0 && count <= batch.size());
    for (std::size_t i = 0; i < count; ++i) {
      CHECK_EQ(batch[i].status, Status::ok);
      CHECK_EQ(batch[i].operation->tag, 0);
      batch[i].operation->tag = 1;
    }
    received += count;
  }
  CHECK_EQ(received, kMessages);
  for (const Operation& each : messages) CHECK_EQ(each.phase, OperationPhase::idle);
}

TEST("I/O is not starved by a caller who posts without end") {
  std::array<Operation, 4> messages;
  World world;
  const Pair pair = world.connected_pair();
  Operation& readable = world.operation();
  world.zero_byte_read(readable, pair.server);
  world.send_all(pair.client, text("x"));
  std::array<Completion, 4> batch;
  bool told = false;
  for (Operation& each : messages) world.port.post(&each);
  for (int round = 0; round < 1'000 && !told; ++round) {
    const std::size_t count = world.port.wait(batch, 0);
    for (std::size_t i = 0; i < count; ++i) {
      if (batch[i].operation == &readable) {
        told = true;
      } else {
        world.port.post(batch[i].operation);
      }
    }
  }
  CHECK(told || world.finished(readable));
  // Taken out of the books by hand: the batches above were not the world's.
  if (told) world.forget(readable);
  for (std::size_t left = messages.size(); left > 0;) left -= world.port.wait(batch, 1'000);
}

TEST("has_queued is true exactly while wait would answer without asking the system") {
  World world;
  CHECK(!world.port.has_queued());
  Operation& first = world.operation();
  Operation& second = world.operation();
  world.post(first);
  world.post(second);
  std::array<Completion, 1> one;
  if (world.port.has_queued()) {
    REQUIRE(world.port.wait(one, 0) == 1);
    CHECK(one[0].operation == &first);
    world.forget(first);
    CHECK(world.port.has_queued());
  }
  CHECK_EQ(world.result(second).status, Status::ok);
  CHECK(!world.port.has_queued());
}

TEST("a host descriptor is the same for as long as the port is open") {
  World world;
  const int descriptor = world.port.host_descriptor();
  CHECK(descriptor >= -1);
  Operation& message = world.operation();
  world.post(message);
  CHECK_EQ(world.result(message).status, Status::ok);
  CHECK_EQ(world.port.host_descriptor(), descriptor);
}

TEST("counters move as documented") {
  World world;
  const iocp::PortCounters start = world.port.counters();
  const Pair pair = world.connected_pair();
  const iocp::PortCounters connected = world.port.counters();
  CHECK_EQ(connected.connects - start.connects, 1U);
  CHECK_EQ(connected.accepts - start.accepts, 1U);
  CHECK(connected.waits > start.waits || connected.completions == start.completions);

  world.send_all(pair.client, text("count"));
  CHECK_EQ(world.port.counters().writes - connected.writes, 1U);
  Bytes& target = world.buffer(16);
  std::uint32_t bytes = 0;
  REQUIRE(world.read_once(pair.server, target, &bytes) == Status::ok);
  const iocp::PortCounters read = world.port.counters();
  CHECK_EQ(read.zero_byte_reads - connected.zero_byte_reads, 1U);
  CHECK_EQ(read.reads - connected.reads, 1U);
  CHECK_EQ(world.port.read_now(pair.server, target, &bytes), Status::would_block);
  CHECK_EQ(world.port.counters().empty_reads - read.empty_reads, 1U);
  CHECK_EQ(world.port.counters().reads, read.reads);

  Operation& message = world.operation();
  const iocp::PortCounters before_post = world.port.counters();
  world.post(message);
  CHECK_EQ(world.result(message).status, Status::ok);
  const iocp::PortCounters after_post = world.port.counters();
  CHECK_EQ(after_post.posts - before_post.posts, 1U);
  CHECK_EQ(after_post.completions - before_post.completions, 1U);
  CHECK(after_post.wakes - before_post.wakes <= 1U);
}

TEST("a port can be opened again after it was closed, and closed without having been opened") {
  Port port;
  port.close();
  for (int round = 0; round < 3; ++round) {
    REQUIRE(port.open() == Status::ok);
    Operation message;
    port.post(&message);
    std::array<Completion, 1> batch;
    CHECK_EQ(port.wait(batch, 1'000), 1U);
    port.close();
  }
}

TEST("a port has a name") { CHECK(std::string(Port::name()).size() > 1); }

TEST("every status has a code and a message of its own") {
  std::set<std::string> codes;
  for (std::uint8_t i = 0; i < iocp::status_count(); ++i) {
    codes.insert(iocp::status_code(static_cast<Status>(i)));
    CHECK(std::string(iocp::status_message(static_cast<Status>(i))).size() > 1);
  }
  CHECK_EQ(codes.size(), std::size_t{iocp::status_count()});
}

}  // namespace conformance
