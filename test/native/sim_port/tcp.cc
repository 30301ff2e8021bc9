// What a TCP connection does, in the simulated network: ends, half-ends, resets, and who gets to know when.
#include <string>
#include <utility>

#include "sim_port/sim_fixture.h"
#include "support/test.h"

using iocp::CloseMode;
using iocp::Operation;
using iocp::SimFaults;
using iocp::SimPeer;
using iocp::Status;
using sim_test::Fixture;
using sim_test::Pair;

namespace {

SimFaults delayed(std::uint32_t ms) {
  SimFaults faults;
  faults.delivery_delay_min_ms = ms;
  faults.delivery_delay_max_ms = ms;
  return faults;
}

}  // namespace

TEST("sim: bytes go both ways on a boring network, at once") {
  Fixture test;
  Pair pair(&test);
  pair.peer.send("ping");
  std::string text;
  CHECK(test.read(pair.socket, &text).status == Status::ok);
  CHECK_EQ(text, "ping");
  const sim_test::Result written = test.write(pair.socket, "pong");
  CHECK(!written.was_pending);
  CHECK_EQ(written.bytes, 4U);
  CHECK_EQ(pair.peer.receive_text(), "pong");
  CHECK_EQ(test.world.now_ms(), 0U);
}

TEST("sim: a FIN arrives after the bytes sent before it") {
  Fixture test(delayed(7));
  Pair pair(&test);
  pair.peer.send("last words");
  pair.peer.finish();
  std::string text;
  CHECK(test.read(pair.socket, &text).status == Status::ok);
  CHECK_EQ(text, "last words");
  const sim_test::Result end = test.read(pair.socket, &text);
  CHECK(end.status == Status::ok);
  CHECK_EQ(end.bytes, 0U);
}

TEST("sim: hang_up tells of a FIN while bytes are still unread") {
  Fixture test;
  Pair pair(&test);
  Operation hang_up;
  REQUIRE(test.port.submit_hang_up(&hang_up, pair.socket).pending);
  pair.peer.send("unread");
  CHECK(!test.is_done(hang_up));
  pair.peer.finish();
  CHECK(test.await(hang_up).status == Status::ok);
  std::string text;
  CHECK(test.read_now(pair.socket, &text) == Status::ok);
  CHECK_EQ(text, "unread");
}

TEST("sim: hang_up tells of a reset with the error") {
  Fixture test;
  Pair pair(&test);
  Operation hang_up;
  REQUIRE(test.port.submit_hang_up(&hang_up, pair.socket).pending);
  pair.peer.reset();
  CHECK(test.await(hang_up).status == Status::connection_reset);
}

TEST("sim: after the peer's FIN this side may go on writing") {
  Fixture test;
  Pair pair(&test);
  pair.peer.finish();
  std::string text;
  CHECK_EQ(test.read(pair.socket, &text).bytes, 0U);
  CHECK(test.write(pair.socket, "still here").status == Status::ok);
  CHECK_EQ(pair.peer.receive_text(), "still here");
  CHECK(!pair.peer.ended());
}

TEST("sim: after shutdown_write this side may go on reading, and writing is a broken pipe") {
  Fixture test;
  Pair pair(&test);
  CHECK(test.write(pair.socket, "bye").status == Status::ok);
  CHECK(test.port.shutdown_write(pair.socket) == Status::ok);
  CHECK(!pair.peer.ended());
  CHECK_EQ(pair.peer.receive_text(), "bye");
  CHECK(pair.peer.ended());
  CHECK(test.write(pair.socket, "more").status == Status::broken_pipe);
  pair.peer.send("an answer");
  std::string text;
  CHECK(test.read(pair.socket, &text).status == Status::ok);
  CHECK_EQ(text, "an answer");
}

TEST("sim: shutdown_write ends a write that still waits for room") {
  SimFaults faults;
  faults.send_buffer_bytes = 4;
  Fixture test(faults);
  Pair pair(&test);
  CHECK_EQ(test.write(pair.socket, "full").bytes, 4U);
  const iocp::ConstBytes slice = sim_test::bytes_of("late");
  Operation late;
  REQUIRE(test.port.submit_write(&late, pair.socket, std::span(&slice, 1)).pending);
  CHECK(test.port.shutdown_write(pair.socket) == Status::ok);
  CHECK(test.await(late).status == Status::broken_pipe);
}

TEST("sim: a normal close delivers what was written, then the end") {
  Fixture test(delayed(20));
  Pair pair(&test);
  CHECK(test.write(pair.socket, "queued").status == Status::ok);
  pair.close(CloseMode::normal);
  test.world.advance(20);
  CHECK_EQ(pair.peer.receive_text(), "queued");
  CHECK(pair.peer.ended());
  CHECK(!pair.peer.was_reset());
}

TEST("sim: a reset close overtakes and discards what was written") {
  Fixture test(delayed(20));
  Pair pair(&test);
  CHECK(test.write(pair.socket, "lost").status == Status::ok);
  pair.close(CloseMode::reset);
  test.world.advance(20);
  CHECK(pair.peer.was_reset());
  CHECK_EQ(pair.peer.receive_text(), "");
}

TEST("sim: closing with unread bytes resets the connection, as Linux does") {
  Fixture test;
  Pair pair(&test);
  pair.peer.send("never read");
  pair.close(CloseMode::normal);
  CHECK(pair.peer.was_reset());
}

TEST("sim: bytes that reach a closed socket are answered with a reset") {
  Fixture test(delayed(5));
  Pair pair(&test);
  pair.close(CloseMode::normal);
  pair.peer.send("too late");
  test.world.advance(5);
  CHECK(!pair.peer.was_reset());
  test.world.advance(5);
  CHECK(pair.peer.was_reset());
}

