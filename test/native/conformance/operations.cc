// Every kind of operation completes exactly once: when it succeeds, when it is cancelled before or after it is
// ready, and when its socket is closed under it. The world's books do the counting.
#include "conformance/world.h"

namespace conformance {
namespace {

// A cancelled operation may still report what it had reached; anything else is an error.
bool cancelled_or_ok(Status status) { return status == Status::cancelled || status == Status::ok; }

}  // namespace

// --- the normal case -----------------------------------------------------------------------------------------------

TEST("an accept and a connect complete once each") {
  World world;
  const Pair pair = world.connected_pair();
  CHECK(pair.client != nullptr);
  CHECK(pair.server != nullptr);
}

TEST("a zero-byte read completes once") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& readable = world.operation();
  world.zero_byte_read(readable, pair.server);
  world.settle();
  CHECK(!world.finished(readable));
  world.send_all(pair.client, text("x"));
  const Result result = world.result(readable);
  CHECK_EQ(result.status, Status::ok);
  CHECK_EQ(result.bytes, 0U);
}

TEST("a read completes once") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& reading = world.operation();
  Bytes& target = world.buffer(16);
  world.read(reading, pair.server, target);
  world.settle();
  CHECK(!world.finished(reading));
  world.send_all(pair.client, text("x"));
  const Result result = world.result(reading);
  CHECK_EQ(result.status, Status::ok);
  CHECK_EQ(result.bytes, 1U);
  CHECK_EQ(target[0], std::uint8_t{'x'});
}

TEST("a write completes once") {
  const Bytes bytes = text("hello");
  World world;
  const Pair pair = world.connected_pair();
  Operation& writing = world.operation();
  world.write(writing, pair.client, bytes);
  const Result result = world.result(writing);
  CHECK_EQ(result.status, Status::ok);
  CHECK_EQ(result.bytes, 5U);
}

TEST("a hang-up completes once") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& hanging_up = world.operation();
  world.hang_up(hanging_up, pair.server);
  world.settle();
  CHECK(!world.finished(hanging_up));
  world.close(pair.client);
  CHECK_EQ(world.result(hanging_up).status, Status::ok);
}

TEST("a post completes once") {
  World world;
  Operation& message = world.operation();
  world.post(message);
  const Result result = world.result(message);
  CHECK_EQ(result.status, Status::ok);
  CHECK_EQ(result.bytes, 0U);
}

// --- cancelled before it is ready ------------------------------------------------------------------------------------

TEST("a cancelled accept completes with cancelled, and the next one still accepts") {
  World world;
  const Listener listener = world.listen();
  AcceptOperation& accepting = world.accept_operation();
  world.accept(accepting, listener.socket);
  world.port.cancel(&accepting, listener.socket);
  CHECK_EQ(world.result(accepting).status, Status::cancelled);
  CHECK(accepting.accepted == RawSocket::none);
  CHECK(world.connected_pair(listener).server != nullptr);
}

TEST("a connect that is cancelled at once completes") {
  World world;
  const Listener listener = world.listen();
  Socket* const client = world.open_stream();
  Operation& connecting = world.operation();
  world.connect(connecting, client, listener.address);
  world.port.cancel(&connecting, client);
  CHECK(cancelled_or_ok(world.result(connecting).status));
}

TEST("a cancelled zero-byte read completes with cancelled") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& readable = world.operation();
  world.zero_byte_read(readable, pair.server);
  world.port.cancel(&readable, pair.server);
  CHECK_EQ(world.result(readable).status, Status::cancelled);
}

TEST("a cancelled read completes with cancelled and takes no bytes from the next one") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& first = world.operation();
  Operation& second = world.operation();
  Bytes& first_target = world.buffer(16);
  Bytes& second_target = world.buffer(16);
  world.read(first, pair.server, first_target);
  world.read(second, pair.server, second_target);
  world.port.cancel(&first, pair.server);
  CHECK_EQ(world.result(first).status, Status::cancelled);
  world.send_all(pair.client, text("y"));
  CHECK_EQ(world.result(second).bytes, 1U);
  CHECK_EQ(second_target[0], std::uint8_t{'y'});
}

