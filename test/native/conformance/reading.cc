// Reads of every kind, the end of a stream, and resets.
#include <array>

#include "conformance/world.h"

namespace conformance {
namespace {

// A zero-byte read only says that a read would not block; that a reset is the reason may be said here or there.
bool readable_or_reset(Status status) { return status == Status::ok || status == Status::connection_reset; }

}  // namespace

TEST("a zero-byte read completes at once, or at the next wait, when bytes are there") {
  World world;
  const Pair pair = world.connected_pair();
  world.send_all(pair.client, text("xyz"));
  Bytes& target = world.buffer(2);
  std::uint32_t bytes = 0;
  REQUIRE(world.read_once(pair.server, target, &bytes) == Status::ok);
  CHECK_EQ(bytes, 2U);
  // One byte is left, although the last read filled its buffer.
  Operation& readable = world.operation();
  world.zero_byte_read(readable, pair.server);
  CHECK_EQ(world.result(readable).status, Status::ok);
  REQUIRE(world.port.read_now(pair.server, target, &bytes) == Status::ok);
  CHECK_EQ(bytes, 1U);
}

TEST("a zero-byte read after a read that took exactly everything waits for more") {
  World world;
  const Pair pair = world.connected_pair();
  world.send_all(pair.client, text("ab"));
  CHECK(world.receive(pair.server, 2) == text("ab"));
  Operation& readable = world.operation();
  world.zero_byte_read(readable, pair.server);
  world.settle();
  CHECK(!world.finished(readable));
  world.send_all(pair.client, text("c"));
  CHECK_EQ(world.result(readable).status, Status::ok);
  CHECK(world.receive(pair.server, 1) == text("c"));
}

TEST("a zero-byte read takes nothing from the stream") {
  World world;
  const Pair pair = world.connected_pair();
  for (int round = 0; round < 3; ++round) {
    Operation& readable = world.operation();
    world.zero_byte_read(readable, pair.server);
    if (round == 0) world.send_all(pair.client, text("kept"));
    CHECK_EQ(world.result(readable).status, Status::ok);
  }
  CHECK(world.receive(pair.server, 4) == text("kept"));
}

TEST("a zero-byte read completes on the end of the stream") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& readable = world.operation();
  world.zero_byte_read(readable, pair.server);
  world.close(pair.client);
  CHECK_EQ(world.result(readable).status, Status::ok);
  Bytes& target = world.buffer(8);
  std::uint32_t bytes = 1;
  CHECK_EQ(world.port.read_now(pair.server, target, &bytes), Status::ok);
  CHECK_EQ(bytes, 0U);
}

TEST("a zero-byte read completes on a reset, and the next read tells it") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& readable = world.operation();
  world.zero_byte_read(readable, pair.server);
  world.close(pair.client, CloseMode::reset);
  CHECK(readable_or_reset(world.result(readable).status));
  Bytes& target = world.buffer(8);
  std::uint32_t bytes = 0;
  CHECK_EQ(world.port.read_now(pair.server, target, &bytes), Status::connection_reset);
}

TEST("several zero-byte reads all complete when bytes arrive") {
  World world;
  const Pair pair = world.connected_pair();
  std::array<Operation*, 3> all = {};
  for (Operation*& each : all) {
    each = &world.operation();
    world.zero_byte_read(*each, pair.server);
  }
  world.send_all(pair.client, text("x"));
  for (Operation* each : all) CHECK_EQ(world.result(*each).status, Status::ok);
}

TEST("several pending reads are filled in the order of their submission") {
  World world;
  const Pair pair = world.connected_pair();
  constexpr std::size_t kReads = 6;
  std::array<Operation*, kReads> reads = {};
  std::array<Bytes*, kReads> targets = {};
  for (std::size_t i = 0; i < kReads; ++i) {
    reads[i] = &world.operation();
    targets[i] = &world.buffer(4);
    world.read(*reads[i], pair.server, *targets[i]);
  }
  // One byte each at least, so that every read completes however the bytes are cut.
  const Bytes sent = pattern(4 * kReads);
  world.send_all(pair.client, sent);
  Bytes received;
  for (std::size_t i = 0; i < kReads && received.size() < sent.size(); ++i) {
    const Result result = world.result(*reads[i]);
    REQUIRE(result.status == Status::ok);
    received.insert(received.end(), targets[i]->begin(), targets[i]->begin() + result.bytes);
  }
  CHECK(received == Bytes(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(received.size())));
  CHECK(received.size() >= kReads);
}

