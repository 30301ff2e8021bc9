// Random mixed traffic, compared with a model: whatever is done to a connection, each direction carries exactly
// the pattern that was written to it, in order, and then ends. The seed is printed at the start of a run.
#include <algorithm>
#include <array>
#include <deque>
#include <random>

#include "conformance/world.h"

namespace conformance {
namespace {

constexpr std::size_t kPairs = 8;
constexpr int kActions = 4'000;
constexpr std::size_t kMostReads = 4;
constexpr std::size_t kMostBytes = 100'000;

struct PendingRead {
  Operation* operation;
  Bytes* target;
};

// One direction of one connection: what the writer has sent, and what the reader has seen of it.
struct Direction {
  Socket* writer = nullptr;
  Socket* reader = nullptr;
  std::size_t first = 0;  // where in the endless pattern this direction starts
  std::size_t sent = 0;
  std::size_t received = 0;
  bool finished_sending = false;
  bool ended = false;
  Operation* writing = nullptr;
  Operation* readable = nullptr;
  bool write_pending = false;
  bool readable_pending = false;
  Bytes* outgoing = nullptr;
  std::deque<PendingRead> reads;
};

class Traffic {
 public:
  Traffic(World& world, std::uint64_t seed) : world_(world), random_(seed) {
    for (std::size_t i = 0; i < kPairs; ++i) {
      const Pair pair = world_.connected_pair();
      add(pair.client, pair.server);
      add(pair.server, pair.client);
    }
  }

  void run() {
    for (int i = 0; i < kActions; ++i) {
      act(directions_[below(directions_.size())]);
      if (below(3) == 0) static_cast<void>(world_.step(0));
      for (Direction& each : directions_) collect(each);
    }
    for (Direction& each : directions_) finish(each);
    for (const Direction& each : directions_) {
      CHECK(each.ended);
      CHECK_EQ(each.received, each.sent);
    }
  }

 private:
  std::size_t below(std::size_t limit) { return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_); }

  void add(Socket* writer, Socket* reader) {
    Direction& direction = directions_.emplace_back();
    direction.writer = writer;
    direction.reader = reader;
    direction.first = directions_.size() * 1'009;
    direction.writing = &world_.operation();
    direction.readable = &world_.operation();
    direction.outgoing = &world_.buffer(0);
  }

  void act(Direction& direction) {
    switch (below(8)) {
      case 0:
      case 1:
      case 2:
        start_write(direction, 1 + below(kMostBytes));
        return;
      case 3:
      case 4:
        start_read(direction, 1 + below(kMostBytes));
        return;
      case 5:
        start_zero_byte_read(direction);
        return;
      case 6:
        if (!direction.reads.empty()) {
          world_.port.cancel(direction.reads[below(direction.reads.size())].operation, direction.reader);
        }
        return;
      default:
        if (direction.readable_pending) world_.port.cancel(direction.readable, direction.reader);
        return;
    }
  }

  void start_write(Direction& direction, std::size_t size) {
    if (direction.write_pending || direction.finished_sending) return;
    if (below(200) == 0) return finish_sending(direction);
    *direction.outgoing = pattern(size, direction.first + direction.sent);
    direction.write_pending = true;
    world_.write(*direction.writing, direction.writer, *direction.outgoing);
  }

  void finish_sending(Direction& direction) {
    direction.finished_sending = true;
    CHECK_EQ(world_.port.shutdown_write(direction.writer), Status::ok);
  }

  void start_read(Direction& direction, std::size_t size) {
    if (direction.readable_pending || direction.reads.size() == kMostReads || direction.ended) return;
    direction.reads.push_back({&world_.operation(), &world_.buffer(size)});
    world_.read(*direction.reads.back().operation, direction.reader, *direction.reads.back().target);
  }