TEST("sim: a reader gets what had arrived before a reset, then the error, and the error stays") {
  Fixture test;
  Pair pair(&test);
  pair.peer.send("arrived");
  pair.peer.reset();
  std::string text;
  CHECK(test.read_now(pair.socket, &text) == Status::ok);
  CHECK_EQ(text, "arrived");
  CHECK(test.read_now(pair.socket, &text) == Status::connection_reset);
  CHECK(test.read(pair.socket, &text).status == Status::connection_reset);
}

TEST("sim: a reset ends a pending read, a pending write and a zero-byte read wakes") {
  SimFaults faults;
  faults.send_buffer_bytes = 1;
  Fixture test(faults);
  Pair pair(&test);
  CHECK_EQ(test.write(pair.socket, "1").bytes, 1U);
  std::array<std::uint8_t, 8> buffer = {};
  const iocp::ConstBytes slice = sim_test::bytes_of("2");
  Operation read;
  Operation write;
  Operation zero_byte_read;
  REQUIRE(test.port.submit_read(&read, pair.socket, buffer).pending);
  REQUIRE(test.port.submit_write(&write, pair.socket, std::span(&slice, 1)).pending);
  REQUIRE(test.port.submit_zero_byte_read(&zero_byte_read, pair.socket).pending);
  pair.peer.reset();
  CHECK(test.await(read).status == Status::connection_reset);
  CHECK(test.await(write).status == Status::connection_reset);
  CHECK(test.await(zero_byte_read).status == Status::ok);
  CHECK(test.port.shutdown_write(pair.socket) == Status::not_connected);
}

TEST("sim: a zero-byte read completes when bytes arrive and takes none of them") {
  Fixture test(delayed(3));
  Pair pair(&test);
  Operation operation;
  REQUIRE(test.port.submit_zero_byte_read(&operation, pair.socket).pending);
  pair.peer.send("x");
  CHECK(!test.is_done(operation));
  CHECK(test.await(operation).status == Status::ok);
  std::string text;
  CHECK(test.read_now(pair.socket, &text) == Status::ok);
  CHECK_EQ(text, "x");
  CHECK(test.read_now(pair.socket, &text) == Status::would_block);
}

TEST("sim: a writer blocks when the peer does not read, and goes on when it does") {
  SimFaults faults;
  faults.send_buffer_bytes = 10;
  Fixture test(faults);
  Pair pair(&test);
  CHECK_EQ(test.write(pair.socket, "0123456789ab").bytes, 10U);
  const iocp::ConstBytes slice = sim_test::bytes_of("ab");
  Operation operation;
  REQUIRE(test.port.submit_write(&operation, pair.socket, std::span(&slice, 1)).pending);
  CHECK(!test.is_done(operation));
  CHECK_EQ(test.port.counters().blocked_writes, 1U);
  CHECK_EQ(pair.peer.receive_text(), "0123456789");
  CHECK_EQ(test.await(operation).bytes, 2U);
  CHECK_EQ(pair.peer.receive_text(), "ab");
}

TEST("sim: a scripted peer's bytes wait for room and are followed by its FIN") {
  SimFaults faults;
  faults.send_buffer_bytes = 3;
  Fixture test(faults);
  Pair pair(&test);
  pair.peer.send("abcdefgh");
  pair.peer.finish();
  CHECK_EQ(pair.peer.unsent(), 5U);
  std::string all;
  std::string text;
  while (test.read(pair.socket, &text).bytes != 0) all += text;
  CHECK_EQ(all, "abcdefgh");
  CHECK_EQ(pair.peer.unsent(), 0U);
}

TEST("sim: a gather write sends its slices in order") {
  Fixture test;
  Pair pair(&test);
  const std::array<iocp::ConstBytes, 3> slices = {sim_test::bytes_of("one "), sim_test::bytes_of(""),
                                                  sim_test::bytes_of("two")};
  Operation operation;
  CHECK_EQ(test.finish(test.port.submit_write(&operation, pair.socket, slices), operation).bytes, 7U);
  CHECK_EQ(pair.peer.receive_text(), "one two");
}

TEST("sim: closing a socket cancels what is pending on it and keeps results already reached") {
  SimFaults faults;
  faults.completion_delay_min_ms = faults.completion_delay_max_ms = 5;
  Fixture test(faults);
  Pair pair(&test);
  std::array<std::uint8_t, 4> first = {};
  std::array<std::uint8_t, 4> second = {};
  Operation reached;
  Operation waiting;
  REQUIRE(test.port.submit_read(&reached, pair.socket, first).pending);
  REQUIRE(test.port.submit_read(&waiting, pair.socket, second).pending);
  pair.peer.send("hi");
  CHECK_EQ(first[0], 0U);
  pair.close(CloseMode::normal);
  CHECK_EQ(test.await(reached).bytes, 2U);
  CHECK_EQ(first[0], static_cast<std::uint8_t>('h'));
  CHECK(test.await(waiting).status == Status::cancelled);
}

TEST("sim: cancel ends one operation and leaves the others") {
  Fixture test;
  Pair pair(&test);
  std::array<std::uint8_t, 4> first = {};
  std::array<std::uint8_t, 4> second = {};
  Operation cancelled;
  Operation kept;
  REQUIRE(test.port.submit_read(&cancelled, pair.socket, first).pending);
  REQUIRE(test.port.submit_read(&kept, pair.socket, second).pending);
  test.port.cancel(&cancelled, pair.socket);
  CHECK(test.await(cancelled).status == Status::cancelled);
  pair.peer.send("x");
  CHECK_EQ(test.await(kept).bytes, 1U);
  CHECK_EQ(second[0], static_cast<std::uint8_t>('x'));
}
