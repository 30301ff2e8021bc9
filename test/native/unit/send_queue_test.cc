// The queue of outgoing bytes against a plain string of bytes: what is gathered is its front, in order, and the
// memory gathered stays where and what it is until it is consumed.
#include "core/send_queue.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <vector>

#include "core/limits.h"
#include "support/test.h"
#include "unit/random.h"

using iocp::BufferPool;
using iocp::ConstBytes;
using iocp::SendQueue;
using iocp::SharedBytes;
using unit::Bytes;
using unit::bytes_of;
using unit::Random;

namespace {

using Slices = std::array<ConstBytes, 16>;

Bytes joined(const Slices& slices, std::size_t count) {
  Bytes all;
  for (std::size_t i = 0; i < count; ++i) unit::append(&all, slices[i]);
  return all;
}

SharedBytes* shared_copy(const Bytes& bytes) {
  SharedBytes* shared = SharedBytes::create(bytes.size());
  REQUIRE(shared != nullptr);
  if (!bytes.empty()) std::memcpy(shared->data(), bytes.data(), bytes.size());
  return shared;
}

// A queue and what it must hold.
struct Modelled {
  explicit Modelled(std::size_t buffer_bytes) : pool(buffer_bytes, 4) {}
  ~Modelled() { queue.clear(pool); }
  Modelled(const Modelled&) = delete;
  Modelled& operator=(const Modelled&) = delete;

  BufferPool pool;
  SendQueue queue;
  std::deque<std::uint8_t> expected;

  void expect(const Bytes& bytes) { expected.insert(expected.end(), bytes.begin(), bytes.end()); }