TEST("the middle and the last of several reads can be cancelled") {
  World world;
  const Pair pair = world.connected_pair();
  Operation* reads[4] = {};
  Bytes* targets[4] = {};
  for (std::size_t i = 0; i < 4; ++i) {
    reads[i] = &world.operation();
    targets[i] = &world.buffer(1);
    world.read(*reads[i], pair.server, *targets[i]);
  }
  world.port.cancel(reads[3], pair.server);
  world.port.cancel(reads[1], pair.server);
  CHECK_EQ(world.result(*reads[1]).status, Status::cancelled);
  CHECK_EQ(world.result(*reads[3]).status, Status::cancelled);
  Operation& another = world.operation();
  Bytes& another_target = world.buffer(1);
  world.read(another, pair.server, another_target);
  world.send_all(pair.client, text("abc"));
  CHECK_EQ(world.result(*reads[0]).bytes, 1U);
  CHECK_EQ(world.result(*reads[2]).bytes, 1U);
  CHECK_EQ(world.result(another).bytes, 1U);
  CHECK_EQ(targets[0]->front(), std::uint8_t{'a'});
  CHECK_EQ(targets[2]->front(), std::uint8_t{'b'});
  CHECK_EQ(another_target.front(), std::uint8_t{'c'});
}

TEST("a cancelled write completes") {
  World world;
  const Pair pair = world.connected_pair();
  std::size_t taken = 0;
  Operation& writing = world.fill(pair.client, &taken);
  world.port.cancel(&writing, pair.client);
  CHECK(cancelled_or_ok(world.result(writing).status));
}

TEST("a cancelled hang-up completes with cancelled and can be submitted again") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& hanging_up = world.operation();
  world.hang_up(hanging_up, pair.server);
  world.port.cancel(&hanging_up, pair.server);
  CHECK_EQ(world.result(hanging_up).status, Status::cancelled);
  world.hang_up(hanging_up, pair.server);
  world.close(pair.client);
  CHECK_EQ(world.result(hanging_up).status, Status::ok);
}

// --- cancelled when it may be ready, and afterwards
// --------------------------------------------------------------------

TEST("a read that is cancelled when its bytes have come loses none of them") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& reading = world.operation();
  Bytes& target = world.buffer(16);
  world.read(reading, pair.server, target);
  world.send_all(pair.client, text("z"));
  world.port.cancel(&reading, pair.server);
  const Result result = world.result(reading);
  REQUIRE(cancelled_or_ok(result.status));
  if (result.status == Status::ok) {
    CHECK_EQ(result.bytes, 1U);
    CHECK_EQ(target[0], std::uint8_t{'z'});
  } else {
    CHECK(world.receive(pair.server, 1) == text("z"));
  }
}

TEST("a zero-byte read, a hang-up and an accept that are cancelled when ready complete") {
  World world;
  const Listener listener = world.listen();
  const Pair pair = world.connected_pair(listener);
  Operation& readable = world.operation();
  Operation& hanging_up = world.operation();
  AcceptOperation& accepting = world.accept_operation();
  Operation& connecting = world.operation();
  Socket* const another = world.open_stream();
  world.zero_byte_read(readable, pair.server);
  world.hang_up(hanging_up, pair.server);
  world.accept(accepting, listener.socket);
  world.connect(connecting, another, listener.address);
  CHECK_EQ(world.result(connecting).status, Status::ok);
  world.send_all(pair.client, text("x"));
  world.close(pair.client);
  world.port.cancel(&readable, pair.server);
  world.port.cancel(&hanging_up, pair.server);
  world.port.cancel(&accepting, listener.socket);
  CHECK(cancelled_or_ok(world.result(readable).status));
  CHECK(cancelled_or_ok(world.result(hanging_up).status));
  CHECK(cancelled_or_ok(world.result(accepting).status));
}

TEST("cancelling an operation that has completed does nothing") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& reading = world.operation();
  Bytes& target = world.buffer(16);
  world.read(reading, pair.server, target);
  world.send_all(pair.client, text("x"));
  CHECK_EQ(world.result(reading).status, Status::ok);
  world.port.cancel(&reading, pair.server);
  world.settle();
  CHECK_EQ(world.pending(), 0U);
}

