// Every fault of SimFaults, alone and certain, must be seen to strike: a fault that never fires tests nothing.
#include <array>
#include <string>
#include <vector>

#include "sim_port/sim_fixture.h"
#include "support/test.h"

using iocp::Completion;
using iocp::Operation;
using iocp::SimFaults;
using iocp::SimPeer;
using iocp::SimPeerListener;
using iocp::Socket;
using iocp::Status;
using sim_test::Fixture;
using sim_test::kOptions;
using sim_test::Pair;

namespace {

constexpr std::uint32_t kAlways = 1000;

SimFaults only(std::uint32_t SimFaults::*fault, std::uint32_t value = kAlways) {
  SimFaults faults;
  faults.*fault = value;
  return faults;
}

// What connecting to a scripted server comes to.
Status connect_result(Fixture* test) {
  SimPeerListener server = test->world.listen_peer(sim_test::address_of("127.0.0.1"));
  Socket* socket = nullptr;
  REQUIRE(test->port.open_stream(iocp::Family::ipv4, kOptions, nullptr, &socket) == Status::ok);
  Operation operation;
  const Status status =
      test->finish(test->port.submit_connect(&operation, socket, server.address(), ""), operation).status;
  test->close(socket);
  return status;
}

}  // namespace

TEST("sim fault: partial_read") {
  Fixture test(only(&SimFaults::partial_read));
  Pair pair(&test);
  std::string all;
  int reads = 0;
  pair.peer.send("0123456789012345678901234567890123456789");
  while (all.size() < 40) {
    std::string text;
    REQUIRE(test.read(pair.socket, &text).bytes > 0);
    all += text;
    ++reads;
  }
  CHECK_EQ(all, "0123456789012345678901234567890123456789");
  CHECK(reads > 1);
}

TEST("sim fault: partial_write") {
  Fixture test(only(&SimFaults::partial_write));
  Pair pair(&test);
  const std::string text(1000, 'x');
  std::size_t shortest = text.size();
  for (int count = 0; count < 20; ++count) {
    shortest = std::min<std::size_t>(shortest, test.write(pair.socket, text).bytes);
    pair.peer.receive();
  }
  CHECK(shortest > 0 && shortest < text.size());
}

TEST("sim fault: delivery_delay") {
  SimFaults faults;
  faults.delivery_delay_min_ms = 30;
  faults.delivery_delay_max_ms = 40;
  Fixture test(faults);
  Pair pair(&test);
  const std::uint64_t before = test.world.now_ms();
  pair.peer.send("x");
  std::string text;
  CHECK_EQ(test.read(pair.socket, &text).bytes, 1U);
  const std::uint64_t taken = test.world.now_ms() - before;
  CHECK(taken >= 30 && taken <= 40);
}

TEST("sim fault: completion_delay, and the bytes reach the target only with the completion") {
  SimFaults faults;
  faults.completion_delay_min_ms = faults.completion_delay_max_ms = 9;
  Fixture test(faults);
  Pair pair(&test);
  std::array<std::uint8_t, 4> target = {};
  Operation operation;
  REQUIRE(test.port.submit_read(&operation, pair.socket, target).pending);
  pair.peer.send("x");
  const std::uint64_t before = test.world.now_ms();
  test.world.advance(8);
  CHECK(!test.is_done(operation));
  CHECK_EQ(target[0], 0U);
  CHECK_EQ(test.await(operation).bytes, 1U);
  CHECK_EQ(test.world.now_ms() - before, 9U);
  CHECK_EQ(target[0], static_cast<std::uint8_t>('x'));
}

TEST("sim fault: completion_delay lets a result win against a cancellation") {
  SimFaults faults;
  faults.completion_delay_min_ms = faults.completion_delay_max_ms = 9;
  Fixture test(faults);
  Pair pair(&test);
  std::array<std::uint8_t, 4> target = {};
  Operation operation;
  REQUIRE(test.port.submit_read(&operation, pair.socket, target).pending);
  test.port.cancel(&operation, pair.socket);
  pair.peer.send("x");
  const sim_test::Result result = test.await(operation);
  CHECK(result.status == Status::ok);
  CHECK_EQ(result.bytes, 1U);
}

TEST("sim fault: reorder_completions, while bytes fill pending reads in the order of submission") {
  Fixture test(only(&SimFaults::reorder_completions));
  Pair pair(&test);
  bool overtaken = false;
  for (int round = 0; round < 20; ++round) {
    std::array<Operation, 4> reads;
    std::array<std::array<std::uint8_t, 1>, 4> targets = {};
    for (std::size_t index = 0; index < 4; ++index) {
      REQUIRE(test.port.submit_read(&reads[index], pair.socket, targets[index]).pending);
    }
    pair.peer.send("abcd");
    std::array<Completion, 4> batch;
    REQUIRE(test.port.wait(batch, 0) == 4);
    for (std::size_t index = 0; index < 4; ++index) {
      overtaken = overtaken || batch[index].operation != &reads[index];
      CHECK_EQ(targets[index][0], static_cast<std::uint8_t>("abcd"[index]));
    }
  }
  CHECK(overtaken);
}

