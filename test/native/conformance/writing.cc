// Writes: gathered, larger than any buffer, against a slow reader, and after the end.
#include <algorithm>
#include <array>

#include "conformance/world.h"

namespace conformance {
namespace {

// A wait this long that finds nothing, with something due, has lost it. The harness's limit speaks first, except in
// virtual time.
constexpr std::int32_t kLostMs = 60'000;

// What is left of `slices` after the first `skipped` bytes.
std::vector<ConstBytes> rest_of(const std::vector<ConstBytes>& slices, std::size_t skipped) {
  std::vector<ConstBytes> rest;
  for (const ConstBytes slice : slices) {
    const std::size_t here = std::min(skipped, slice.size());
    skipped -= here;
    if (here < slice.size() || slice.empty()) rest.push_back(slice.subspan(here));
  }
  return rest;
}

// Reads 64 KiB at a time, when it is told that something is there, and compares with the pattern. Never waits for
// bytes by itself: the writer may have to go on first.
class SlowReader {
 public:
  SlowReader(World& world, Socket* socket) : world_(world), socket_(socket), readable_(world.operation()) {
    world_.zero_byte_read(readable_, socket_);
  }

  // False when nothing was there to read yet.
  bool read_some() {
    if (!world_.finished(readable_)) return false;
    REQUIRE(world_.result(readable_).status == Status::ok);
    Bytes chunk(64 * 1024);
    std::uint32_t bytes = 0;
    REQUIRE(world_.port.read_now(socket_, chunk, &bytes) == Status::ok);
    chunk.resize(bytes);
    REQUIRE(chunk == pattern(bytes, received_));
    received_ += bytes;
    world_.zero_byte_read(readable_, socket_);
    return true;
  }

  std::size_t received() const { return received_; }

 private:
  World& world_;
  Socket* socket_;
  Operation& readable_;
  std::size_t received_ = 0;
};

}  // namespace

TEST("a gathered write of many slices arrives byte for byte") {
  const Bytes whole = pattern(64 * 300);
  std::vector<ConstBytes> slices;
  std::vector<ConstBytes> rest;
  World world;
  const Pair pair = world.connected_pair();
  std::size_t at = 0;
  for (std::size_t i = 0; i < Port::kMaxSlices; ++i) {
    const std::size_t size = i % 16 == 3 ? 0 : (i * 37) % 300;
    slices.push_back(ConstBytes(whole).subspan(at, size));
    at += size;
  }
  Operation& writing = world.operation();
  Operation& reading = world.operation();
  Bytes& target = world.buffer(at);
  std::size_t sent = 0;
  std::size_t received = 0;
  while (sent < at) {
    rest = rest_of(slices, sent);
    world.write(writing, pair.client, rest);
    const Result result = world.result(writing);
    REQUIRE(result.status == Status::ok && result.bytes > 0);
    sent += result.bytes;
  }
  while (received < at) {
    world.read(reading, pair.server, MutableBytes(target).subspan(received));
    const Result result = world.result(reading);
    REQUIRE(result.status == Status::ok && result.bytes > 0);
    received += result.bytes;
  }
  CHECK(target == Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(at)));
}

TEST("write_now takes what fits, in order, and says would_block when nothing does") {
  const Bytes sent = pattern(8 * 1024 * 1024);
  World world;
  const Pair pair = world.connected_pair();
  std::size_t taken = 0;
  Status status = Status::ok;
  while (taken < sent.size()) {
    const ConstBytes rest = ConstBytes(sent).subspan(taken);
    const std::array<ConstBytes, 2> slices = {rest.first(rest.size() / 3), rest.subspan(rest.size() / 3)};
    std::uint32_t bytes = 0;
    status = world.port.write_now(pair.client, slices, &bytes);
    if (status != Status::ok) break;
    REQUIRE(bytes > 0);
    taken += bytes;
  }
  CHECK_EQ(status, Status::would_block);
  CHECK(world.receive(pair.server, taken) == Bytes(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(taken)));
}

TEST("write_now after shutdown_write fails") {
  const Bytes bytes = text("too late");
  World world;
  const Pair pair = world.connected_pair();
  REQUIRE(world.port.shutdown_write(pair.client) == Status::ok);
  const std::array<ConstBytes, 1> slices = {bytes};
  std::uint32_t count = 0;
  const Status status = world.port.write_now(pair.client, slices, &count);
  CHECK(status == Status::broken_pipe || status == Status::not_connected || status == Status::connection_aborted);
}