TEST("cancelling twice completes once") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& readable = world.operation();
  world.zero_byte_read(readable, pair.server);
  world.port.cancel(&readable, pair.server);
  world.port.cancel(&readable, pair.server);
  CHECK_EQ(world.result(readable).status, Status::cancelled);
}

// --- closed with operations pending
// ------------------------------------------------------------------------------------

TEST("closing a listener completes its accepts with cancelled") {
  World world;
  const Listener listener = world.listen();
  AcceptOperation* accepts[3] = {};
  for (AcceptOperation*& each : accepts) {
    each = &world.accept_operation();
    world.accept(*each, listener.socket);
  }
  world.close(listener.socket);
  for (AcceptOperation* each : accepts) {
    CHECK_EQ(world.result(*each).status, Status::cancelled);
    CHECK(each->accepted == RawSocket::none);
  }
}

TEST("closing a connecting socket completes its connect") {
  World world;
  const Listener listener = world.listen();
  Socket* const client = world.open_stream();
  Operation& connecting = world.operation();
  world.connect(connecting, client, listener.address);
  world.close(client);
  CHECK(cancelled_or_ok(world.result(connecting).status));
}

TEST("closing a socket completes its reads, its write and its hang-up") {
  for (const CloseMode mode : {CloseMode::normal, CloseMode::reset}) {
    World world;
    const Pair pair = world.connected_pair();
    std::size_t taken = 0;
    Operation& writing = world.fill(pair.client, &taken);
    Operation& readable = world.operation();
    Operation& reading = world.operation();
    Operation& hanging_up = world.operation();
    Bytes& target = world.buffer(16);
    world.zero_byte_read(readable, pair.client);
    world.read(reading, pair.client, target);
    world.hang_up(hanging_up, pair.client);
    world.close(pair.client, mode);
    CHECK_EQ(world.result(readable).status, Status::cancelled);
    CHECK_EQ(world.result(reading).status, Status::cancelled);
    CHECK_EQ(world.result(hanging_up).status, Status::cancelled);
    CHECK(cancelled_or_ok(world.result(writing).status));
  }
}

TEST("closing a socket whose operations are ready completes each of them once") {
  World world;
  const Pair pair = world.connected_pair();
  Operation& readable = world.operation();
  Operation& hanging_up = world.operation();
  world.zero_byte_read(readable, pair.server);
  world.hang_up(hanging_up, pair.server);
  world.send_all(pair.client, text("x"));
  world.close(pair.client);
  world.close(pair.server);
  CHECK(cancelled_or_ok(world.result(readable).status));
  CHECK(cancelled_or_ok(world.result(hanging_up).status));
}

TEST("an operation can be used again after its completion") {
  const Bytes byte = text("r");
  World world;
  const Pair pair = world.connected_pair();
  Operation& operation = world.operation();
  Bytes& target = world.buffer(1);
  for (int round = 0; round < 50; ++round) {
    world.write(operation, pair.client, byte);
    CHECK_EQ(world.result(operation).bytes, 1U);
    world.zero_byte_read(operation, pair.server);
    CHECK_EQ(world.result(operation).status, Status::ok);
    world.read(operation, pair.server, target);
    CHECK_EQ(world.result(operation).bytes, 1U);
    world.post(operation);
    CHECK_EQ(world.result(operation).status, Status::ok);
  }
}

TEST("the port writes an operation's kind and phase and leaves tag and owner alone") {
  World world;
  Operation& message = world.operation();
  message.tag = 7;
  message.owner = &world;
  world.post(message);
  CHECK_EQ(message.kind, iocp::OperationKind::post);
  CHECK_EQ(message.phase, OperationPhase::submitted);
  CHECK_EQ(world.result(message).status, Status::ok);
  CHECK_EQ(message.phase, OperationPhase::idle);
  CHECK_EQ(message.tag, 7);
  CHECK(message.owner == &world);
}

}  // namespace conformance