TEST("sim fault: pending_when_ready") {
  Fixture test(only(&SimFaults::pending_when_ready));
  Pair pair(&test);
  CHECK(test.write(pair.socket, "x").was_pending);
  pair.peer.send("y");
  std::string text;
  CHECK(test.read(pair.socket, &text).was_pending);
  CHECK_EQ(text, "y");
}

TEST("sim fault: short_batch") {
  Fixture test(only(&SimFaults::short_batch));
  std::size_t shortest = 4;
  for (int round = 0; round < 20; ++round) {
    std::array<Operation, 4> posts;
    for (Operation& post : posts) test.port.post(&post);
    std::array<Completion, 4> batch;
    shortest = std::min(shortest, test.port.wait(batch, 0));
    while (test.port.wait(batch, 0) != 0) continue;
    CHECK(!test.port.has_queued());
  }
  CHECK(shortest > 0 && shortest < 4);
}

TEST("sim fault: spurious_zero_byte_read, and read_now says would_block") {
  Fixture test(only(&SimFaults::spurious_zero_byte_read));
  Pair pair(&test);
  Operation operation;
  REQUIRE(test.port.submit_zero_byte_read(&operation, pair.socket).pending);
  CHECK(test.await(operation).status == Status::ok);
  std::string text;
  CHECK(test.read_now(pair.socket, &text) == Status::would_block);
}

TEST("sim fault: connection_reset strikes both ends") {
  Fixture test(only(&SimFaults::connection_reset));
  Pair pair(&test);
  CHECK(test.write(pair.socket, "x").status == Status::ok);
  test.world.advance_until_idle();
  CHECK(pair.peer.was_reset());
  CHECK(test.write(pair.socket, "y").status == Status::connection_reset);
}

TEST("sim fault: reset_discards_received") {
  Fixture test(only(&SimFaults::reset_discards_received));
  Pair pair(&test);
  pair.peer.send("arrived");
  pair.peer.reset();
  std::string text;
  CHECK(test.read_now(pair.socket, &text) == Status::connection_reset);
}

TEST("sim fault: broken_pipe_after_reset") {
  Fixture test(only(&SimFaults::broken_pipe_after_reset));
  Pair pair(&test);
  pair.peer.reset();
  CHECK(test.write(pair.socket, "x").status == Status::broken_pipe);
}

TEST("sim fault: zero_byte_read_tells_reset") {
  Fixture test(only(&SimFaults::zero_byte_read_tells_reset));
  Pair pair(&test);
  Operation operation;
  REQUIRE(test.port.submit_zero_byte_read(&operation, pair.socket).pending);
  pair.peer.reset();
  CHECK(test.await(operation).status == Status::connection_reset);
}

TEST("sim fault: no_buffer_space fails reads and writes on submission, and the socket lives on") {
  Fixture test(only(&SimFaults::no_buffer_space));
  Pair pair(&test);
  std::array<std::uint8_t, 4> target = {};
  Operation operation;
  CHECK(test.port.submit_read(&operation, pair.socket, target).status == Status::no_buffer_space);
  CHECK(test.port.submit_zero_byte_read(&operation, pair.socket).status == Status::no_buffer_space);
  CHECK(test.write(pair.socket, "x").status == Status::no_buffer_space);
  test.world.set_faults({});
  CHECK(test.write(pair.socket, "x").status == Status::ok);
  CHECK_EQ(pair.peer.receive_text(), "x");
}

TEST("sim fault: pending_no_buffer_space fails what was pending, and the bytes are the next read's") {
  Fixture test(only(&SimFaults::pending_no_buffer_space));
  Pair pair(&test);
  std::array<std::uint8_t, 4> target = {};
  Operation read;
  REQUIRE(test.port.submit_read(&read, pair.socket, target).pending);
  pair.peer.send("abcd");
  CHECK(test.await(read).status == Status::no_buffer_space);
  std::string text;
  CHECK_EQ(test.read(pair.socket, &text).bytes, 4U);
  CHECK_EQ(text, "abcd");
  Operation waiting;
  REQUIRE(test.port.submit_zero_byte_read(&waiting, pair.socket).pending);
  pair.peer.send("e");
  CHECK(test.await(waiting).status == Status::no_buffer_space);
  CHECK_EQ(test.world.shortages(), 2U);
}

TEST("sim fault: read_now_no_buffer_space takes nothing") {
  Fixture test(only(&SimFaults::read_now_no_buffer_space));
  Pair pair(&test);
  pair.peer.send("x");
  std::string text;
  CHECK(test.read_now(pair.socket, &text) == Status::no_buffer_space);
  test.world.set_faults({});
  CHECK(test.read_now(pair.socket, &text) == Status::ok);
  CHECK_EQ(text, "x");
}

