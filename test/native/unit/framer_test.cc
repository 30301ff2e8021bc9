// The framer against a reference model: however a stream is cut into segments, and however often the sink refuses,
// the same packages come out, in order, each once.
#include "core/framer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "support/test.h"
#include "unit/framer_fixture.h"
#include "unit/random.h"

using iocp::ConstBytes;
using iocp::FeedResult;
using iocp::Framer;
using iocp::Framing;
using iocp::FramingType;
using iocp::kInlinePayloadMax;
using iocp::MutableBytes;
using unit::add_package;
using unit::Bytes;
using unit::bytes_of;
using unit::expect_packages;
using unit::feed_all;
using unit::header_of;
using unit::Outcome;
using unit::Random;
using unit::Sink;
using unit::Stream;

namespace {

std::vector<Framing> framings() {
  std::vector<Framing> all;
  const std::pair<std::uint32_t, bool> widths[] = {{2, true}, {3, false}, {4, false}, {8, true}};
  for (const auto& [width, big_endian] : widths) {
    Framing framing;
    framing.width = width;
    framing.big_endian = big_endian;
    framing.offset = width == 3 ? 5 : 0;
    framing.adjust = width == 8 ? -8 : 0;
    all.push_back(framing);
  }
  Framing stripping;
  stripping.strip = 9;
  all.push_back(stripping);
  for (const std::uint32_t offset : {0U, 1U}) {
    Framing varint;
    varint.type = FramingType::varint;
    varint.offset = offset;
    all.push_back(varint);
  }
  for (const char* delimiter : {"\n", "\r\n", "-=-=-!"}) {
    for (const std::int64_t strip : {0, 1}) {
      Framing delimited;
      delimited.type = FramingType::delimiter;
      delimited.delimiter = bytes_of(delimiter);
      delimited.strip = strip;
      all.push_back(delimited);
    }
  }
  for (const std::uint64_t length : {1U, 7U, 20'000U}) {
    Framing fixed;
    fixed.type = FramingType::fixed;
    fixed.max_length = length;
    all.push_back(fixed);
  }
  return all;
}

std::size_t random_size(Random& random) {
  switch (random.below(10)) {
    case 0:
      return 0;
    case 1:
      return static_cast<std::size_t>(random.between(kInlinePayloadMax - 2, kInlinePayloadMax + 2));
    case 2:
      return static_cast<std::size_t>(random.between(20'000, 60'000));
    default:
      return static_cast<std::size_t>(random.below(300));
  }
}

Stream random_stream(Random& random, const Framing& framing, int count) {
  Stream stream;
  stream.framing = framing;
  for (int i = 0; i < count; ++i) {
    const bool fixed = framing.type == FramingType::fixed;
    Bytes payload = random.bytes(fixed ? static_cast<std::size_t>(framing.max_length) : random_size(random));
    if (framing.type == FramingType::delimiter) {
      // Full of false starts, and free of the delimiter itself.
      for (std::uint8_t& byte : payload) byte = static_cast<std::uint8_t>("-=-=\rx"[byte % 6]);
      if (framing.delimiter.size() == 1) payload.push_back('x');
    }
    add_package(&stream, payload);
  }
  return stream;
}

constexpr std::uint64_t kMebibyte = 1024 * 1024;

}  // namespace

TEST("framer: a stream that arrives at once yields its packages") {
  Random random;
  for (const Framing& framing : framings()) {
    const Stream stream = random_stream(random, framing, 40);
    Framer framer;
    Sink sink;
    CHECK(feed_all(framer, framing, stream.wire, sink) == Outcome::drained);
    expect_packages(stream, sink, framer);
  }
}

TEST("framer: a stream that arrives byte by byte yields the same packages") {
  Random random;
  for (const Framing& framing : framings()) {
    const Stream stream = random_stream(random, framing, 8);
    Framer framer;
    Sink sink;
    for (const std::uint8_t& byte : stream.wire) {
      REQUIRE(feed_all(framer, framing, ConstBytes(&byte, 1), sink) == Outcome::drained);
    }
    expect_packages(stream, sink, framer);
  }
}

TEST("framer: a stream cut at random, with a sink that refuses at random, yields the same packages") {
  Random random;
  int refusals = 0;
  for (int turn = 0; turn < 6; ++turn) {
    for (const Framing& framing : framings()) {
      const Stream stream = random_stream(random, framing, 12);
      const std::size_t longest = static_cast<std::size_t>(random.between(1, random.chance(50) ? 10 : 40'000));
      Framer framer;
      Sink sink;
      sink.random = &random;
      sink.refuse_percent = static_cast<std::uint32_t>(random.below(60));
      for (std::size_t at = 0; at < stream.wire.size();) {
        const std::size_t count =
            std::min(stream.wire.size() - at, static_cast<std::size_t>(random.between(1, longest)));
        REQUIRE(feed_all(framer, framing, ConstBytes(stream.wire).subspan(at, count), sink) == Outcome::drained);
        at += count;
      }
      expect_packages(stream, sink, framer);
      refusals += sink.refusals;
    }
  }
  CHECK(refusals > 0);
}

TEST("framer: without framing every segment is a package") {
  Framing framing;
  framing.type = FramingType::none;
  Framer framer;
  Sink sink;
  CHECK(feed_all(framer, framing, bytes_of("one"), sink) == Outcome::drained);
  CHECK(feed_all(framer, framing, {}, sink) == Outcome::drained);
  CHECK(feed_all(framer, framing, bytes_of("two"), sink) == Outcome::drained);
  CHECK(feed_all(framer, framing, Bytes(kInlinePayloadMax + 1, 'x'), sink) == Outcome::drained);
  CHECK(sink.packages == std::vector<Bytes>({bytes_of("one"), bytes_of("two"), Bytes(kInlinePayloadMax + 1, 'x')}));
  CHECK_EQ(sink.large_packages, 1);
  CHECK(!framer.mid_package());
}

TEST("framer: a payload of the inline limit travels inline, one byte more has memory of its own") {
  for (const bool in_two_segments : {false, true}) {
    Stream stream;
    add_package(&stream, Bytes(kInlinePayloadMax, 'a'));
    add_package(&stream, Bytes(kInlinePayloadMax + 1, 'b'));
    Framer framer;
    Sink sink;
    const std::size_t first = in_two_segments ? 100 : stream.wire.size();
    CHECK(feed_all(framer, {}, ConstBytes(stream.wire).first(first), sink) == Outcome::drained);
    CHECK(feed_all(framer, {}, ConstBytes(stream.wire).subspan(first), sink) == Outcome::drained);
    expect_packages(stream, sink, framer);
    CHECK_EQ(sink.inline_packages, 1);
    CHECK_EQ(sink.large_packages, 1);
  }
}

TEST("framer: a refused package is offered again, and nothing passes it") {
  Stream stream;
  for (const char* text : {"one", "two", "three"}) add_package(&stream, bytes_of(text));
  Framer framer;
  Sink sink;
  sink.refuse_all = true;
  const FeedResult refused = framer.feed({}, stream.wire, sink);
  CHECK(refused.outcome == Outcome::no_room);
  CHECK_EQ(refused.consumed, 0U);
  CHECK(sink.packages.empty());
  sink.refuse_all = false;
  CHECK(framer.feed({}, stream.wire, sink).outcome == Outcome::drained);
  expect_packages(stream, sink, framer);
}

TEST("framer: a refused package that had arrived in parts needs no byte more to be offered again") {
  for (const std::size_t size : {std::size_t{50}, kInlinePayloadMax + 50}) {
    Stream stream;
    add_package(&stream, Bytes(size, 'x'));
    Framer framer;
    Sink sink;
    CHECK(feed_all(framer, {}, ConstBytes(stream.wire).first(10), sink) == Outcome::drained);
    sink.refuse_all = true;
    const FeedResult refused = framer.feed({}, ConstBytes(stream.wire).subspan(10), sink);
    CHECK(refused.outcome == Outcome::no_room);
    CHECK_EQ(refused.consumed, stream.wire.size() - 10);
    CHECK(framer.feed({}, {}, sink).outcome == Outcome::no_room);
    CHECK(framer.mid_package());
    sink.refuse_all = false;
    CHECK(framer.feed({}, {}, sink).outcome == Outcome::drained);
    expect_packages(stream, sink, framer);
  }
}

TEST("framer: a partly received package tells how far it is") {
  Framer framer;
  Sink sink;
  CHECK(!framer.mid_package());
  CHECK_EQ(framer.partial_received(), 0U);
  framer.feed({}, bytes_of({100, 0}), sink);
  CHECK(framer.mid_package());
  CHECK_EQ(framer.partial_received(), 2U);
  CHECK_EQ(framer.partial_total(), 0U);
  CHECK(unit::copy_of(framer.partial_bytes()) == bytes_of({100, 0}));
  framer.feed({}, bytes_of({0, 0, 'x'}), sink);
  CHECK_EQ(framer.partial_received(), 5U);
  CHECK_EQ(framer.partial_total(), 104U);
  framer.reset();
  CHECK(!framer.mid_package());
  CHECK(feed_all(framer, {}, bytes_of({1, 0, 0, 0, 'y'}), sink) == Outcome::drained);
  CHECK(sink.packages == std::vector<Bytes>({bytes_of("y")}));
}

TEST("framer: a header alone claims no more than the first piece of what it announces") {
  Framer framer;
  Sink sink;
  framer.feed({}, header_of(kMebibyte), sink);
  CHECK_EQ(framer.partial_total(), kMebibyte + 4);
  const MutableBytes target = framer.direct_target();
  CHECK(!target.empty());
  CHECK(framer.partial_received() + target.size() <= iocp::kPartialBytesFirst);
}

TEST("framer: the memory of a large package grows with what really arrived, and ends with it") {
  Framer framer;
  Sink sink;
  framer.feed({}, header_of(kMebibyte), sink);
  std::uint64_t arrived = 4;
  while (framer.mid_package()) {
    const MutableBytes target = framer.direct_target();
    const std::size_t capacity = framer.partial_received() + target.size();
    CHECK(capacity <=
          std::max<std::size_t>(iocp::kPartialBytesFirst, iocp::kPartialGrowth * framer.partial_received()));
    CHECK(capacity <= kMebibyte + 4 + Framer::kSurplusMax);
    const std::size_t count = std::min<std::size_t>(1000, static_cast<std::size_t>(kMebibyte + 4 - arrived));
    if (target.empty()) {
      framer.feed({}, Bytes(count, 'x'), sink);
    } else {
      const std::size_t direct = std::min(count, target.size());
      std::fill_n(target.begin(), direct, static_cast<std::uint8_t>('x'));
      Framer::Surplus surplus;
      CHECK(framer.direct_received(direct, surplus).empty());
      framer.feed({}, {}, sink);
      arrived += direct;
      continue;
    }
    arrived += count;
  }
  CHECK_EQ(sink.large_packages, 1);
  CHECK(sink.packages == std::vector<Bytes>({Bytes(kMebibyte, 'x')}));
}

TEST("framer: small packages and unknown ends are not received straight into memory") {
  Framer framer;
  Sink sink;
  CHECK(framer.direct_target().empty());
  framer.feed({}, bytes_of({0}), sink);
  CHECK(framer.direct_target().empty());
  framer.feed({}, bytes_of({16, 0, 0}), sink);
  CHECK_EQ(framer.partial_total(), 4100U);
  CHECK(framer.direct_target().empty());
}

TEST("framer: an illegal length ends the stream after the packages before it") {
  Framing framing;
  framing.max_length = 100;
  Stream stream;
  stream.framing = framing;
  add_package(&stream, bytes_of("good"));
  const std::size_t good = stream.wire.size();
  unit::append(&stream.wire, header_of(101));
  Framer framer;
  Sink sink;
  const FeedResult result = framer.feed(framing, stream.wire, sink);
  CHECK(result.outcome == Outcome::illegal_length);
  CHECK_EQ(result.announced, 101);
  CHECK_EQ(result.consumed, good);
  CHECK(sink.packages == stream.packages);
}

TEST("framer: rubbish means the same however it is cut") {
  Random random;
  int illegal = 0;
  for (int turn = 0; turn < 300; ++turn) {
    for (Framing framing : framings()) {
      if (framing.type != FramingType::fixed) framing.max_length = random.between(0, 400);
      const Bytes wire = random.bytes(static_cast<std::size_t>(random.between(1, 600)));
      Framer whole;
      Sink at_once;
      const Outcome expected = feed_all(whole, framing, wire, at_once);
      Framer framer;
      Sink cut;
      Outcome outcome = Outcome::drained;
      for (std::size_t at = 0; at < wire.size() && outcome == Outcome::drained;) {
        const std::size_t count = std::min(wire.size() - at, static_cast<std::size_t>(random.between(1, 30)));
        outcome = feed_all(framer, framing, ConstBytes(wire).subspan(at, count), cut);
        at += count;
      }
      REQUIRE(outcome == expected);
      REQUIRE(cut.packages == at_once.packages);
      REQUIRE(outcome != Outcome::drained || cut.packages.empty() ||
              framer.partial_received() == whole.partial_received());
      illegal += expected == Outcome::illegal_length ? 1 : 0;
    }
  }
  CHECK(illegal > 0);
}