  // Never together with reads: which of them gets the bytes would be anybody's guess.
  void start_zero_byte_read(Direction& direction) {
    if (direction.readable_pending || !direction.reads.empty()) return;
    direction.readable_pending = true;
    world_.zero_byte_read(*direction.readable, direction.reader);
  }

  void collect(Direction& direction) {
    if (direction.write_pending && world_.finished(*direction.writing)) {
      const Result result = world_.result(*direction.writing);
      REQUIRE(result.status == Status::ok && result.bytes > 0);
      direction.sent += result.bytes;
      direction.write_pending = false;
    }
    if (direction.readable_pending && world_.finished(*direction.readable)) {
      direction.readable_pending = false;
      if (world_.result(*direction.readable).status == Status::ok) read_now(direction);
    }
    // Completions come in any order, but bytes only in the order of submission.
    while (!direction.reads.empty() && world_.finished(*direction.reads.front().operation)) {
      const PendingRead front = direction.reads.front();
      direction.reads.pop_front();
      const Result result = world_.result(*front.operation);
      if (result.status == Status::cancelled) {
        CHECK_EQ(result.bytes, 0U);
      } else {
        REQUIRE(result.status == Status::ok);
        take(direction, *front.target, result.bytes);
      }
    }
  }

  void read_now(Direction& direction) {
    Bytes target(1 + below(kMostBytes));
    std::uint32_t bytes = 0;
    REQUIRE(world_.port.read_now(direction.reader, target, &bytes) == Status::ok);
    take(direction, target, bytes);
  }

  void take(Direction& direction, const Bytes& target, std::uint32_t bytes) {
    REQUIRE(bytes <= target.size());
    if (bytes == 0) {
      CHECK(direction.finished_sending);
      CHECK_EQ(direction.received, direction.sent);
      direction.ended = true;
      return;
    }
    REQUIRE(!direction.ended);
    const Bytes expected = pattern(bytes, direction.first + direction.received);
    REQUIRE(std::equal(expected.begin(), expected.end(), target.begin()));
    direction.received += bytes;
  }

  void finish(Direction& direction) {
    while (!direction.ended) {
      if (!direction.write_pending && !direction.finished_sending) finish_sending(direction);
      if (!direction.readable_pending && direction.reads.empty()) start_read(direction, kMostBytes);
      if (!anything_finished(direction)) REQUIRE(world_.step(10'000) > 0);
      collect(direction);
    }
  }

  bool anything_finished(const Direction& direction) const {
    return (direction.write_pending && world_.finished(*direction.writing)) ||
           (direction.readable_pending && world_.finished(*direction.readable)) ||
           (!direction.reads.empty() && world_.finished(*direction.reads.front().operation));
  }

  World& world_;
  std::mt19937_64 random_;
  std::deque<Direction> directions_;
};

}  // namespace

TEST_WITHIN("random mixed traffic arrives as the model says", 30) {
  World world;
  Traffic traffic(world, test::seed());
  traffic.run();
}

TEST_WITHIN("closing everything in the middle of random traffic leaves no operation behind", 30) {
  for (std::uint64_t round = 0; round < 20; ++round) {
    World world;
    std::mt19937_64 random(test::seed() + round);
    std::vector<Pair> pairs(4);
    for (Pair& each : pairs) each = world.connected_pair();
    for (Pair& each : pairs) {
      Bytes& outgoing = world.buffer(1 + random() % 2'000'000);
      world.write(world.operation(), each.client, outgoing);
      world.read(world.operation(), each.server, world.buffer(1 + random() % 100'000));
      world.zero_byte_read(world.operation(), each.client);
      world.hang_up(world.operation(), each.client);
      world.hang_up(world.operation(), each.server);
    }
    for (Pair& each : pairs) {
      if (random() % 2 == 0) static_cast<void>(world.step(0));
      Socket* const first = random() % 2 == 0 ? each.client : each.server;
      world.close(first, random() % 2 == 0 ? CloseMode::normal : CloseMode::reset);
    }
  }
}

}  // namespace conformance