TEST("sim fault: accept_no_buffer_space leaves the connection in the backlog") {
  Fixture test;
  Socket* listener = test.listen();
  test.world.set_faults(only(&SimFaults::accept_no_buffer_space));
  iocp::AcceptOperation operation;
  CHECK(test.finish(test.port.submit_accept(&operation, listener), operation).status == Status::no_buffer_space);
  test.world.set_faults({});
  REQUIRE(test.port.submit_accept(&operation, listener).pending);
  test.world.set_faults(only(&SimFaults::accept_no_buffer_space));
  SimPeer peer = test.world.connect_peer(test.bound);
  CHECK(test.await(operation).status == Status::no_buffer_space);
  CHECK(operation.accepted == iocp::RawSocket::none);
  test.world.set_faults({});
  test.close(test.accept(listener));
  test.close(listener);
}

TEST("sim fault: lockable_read_bytes counts what pending reads hold, and no zero-byte read") {
  SimFaults faults;
  faults.lockable_read_bytes = 6;
  Fixture test(faults);
  Pair pair(&test);
  std::array<std::uint8_t, 4> first = {};
  std::array<std::uint8_t, 4> second = {};
  Operation reads[2];
  REQUIRE(test.port.submit_read(&reads[0], pair.socket, first).pending);
  CHECK(test.port.submit_read(&reads[1], pair.socket, second).status == Status::no_buffer_space);
  Operation waiting;
  CHECK(test.port.submit_zero_byte_read(&waiting, pair.socket).pending);
  pair.peer.send("abcd");
  CHECK_EQ(test.await(reads[0]).bytes, 4U);
  REQUIRE(test.port.submit_read(&reads[1], pair.socket, second).pending);
  pair.peer.send("efgh");
  CHECK_EQ(test.await(reads[1]).bytes, 4U);
}

TEST("sim fault: largest_write_bytes") {
  SimFaults faults;
  faults.largest_write_bytes = 3;
  Fixture test(faults);
  Pair pair(&test);
  CHECK(test.write(pair.socket, "abcd").status == Status::no_buffer_space);
  CHECK_EQ(test.write(pair.socket, "abc").bytes, 3U);
  CHECK_EQ(pair.peer.receive_text(), "abc");
}

TEST("sim fault: accept_too_many_open_files turns the peer away and tells whom") {
  Fixture test(only(&SimFaults::accept_too_many_open_files));
  Socket* listener = test.listen();
  SimPeer peer = test.world.connect_peer(test.bound);
  iocp::AcceptOperation operation;
  CHECK(test.finish(test.port.submit_accept(&operation, listener), operation).status == Status::too_many_open_files);
  CHECK(operation.accepted == iocp::RawSocket::none);
  CHECK(operation.peer == peer.local_address());
  CHECK(peer.was_reset());
  test.close(listener);
}

TEST("sim fault: accept_fails") {
  Fixture test(only(&SimFaults::accept_fails));
  Socket* listener = test.listen();
  SimPeer peer = test.world.connect_peer(test.bound);
  iocp::AcceptOperation operation;
  CHECK(test.finish(test.port.submit_accept(&operation, listener), operation).status == Status::connection_aborted);
  CHECK(peer.was_reset());
  test.close(listener);
}

TEST("sim fault: attach_fails, and the raw socket is gone") {
  Fixture test(only(&SimFaults::attach_fails));
  Socket* listener = test.listen();
  SimPeer peer = test.world.connect_peer(test.bound);
  iocp::AcceptOperation operation;
  REQUIRE(test.finish(test.port.submit_accept(&operation, listener), operation).status == Status::ok);
  CHECK_EQ(test.world.audit().raw_sockets, 1U);
  Socket* socket = nullptr;
  CHECK(test.port.attach(operation.accepted, kOptions, &socket) == Status::invalid_argument);
  CHECK_EQ(test.world.audit().raw_sockets, 0U);
  CHECK(peer.was_reset());
  test.close(listener);
}

TEST("sim fault: open_too_many_open_files") {
  Fixture test(only(&SimFaults::open_too_many_open_files));
  Socket* socket = nullptr;
  CHECK(test.port.open_stream(iocp::Family::ipv4, kOptions, nullptr, &socket) == Status::too_many_open_files);
}

TEST("sim fault: connect_refused") {
  Fixture test(only(&SimFaults::connect_refused));
  CHECK(connect_result(&test) == Status::connection_refused);
}

TEST("sim fault: connect_times_out after connect_timeout_ms") {
  SimFaults faults = only(&SimFaults::connect_times_out);
  faults.connect_timeout_ms = 3000;
  Fixture test(faults);
  CHECK(connect_result(&test) == Status::timed_out);
  CHECK_EQ(test.world.now_ms(), 3000U);
}