  void append_random(Random& random) {
    const Bytes first = random.bytes(static_cast<std::size_t>(random.below(20)));
    const Bytes second = random.bytes(static_cast<std::size_t>(random.below(random.chance(20) ? 2'000 : 100)));
    if (random.chance(25)) {
      SharedBytes* shared = shared_copy(second);
      REQUIRE(queue.append_shared(shared));
      shared->release();
    } else {
      REQUIRE(queue.append_copy(pool, {first, second, {}}));
      expect(first);
    }
    expect(second);
  }

  // Gathers, appends on top as a worker's owner may while the write is in flight, and consumes a part.
  void write_random(Random& random) {
    Slices slices;
    const std::size_t wanted = static_cast<std::size_t>(random.between(1, slices.size()));
    const std::size_t count = queue.gather(std::span(slices).first(wanted));
    const Bytes gathered = joined(slices, count);
    for (std::uint64_t i = random.below(5); i > 0; --i) append_random(random);
    REQUIRE(joined(slices, count) == gathered);
    REQUIRE(gathered.size() <= expected.size());
    REQUIRE(std::equal(gathered.begin(), gathered.end(), expected.begin()));
    REQUIRE(count == wanted || gathered.size() <= expected.size());
    const std::uint64_t written = random.chance(30) ? gathered.size() : random.below(gathered.size() + 1);
    queue.consume(pool, written);
    expected.erase(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(written));
  }
};

}  // namespace

TEST("send queue: starts empty, and empty parts leave it empty") {
  BufferPool pool(iocp::kSendBufferBytes, 0);
  SendQueue queue;
  CHECK(queue.empty());
  CHECK_EQ(queue.queued_bytes(), 0U);
  CHECK(queue.append_copy(pool, {}));
  CHECK(queue.append_copy(pool, {ConstBytes{}, ConstBytes{}}));
  SharedBytes* nothing = SharedBytes::create(0);
  CHECK(queue.append_shared(nothing));
  nothing->release();
  CHECK(queue.empty());
  Slices slices;
  CHECK_EQ(queue.gather(slices), 0U);
  CHECK_EQ(pool.counts().in_use, 0U);
}

TEST("send queue: many small packages leave in one slice of one buffer") {
  BufferPool pool(iocp::kSendBufferBytes, 0);
  SendQueue queue;
  Bytes expected;
  for (int i = 0; i < 100; ++i) {
    const Bytes header = bytes_of({i, 0, 0, 0});
    const Bytes payload(10, static_cast<std::uint8_t>(i));
    CHECK(queue.append_copy(pool, {header, payload}));
    unit::append(&expected, header);
    unit::append(&expected, payload);
  }
  CHECK_EQ(queue.queued_bytes(), 1'400U);
  Slices slices;
  CHECK_EQ(queue.gather(slices), 1U);
  CHECK(joined(slices, 1) == expected);
  CHECK_EQ(pool.counts().in_use, 1U);
  queue.consume(pool, 1'400);
  CHECK(queue.empty());
  CHECK_EQ(pool.counts().in_use, 0U);
}

TEST("send queue: a copy larger than a buffer is spread over several, in order") {
  BufferPool pool(256, 0);
  SendQueue queue;
  Random random;
  const Bytes payload = random.bytes(2'000);
  CHECK(queue.append_copy(pool, {bytes_of("x"), payload}));
  Slices slices;
  const std::size_t count = queue.gather(slices);
  CHECK(count > 1);
  Bytes expected = bytes_of("x");
  unit::append(&expected, payload);
  CHECK(joined(slices, count) == expected);
  queue.clear(pool);
  CHECK_EQ(pool.counts().in_use, 0U);
}

TEST("send queue: shared bytes are referred to, by two queues at once, and never copied") {
  BufferPool pool(256, 0);
  SendQueue one;
  SendQueue other;
  SharedBytes* shared = shared_copy(bytes_of("for everybody"));
  CHECK(one.append_shared(shared));
  CHECK(other.append_shared(shared));
  const std::uint8_t* const memory = shared->data();
  shared->release();
  Slices slices;
  CHECK_EQ(one.gather(slices), 1U);
  CHECK(slices[0].data() == memory);
  one.consume(pool, one.queued_bytes());
  CHECK(one.empty());
  CHECK_EQ(other.gather(slices), 1U);
  CHECK(slices[0].data() == memory);
  CHECK(joined(slices, 1) == bytes_of("for everybody"));
  other.clear(pool);
}

TEST("send queue: the order of copied and shared bytes is the order they were queued in") {
  BufferPool pool(256, 0);
  SendQueue queue;
  SharedBytes* shared = shared_copy(bytes_of("-shared-"));
  CHECK(queue.append_copy(pool, {bytes_of("before")}));
  CHECK(queue.append_shared(shared));
  CHECK(queue.append_copy(pool, {bytes_of("after")}));
  shared->release();
  Slices slices;
  CHECK(joined(slices, queue.gather(slices)) == bytes_of("before-shared-after"));
  queue.consume(pool, 8);
  CHECK_EQ(queue.queued_bytes(), 11U);
  CHECK(joined(slices, queue.gather(slices)) == bytes_of("hared-after"));
  queue.clear(pool);
}

TEST("send queue: gathers no more slices than there is room for") {
  BufferPool pool(256, 0);
  SendQueue queue;
  SharedBytes* shared = shared_copy(bytes_of("0123456789"));
  for (int i = 0; i < 10; ++i) CHECK(queue.append_shared(shared));
  shared->release();
  Slices slices;
  CHECK_EQ(queue.gather(std::span(slices).first(3)), 3U);
  CHECK_EQ(queue.gather(slices), 10U);
  queue.clear(pool);
  CHECK_EQ(queue.queued_bytes(), 0U);
}

TEST("send queue: random appends, writes and partial writes keep every byte in order") {
  Random random;
  for (int turn = 0; turn < 100; ++turn) {
    Modelled model(static_cast<std::size_t>(random.between(64, 600)));
    for (int step = 0; step < 200; ++step) {
      if (random.chance(50)) {
        model.append_random(random);
      } else {
        model.write_random(random);
      }
      REQUIRE(model.queue.queued_bytes() == model.expected.size());
      REQUIRE(model.queue.empty() == model.expected.empty());
    }
    model.queue.clear(model.pool);
    REQUIRE(model.queue.empty());
    REQUIRE(model.queue.queued_bytes() == 0);
    REQUIRE(model.pool.counts().in_use == 0);
  }
}