TEST("the end of the stream completes every pending read with ok and 0 bytes") {
  World world;
  const Pair pair = world.connected_pair();
  std::array<Operation*, 3> reads = {};
  for (Operation*& each : reads) {
    each = &world.operation();
    world.read(*each, pair.server, world.buffer(4));
  }
  world.close(pair.client);
  for (Operation* each : reads) {
    const Result result = world.result(*each);
    CHECK_EQ(result.status, Status::ok);
    CHECK_EQ(result.bytes, 0U);
  }
}

TEST("the end of the stream is told again and again") {
  World world;
  const Pair pair = world.connected_pair();
  world.send_all(pair.client, text("bye"));
  world.close(pair.client);
  Bytes received;
  CHECK_EQ(world.receive_to_the_end(pair.server, &received).status, Status::ok);
  CHECK(received == text("bye"));
  CHECK_EQ(world.receive_to_the_end(pair.server, &received).status, Status::ok);
  CHECK_EQ(received.size(), 3U);
}

TEST("a reset completes a pending read with connection_reset, and stays") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& reading = world.operation();
  Bytes& target = world.buffer(4);
  world.read(reading, pair.server, target);
  world.close(pair.client, CloseMode::reset);
  CHECK_EQ(world.result(reading).status, Status::connection_reset);
  Operation& hanging_up = world.operation();
  world.hang_up(hanging_up, pair.server);
  CHECK_EQ(world.result(hanging_up).status, Status::connection_reset);
}

TEST("read_now tells would_block, bytes and the end") {
  World world;
  const Pair pair = world.connected_pair();
  Bytes& target = world.buffer(16);
  std::uint32_t bytes = 0;
  CHECK_EQ(world.port.read_now(pair.server, target, &bytes), Status::would_block);
  world.send_all(pair.client, text("now"));
  REQUIRE(world.read_once(pair.server, target, &bytes) == Status::ok);
  CHECK_EQ(bytes, 3U);
  CHECK_EQ(world.port.read_now(pair.server, target, &bytes), Status::would_block);
  world.close(pair.client);
  CHECK_EQ(world.read_once(pair.server, target, &bytes), Status::ok);
  CHECK_EQ(bytes, 0U);
}

TEST("bytes that came before the connection was attached are not missed") {
  World world;
  const Listener listener = world.listen();
  Socket* const client = world.open_stream();
  Operation& connecting = world.operation();
  world.connect(connecting, client, listener.address);
  AcceptOperation& accepting = world.accept_operation();
  world.accept(accepting, listener.socket);
  REQUIRE(world.result(connecting).status == Status::ok);
  REQUIRE(world.result(accepting).status == Status::ok);
  world.send_all(client, text("early"));
  world.close(client);
  world.settle();
  Socket* const server = world.attach(accepting);
  Bytes received;
  CHECK_EQ(world.receive_to_the_end(server, &received).status, Status::ok);
  CHECK(received == text("early"));
}

TEST("hang-up is told while bytes are unread, and they can still be read") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& hanging_up = world.operation();
  world.hang_up(hanging_up, pair.server);
  world.send_all(pair.client, text("unread"));
  world.settle();
  CHECK(!world.finished(hanging_up));
  world.close(pair.client);
  CHECK_EQ(world.result(hanging_up).status, Status::ok);
  Bytes received;
  CHECK_EQ(world.receive_to_the_end(pair.server, &received).status, Status::ok);
  CHECK(received == text("unread"));
}

TEST("hang-up tells a reset as an error") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& hanging_up = world.operation();
  world.hang_up(hanging_up, pair.server);
  world.close(pair.client, CloseMode::reset);
  CHECK_EQ(world.result(hanging_up).status, Status::connection_reset);
}

TEST("hang-up is told when it is submitted after the peer has closed") {
  World world;
  const Pair pair = world.connected_pair();
  world.close(pair.client);
  Bytes received;
  CHECK_EQ(world.receive_to_the_end(pair.server, &received).status, Status::ok);
  Operation& hanging_up = world.operation();
  world.hang_up(hanging_up, pair.server);
  CHECK_EQ(world.result(hanging_up).status, Status::ok);
}

}  // namespace conformance