TEST_WITHIN("sixteen MiB to a slow reader arrive byte for byte, one write at a time", 30) {
  constexpr std::size_t kTotal = 16 * 1024 * 1024;
  const Bytes whole = pattern(kTotal);
  World world;
  const Pair pair = world.connected_pair();
  Operation& writing = world.operation();
  SlowReader reader(world, pair.server);
  std::size_t sent = 0;
  world.write(writing, pair.client, whole);
  while (reader.received() < kTotal || sent < kTotal) {
    const bool wrote = world.finished(writing);
    if (wrote) {
      const Result result = world.result(writing);
      REQUIRE(result.status == Status::ok && result.bytes > 0);
      sent += result.bytes;
      if (sent < kTotal) world.write(writing, pair.client, ConstBytes(whole).subspan(sent));
    }
    if (!reader.read_some() && !wrote) REQUIRE(world.step(kLostMs) > 0);
  }
  CHECK_EQ(sent, kTotal);
  CHECK_EQ(reader.received(), kTotal);
}

TEST("a write that found the socket full completes when the peer reads") {
  World world;
  const Pair pair = world.connected_pair();
  std::size_t taken = 0;
  Operation& writing = world.fill(pair.client, &taken);
  SlowReader reader(world, pair.server);
  while (!world.finished(writing)) {
    if (!reader.read_some()) REQUIRE(world.step(kLostMs) > 0);
  }
  const Result result = world.result(writing);
  CHECK_EQ(result.status, Status::ok);
  CHECK(result.bytes > 0);
  taken += result.bytes;
  while (reader.received() < taken) {
    if (!reader.read_some()) REQUIRE(world.step(kLostMs) > 0);
  }
  CHECK_EQ(reader.received(), taken);
}

TEST("a pending write completes with an error when the peer resets") {
  World world;
  const Pair pair = world.connected_pair();
  std::size_t taken = 0;
  Operation& writing = world.fill(pair.client, &taken);
  world.close(pair.server, CloseMode::reset);
  const Status status = world.result(writing).status;
  CHECK(status == Status::connection_reset || status == Status::broken_pipe || status == Status::connection_aborted);
}

TEST("bytes sent before a normal close all arrive") {
  const Bytes sent = pattern(100'000);
  World world;
  const Pair pair = world.connected_pair();
  Operation& writing = world.operation();
  Bytes received;
  std::size_t at = 0;
  while (at < sent.size()) {
    world.write(writing, pair.client, ConstBytes(sent).subspan(at));
    const Result result = world.result(writing);
    REQUIRE(result.status == Status::ok);
    at += result.bytes;
  }
  world.close(pair.client);
  CHECK_EQ(world.receive_to_the_end(pair.server, &received).status, Status::ok);
  CHECK(received == sent);
}

TEST("after shutdown_write the peer reads the rest, then the end, and can still answer") {
  World world;
  const Pair pair = world.connected_pair();
  world.send_all(pair.client, text("last words"));
  CHECK_EQ(world.port.shutdown_write(pair.client), Status::ok);
  Bytes received;
  CHECK_EQ(world.receive_to_the_end(pair.server, &received).status, Status::ok);
  CHECK(received == text("last words"));
  world.send_all(pair.server, text("understood"));
  CHECK(world.receive(pair.client, 10) == text("understood"));
}

TEST("writing after shutdown_write fails") {
  const Bytes bytes = text("too late");
  World world;
  const Pair pair = world.connected_pair();
  REQUIRE(world.port.shutdown_write(pair.client) == Status::ok);
  Operation& writing = world.operation();
  world.write(writing, pair.client, bytes);
  const Status status = world.result(writing).status;
  CHECK(status == Status::broken_pipe || status == Status::not_connected || status == Status::connection_aborted);
}

TEST("reads and writes of one socket do not wait for each other") {
  World world;
  const Pair pair = world.connected_pair();
  std::size_t taken = 0;
  Operation& writing = world.fill(pair.client, &taken);
  world.send_all(pair.server, text("meanwhile"));
  CHECK(world.receive(pair.client, 9) == text("meanwhile"));
  CHECK(!world.finished(writing));
}

}  // namespace conformance
