// Transmits: a head and a range of a file, exact to the byte, in part, beyond 4 GiB, from files that change, and ended
// early. The peer reads through the contract too.
#include <algorithm>

#include "conformance/scratch.h"
#include "conformance/world.h"

namespace conformance {
namespace {

using iocp::File;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

File open_file(const Scratch& scratch, const std::string& name) {
  File file;
  REQUIRE(File::open_for_reading(scratch.path(name), &file) == Status::ok);
  return file;
}

// Cuts or extends a file behind its reader's back. (A file that a reader has open can be opened for writing.)
void resize(Scratch& scratch, const std::string& name, std::uint64_t size) {
  File file;
  REQUIRE(scratch.folder().open_to_resume(name, &file) == Status::ok);
  REQUIRE(file.truncate(size) == Status::ok);
  REQUIRE(file.close() == Status::ok);
}

struct Stretch {
  std::uint64_t offset = 0;
  std::size_t length = 0;
};

// Sends head and stretch in as many transmits as it takes, while the peer reads; what the peer got.
Bytes transmit_all(World& world, const Pair& pair, const File& file, Stretch stretch, ConstBytes head = {}) {
  const std::size_t total = head.size() + stretch.length;
  TransmitOperation& sending = world.transmit_operation();
  Operation& reading = world.operation();
  Bytes& chunk = world.buffer(64 * 1024);
  Bytes received;
  std::size_t sent = 0;
  const auto send_rest = [&] {
    const ConstBytes head_left = head.subspan(std::min(sent, head.size()));
    const std::size_t of_file = sent - std::min(sent, head.size());
    world.transmit(sending, pair.client, file, stretch.offset + of_file,
                   static_cast<std::uint32_t>(stretch.length - of_file), head_left);
  };
  send_rest();
  world.read(reading, pair.server, chunk);
  while (received.size() < total) {
    if (world.finished(sending)) {
      const Result result = world.result(sending);
      REQUIRE(result.status == Status::ok);
      REQUIRE(result.bytes > 0 && result.bytes <= total - sent);
      sent += result.bytes;
      if (sent < total) send_rest();
    }
    if (world.finished(reading)) {
      const Result result = world.result(reading);
      REQUIRE(result.status == Status::ok && result.bytes > 0);
      received.insert(received.end(), chunk.begin(), chunk.begin() + result.bytes);
      if (received.size() < total) world.read(reading, pair.server, chunk);
    } else if (!world.finished(sending)) {
      REQUIRE(world.step(60'000) > 0);
    }
  }
  while (sent < total) {
    const Result result = world.result(sending);
    REQUIRE(result.status == Status::ok);
    sent += result.bytes;
  }
  CHECK_EQ(sent, total);
  return received;
}

Bytes joined(const Bytes& first, const Bytes& second) {
  Bytes both = first;
  both.insert(both.end(), second.begin(), second.end());
  return both;
}

// The statuses with which a write tells that the connection is over.
bool connection_ended(Status status) {
  return status == Status::connection_reset || status == Status::broken_pipe || status == Status::connection_aborted ||
         status == Status::not_connected;
}

// Begins to send 4 MiB, reads a little, and has `give_up` end it: before the first call of the system, during one, and
// when the socket has been full.
template <typename GiveUp>
void give_up_at_any_moment(std::size_t rounds, std::size_t rounds_per_read, GiveUp&& give_up) {
  constexpr std::size_t kTotal = 4 * 1024 * 1024;
  Scratch scratch;
  scratch.write_sparse("large.bin", kTotal, pattern(10));
  const File file = open_file(scratch, "large.bin");
  World world;
  const Listener listener = world.listen();
  Bytes target(16 * 1024);
  for (std::size_t round = 0; round < rounds; ++round) {
    const Pair pair = world.connected_pair(listener);
    TransmitOperation& sending = world.transmit_operation();
    world.transmit(sending, pair.client, file, 0, kTotal);
    for (std::size_t reads = 0; reads < round / rounds_per_read; ++reads) {
      std::uint32_t bytes = 0;
      world.step(0);
      static_cast<void>(world.port.read_now(pair.server, target, &bytes));
    }
    give_up(round, world, pair, sending);
  }
  CHECK_EQ(world.pending(), 0U);
}

}  // namespace

TEST("transmit: the head and the range arrive byte for byte, and the stream goes on behind them") {
  const Bytes head = text("five!");
  Scratch scratch;
  scratch.write("a.bin", pattern(100'000));
  const File file = open_file(scratch, "a.bin");
  World world;
  const Pair pair = world.connected_pair();
  CHECK(transmit_all(world, pair, file, {40'000, 20'000}, head) == joined(head, pattern(20'000, 40'000)));
  world.send_all(pair.client, text("after"));
  CHECK(world.receive(pair.server, 5) == text("after"));
}

TEST("transmit: a range needs no head, and a head needs no range") {
  const Bytes head = text("an empty file follows");
  Scratch scratch;
  scratch.write("a.bin", pattern(1'000));
  scratch.write("empty.bin", {});
  const File file = open_file(scratch, "a.bin");
  const File empty = open_file(scratch, "empty.bin");
  World world;
  const Pair pair = world.connected_pair();
  CHECK(transmit_all(world, pair, file, {0, 1'000}) == pattern(1'000));
  CHECK(transmit_all(world, pair, empty, {0, 0}, head) == head);
}

TEST_WITHIN("transmit: eight MiB to a peer that reads 64 KiB at a time arrive byte for byte", 30) {
  constexpr std::size_t kTotal = 8 * 1024 * 1024;
  const Bytes head = pattern(9, 77);
  Scratch scratch;
  const Bytes contents = pattern(kTotal);
  scratch.write("a.bin", contents);
  const File file = open_file(scratch, "a.bin");
  World world;
  const Pair pair = world.connected_pair();
  const bool exact = transmit_all(world, pair, file, {0, kTotal}, head) == joined(head, contents);
  CHECK(exact);
}

TEST("transmit: offsets above 4 GiB are exact") {
  Scratch scratch;
  const std::uint64_t offset = 4 * kGiB + 54'321;
  scratch.write_sparse("large.bin", offset, pattern(50'000));
  const File file = open_file(scratch, "large.bin");
  World world;
  const Pair pair = world.connected_pair();
  Bytes expected(100);
  const Bytes written = pattern(50'000);
  expected.insert(expected.end(), written.begin(), written.end());
  CHECK(transmit_all(world, pair, file, {offset - 100, 50'100}) == expected);
}

TEST("transmit: an offset beyond 2^63 - 1 is refused, and nothing is sent") {
  Scratch scratch;
  scratch.write("a.bin", pattern(10));
  const File file = open_file(scratch, "a.bin");
  World world;
  const Pair pair = world.connected_pair();
  TransmitOperation& sending = world.transmit_operation();
  world.transmit(sending, pair.client, file, UINT64_MAX - 5, 10);
  CHECK_EQ(world.result(sending).status, Status::file_too_large);
  world.send_all(pair.client, text("fine"));
  CHECK(world.receive(pair.server, 4) == text("fine"));
}

TEST("transmit: of a file that shrank goes what is left, then file_shrank, and the connection is as it was") {
  Scratch scratch;
  scratch.write("a.bin", pattern(10'000));
  const File file = open_file(scratch, "a.bin");
  resize(scratch, "a.bin", 4'000);
  World world;
  const Pair pair = world.connected_pair();
  TransmitOperation& sending = world.transmit_operation();
  std::size_t sent = 0;
  for (;;) {
    world.transmit(sending, pair.client, file, sent, static_cast<std::uint32_t>(10'000 - sent));
    const Result result = world.result(sending);
    if (result.status == Status::file_shrank) {
      CHECK_EQ(result.bytes, 0U);
      break;
    }
    REQUIRE(result.status == Status::ok && result.bytes > 0);
    sent += result.bytes;
  }
  CHECK_EQ(sent, 4'000U);
  world.send_all(pair.client, text("still here"));
  CHECK(world.receive(pair.server, 4'010) == joined(pattern(4'000), text("still here")));
}

TEST("transmit: the head of a range that is gone goes out all the same, and the rest is told") {
  const Bytes head = text("head");
  Scratch scratch;
  scratch.write("a.bin", pattern(100));
  const File file = open_file(scratch, "a.bin");
  resize(scratch, "a.bin", 0);
  World world;
  const Pair pair = world.connected_pair();
  TransmitOperation& sending = world.transmit_operation();
  std::size_t sent = 0;
  while (sent < head.size()) {
    world.transmit(sending, pair.client, file, 0, 100, ConstBytes(head).subspan(sent));
    const Result result = world.result(sending);
    REQUIRE(result.status == Status::ok && result.bytes > 0);
    sent += result.bytes;
  }
  CHECK_EQ(sent, head.size());
  world.transmit(sending, pair.client, file, 0, 100);
  CHECK_EQ(world.result(sending).status, Status::file_shrank);
  world.send_all(pair.client, text("tail"));
  CHECK(world.receive(pair.server, 8) == text("headtail"));
}

TEST("transmit: of a file that grew goes what was asked for and no more") {
  Scratch scratch;
  scratch.write("a.bin", pattern(1'000));
  const File file = open_file(scratch, "a.bin");
  resize(scratch, "a.bin", 5'000);
  World world;
  const Pair pair = world.connected_pair();
  CHECK(transmit_all(world, pair, file, {0, 1'000}) == pattern(1'000));
  world.send_all(pair.client, text("x"));
  CHECK(world.receive(pair.server, 1) == text("x"));
}

TEST("transmit: one that found the socket full waits, and goes on when the peer reads") {
  Scratch scratch;
  scratch.write("a.bin", pattern(10'000));
  const File file = open_file(scratch, "a.bin");
  World world;
  const Pair pair = world.connected_pair();
  std::size_t taken = 0;
  Operation& filling = world.fill(pair.client, &taken);
  world.port.cancel(&filling, pair.client);
  const Result filled = world.result(filling);
  REQUIRE(filled.status == Status::ok || filled.status == Status::cancelled);
  taken += filled.bytes;
  TransmitOperation& sending = world.transmit_operation();
  world.transmit(sending, pair.client, file, 0, 10'000);
  CHECK(world.step(0) == 0 || world.finished(sending));
  const Bytes before = world.receive(pair.server, taken);
  const Result result = world.result(sending);
  REQUIRE(result.status == Status::ok && result.bytes > 0);
  CHECK(world.receive(pair.server, result.bytes) == pattern(result.bytes));
}

TEST("transmit: closing the socket ends a pending one, and the file may be closed then") {
  Scratch scratch;
  scratch.write_sparse("large.bin", 64 * 1024 * 1024, pattern(10));
  File file = open_file(scratch, "large.bin");
  World world;
  const Pair pair = world.connected_pair();
  TransmitOperation& sending = world.transmit_operation();
  std::uint64_t offset = 0;
  for (;;) {
    world.transmit(sending, pair.client, file, offset, 16 * 1024 * 1024);
    while (!world.finished(sending) && world.step(20) != 0) continue;
    if (!world.finished(sending)) break;
    const Result result = world.result(sending);
    REQUIRE(result.status == Status::ok);
    offset += result.bytes;
    REQUIRE(offset < 48 * 1024 * 1024);
  }
  world.close(pair.client, CloseMode::reset);
  const Status status = world.result(sending).status;
  CHECK(status == Status::cancelled || status == Status::ok);
  CHECK_EQ(file.close(), Status::ok);
}

TEST("transmit: a cancelled one completes once, and the socket lives on") {
  Scratch scratch;
  scratch.write_sparse("large.bin", 64 * 1024 * 1024, pattern(10));
  const File file = open_file(scratch, "large.bin");
  World world;
  const Pair pair = world.connected_pair();
  TransmitOperation& sending = world.transmit_operation();
  std::uint64_t sent = 0;
  for (;;) {
    world.transmit(sending, pair.client, file, sent, 8 * 1024 * 1024);
    while (!world.finished(sending) && world.step(20) != 0) continue;
    if (!world.finished(sending)) break;
    sent += world.result(sending).bytes;
  }
  world.port.cancel(&sending, pair.client);
  const Result ended = world.result(sending);
  CHECK(ended.status == Status::cancelled || ended.status == Status::ok);
  world.port.cancel(&sending, pair.client);
  world.settle();
  CHECK(!world.finished(sending));
}

TEST_WITHIN("transmit: closed at any moment, by either side, it ends exactly once", 60) {
  give_up_at_any_moment(60, 3, [](std::size_t round, World& world, const Pair& pair, TransmitOperation& sending) {
    const bool by_peer = round % 3 == 2;
    if (!by_peer) world.close(pair.client, round % 3 == 0 ? CloseMode::normal : CloseMode::reset);
    if (by_peer) world.close(pair.server, CloseMode::reset);
    const Result ended = world.result(sending);
    CHECK(ended.status == Status::ok || ended.status == Status::cancelled ||
          (by_peer && connection_ended(ended.status)));
    CHECK_EQ(ended.bytes != 0, ended.status == Status::ok);
    if (by_peer) world.close(pair.client);
    if (!by_peer) world.close(pair.server, CloseMode::reset);
  });
}

TEST_WITHIN("transmit: cancelled at any moment it ends exactly once", 60) {
  give_up_at_any_moment(20, 1, [](std::size_t, World& world, const Pair& pair, TransmitOperation& sending) {
    world.port.cancel(&sending, pair.client);
    const Result ended = world.result(sending);
    CHECK(ended.status == Status::ok || ended.status == Status::cancelled);
    CHECK_EQ(ended.bytes != 0, ended.status == Status::ok);
    world.close(pair.client);
    world.close(pair.server, CloseMode::reset);
  });
}

TEST("transmit: to a peer that reset it fails as a write does, and raises no signal") {
  Scratch scratch;
  scratch.write("a.bin", pattern(100'000));
  const File file = open_file(scratch, "a.bin");
  World world;
  const Pair pair = world.connected_pair();
  world.close(pair.server, CloseMode::reset);
  TransmitOperation& sending = world.transmit_operation();
  Status status = Status::ok;
  while (status == Status::ok) {
    world.transmit(sending, pair.client, file, 0, 100'000);
    status = world.result(sending).status;
  }
  CHECK(connection_ended(status));
  world.transmit(sending, pair.client, file, 0, 100'000);
  CHECK(connection_ended(world.result(sending).status));
}

TEST("transmit: after shutdown_write it fails, with a head and without, and raises no signal") {
  const Bytes head = text("head");
  Scratch scratch;
  scratch.write("a.bin", pattern(1'000));
  const File file = open_file(scratch, "a.bin");
  World world;
  const Pair pair = world.connected_pair();
  REQUIRE(world.port.shutdown_write(pair.client) == Status::ok);
  TransmitOperation& sending = world.transmit_operation();
  for (const ConstBytes each : {ConstBytes(head), ConstBytes()}) {
    world.transmit(sending, pair.client, file, 0, 1'000, each);
    CHECK(connection_ended(world.result(sending).status));
  }
}

TEST("transmit: reads and transmits of one socket do not wait for each other") {
  Scratch scratch;
  scratch.write("a.bin", pattern(3'000));
  const File file = open_file(scratch, "a.bin");
  World world;
  const Pair pair = world.connected_pair();
  Operation& reading = world.operation();
  Bytes& target = world.buffer(16);
  world.read(reading, pair.client, target);
  CHECK(transmit_all(world, pair, file, {0, 3'000}) == pattern(3'000));
  CHECK(!world.finished(reading));
  world.send_all(pair.server, text("x"));
  CHECK_EQ(world.result(reading).bytes, 1U);
}

TEST("transmit: what it moved is counted, and is not counted as a write") {
  const Bytes head = text("head");
  Scratch scratch;
  scratch.write("a.bin", pattern(3'000));
  const File file = open_file(scratch, "a.bin");
  World world;
  const Pair pair = world.connected_pair();
  const iocp::PortCounters before = world.port.counters();
  static_cast<void>(transmit_all(world, pair, file, {0, 3'000}, head));
  const iocp::PortCounters after = world.port.counters();
  CHECK(after.transmits > before.transmits);
  CHECK_EQ(after.transmit_bytes - before.transmit_bytes, 3'004U);
  CHECK_EQ(after.writes, before.writes);
}

}  // namespace conformance
