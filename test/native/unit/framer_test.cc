// The framer against a reference model: however a stream is cut into segments, and however often the sink refuses,
// the same packages come out, in order, each once.
#include "core/framer.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/payload_blocks.h"
#include "support/test.h"
#include "unit/random.h"

using iocp::ConstBytes;
using iocp::FeedResult;
using iocp::Framer;
using iocp::Framing;
using iocp::FramingType;
using iocp::kInlinePayloadMax;
using iocp::LargePayload;
using iocp::MutableBytes;
using iocp::PayloadAllocator;
using iocp::ReceivingRun;
using unit::Bytes;
using unit::bytes_of;
using unit::Random;

namespace {

using Outcome = FeedResult::Outcome;

// Keeps what it is given. With a generator it refuses some of it, as a full mailbox does.
struct Sink {
  std::vector<Bytes> packages;
  int inline_packages = 0;
  int large_packages = 0;
  int large_blocks = 0;  // of these
  std::uint32_t offset_in_block = 0;
  int refusals = 0;
  bool refuse_all = false;
  std::uint32_t refuse_percent = 0;
  Random* random = nullptr;

  bool refuses() {
    if (!refuse_all && (random == nullptr || !random->chance(refuse_percent))) return false;
    ++refusals;
    return true;
  }

  bool package(ConstBytes payload) {
    CHECK(payload.size() <= kInlinePayloadMax);
    if (refuses()) return false;
    ++inline_packages;
    packages.push_back(unit::copy_of(payload));
    return true;
  }

  bool large(const LargePayload& payload) {
    CHECK(payload.length > kInlinePayloadMax);
    CHECK(payload.payload >= payload.memory);
    if (refuses()) return false;
    ++large_packages;
    packages.push_back(unit::copy_of(ConstBytes(payload.payload, payload.length)));
    large_blocks += payload.allocator != nullptr ? 1 : 0;
    offset_in_block = payload.offset;
    payload.free();
    return true;
  }
};

// Feeds all of `bytes`, again and again where the sink refuses, as a worker does with its backlog.
Outcome feed_all(Framer& framer, const Framing& framing, ConstBytes bytes, Sink& sink) {
  for (;;) {
    const FeedResult result = framer.feed(framing, bytes, sink);
    REQUIRE(result.consumed <= bytes.size());
    if (result.outcome != Outcome::no_room) return result.outcome;
    bytes = bytes.subspan(result.consumed);
  }
}

struct Stream {
  Framing framing;
  Bytes wire;
  std::vector<Bytes> packages;  // as a listener gets them
};

void add_package(Stream* stream, const Bytes& payload) {
  iocp::Envelope envelope;
  if (!iocp::encode_envelope(stream->framing, payload, &envelope)) return;
  unit::append(&stream->wire, ConstBytes(envelope.header).first(envelope.header_bytes));
  unit::append(&stream->wire, payload);
  unit::append(&stream->wire, envelope.trailer);
  Bytes expected = payload;
  if (stream->framing.strip == 0) unit::append(&expected, envelope.trailer);
  stream->packages.push_back(std::move(expected));
}

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

void expect_packages(const Stream& stream, const Sink& sink, const Framer& framer) {
  CHECK_EQ(sink.packages.size(), stream.packages.size());
  CHECK(sink.packages == stream.packages);
  CHECK(!framer.mid_package());
}

constexpr std::uint64_t kMebibyte = 1024 * 1024;

Bytes header_of(std::uint32_t length) {
  return bytes_of({static_cast<int>(length & 0xFF), static_cast<int>(length >> 8 & 0xFF),
                   static_cast<int>(length >> 16 & 0xFF), static_cast<int>(length >> 24)});
}

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

TEST("framer: bytes received straight into a large package are the same bytes") {
  Random random;
  test::PayloadBlocks blocks;
  int direct_reads = 0;
  int in_blocks = 0;
  for (int turn = 0; turn < 24; ++turn) {
    const std::uint32_t longest = turn % 2 == 0 ? 400'000 : 60'000;
    Stream stream;
    for (int i = 0; i < 4; ++i) add_package(&stream, random.bytes(static_cast<std::size_t>(random.below(longest))));
    Framer framer;
    Sink sink;
    sink.random = &random;
    sink.refuse_percent = 20;
    for (std::size_t at = 0; at < stream.wire.size();) {
      const std::size_t left = stream.wire.size() - at;
      blocks.admitted = random.chance(80);
      const MutableBytes target = framer.direct_target(&blocks);
      if (target.empty()) {
        const auto most = framer.expected_large() > 0 ? Framer::kSurplusMax : 30'000;
        const std::size_t count = std::min(left, static_cast<std::size_t>(random.between(1, most)));
        REQUIRE(feed_all(framer, {}, ConstBytes(stream.wire).subspan(at, count), sink) == Outcome::drained);
        at += count;
      } else {
        const std::size_t count = std::min(left, static_cast<std::size_t>(random.between(1, target.size())));
        std::memcpy(target.data(), stream.wire.data() + at, count);
        Framer::Surplus surplus;
        const ConstBytes beyond = framer.direct_received(count, surplus);
        REQUIRE(feed_all(framer, {}, beyond, sink) == Outcome::drained);
        at += count;
        ++direct_reads;
      }
    }
    expect_packages(stream, sink, framer);
    in_blocks += sink.large_blocks;
  }
  CHECK(direct_reads > 0);
  CHECK(in_blocks > 0);
}

TEST("framer: bytes received into runs are the same bytes, whatever comes between and however it is cut") {
  Random random;
  int reads = 0;
  int beyond_a_package = 0;
  int in_blocks = 0;
  for (int turn = 0; turn < 60; ++turn) {
    test::PayloadBlocks blocks;
    Stream stream;
    const bool alike = random.chance(50);
    const auto size = static_cast<std::size_t>(random.between(kInlinePayloadMax + 1, 60'000));
    for (int i = 0; i < 12; ++i) {
      const bool other = !alike || random.chance(10);
      add_package(&stream, random.bytes(other ? static_cast<std::size_t>(random.below(150'000)) : size));
    }
    Framer framer;
    Sink sink;
    sink.random = &random;
    sink.refuse_percent = 20;
    for (std::size_t at = 0; at < stream.wire.size();) {
      const ConstBytes left = ConstBytes(stream.wire).subspan(at);
      blocks.admitted = random.chance(80);
      blocks.beyond = static_cast<std::size_t>(random.below(300'000));
      const std::uint8_t* const behind = framer.block_end();
      Framer::Surplus surplus;
      ReceivingRun run;
      if ((framer.expected_large() > 0 && framer.expected_large() <= iocp::kPartialBytesFirst) || behind != nullptr) {
        const std::size_t least = behind == nullptr ? iocp::kRunBytesMin : Framer::kSurplusMax;
        run = ReceivingRun(&blocks, blocks.open(least, behind));
      }
      Bytes scratch(30'000);
      const MutableBytes direct = run.empty() ? framer.direct_target(&blocks) : framer.run_target(run, 200'000);
      const MutableBytes target = direct.empty() ? MutableBytes(scratch) : direct;
      const std::size_t most = random.chance(50) ? target.size() : static_cast<std::size_t>(random.between(1, 3'000));
      ConstBytes bytes = left.first(std::min({left.size(), target.size(), most}));
      std::memcpy(target.data(), bytes.data(), bytes.size());
      at += bytes.size();
      if (!run.empty()) {
        ++reads;
        beyond_a_package += behind != nullptr && bytes.size() > 100'000 ? 1 : 0;
        const FeedResult result = framer.feed_run({}, ConstBytes(target).first(bytes.size()), sink, run);
        REQUIRE(result.outcome == Outcome::drained || result.outcome == Outcome::no_room);
        bytes = bytes.subspan(result.consumed);  // what a worker keeps aside
        if (result.outcome == Outcome::drained) REQUIRE(bytes.empty());
      } else if (!direct.empty()) {
        bytes = framer.direct_received(bytes.size(), surplus);
      }
      REQUIRE(feed_all(framer, {}, bytes, sink) == Outcome::drained);
    }
    expect_packages(stream, sink, framer);
    in_blocks += sink.large_blocks;
  }
  CHECK(reads > 100);
  CHECK(beyond_a_package > 0);
  CHECK(in_blocks > 100);
}

TEST("framer: large packages that came into a run are blocks of it, and so is one that is still coming") {
  test::PayloadBlocks blocks;
  blocks.beyond = 200'000;
  Framer framer;
  Sink sink;
  Stream stream;
  for (const char fill : {'a', 'b', 'c', 'd', 'e'})
    add_package(&stream, Bytes(39'996, static_cast<std::uint8_t>(fill)));
  const auto wire = ConstBytes(stream.wire);
  CHECK(framer.feed({}, wire.first(40'000), sink).outcome == Outcome::drained);
  CHECK_EQ(framer.expected_large(), 40'000U);
  CHECK(framer.block_end() == nullptr);

  // Whole ones, and the next one's header, as far as `most` goes.
  ReceivingRun run(&blocks, blocks.open(iocp::kRunBytesMin, nullptr));
  CHECK_EQ(framer.run_target(run, 100'000).size(), 80'000U + Framer::kSurplusMax);
  const MutableBytes target = framer.run_target(run, 125'000);
  CHECK_EQ(target.size(), 120'000U + Framer::kSurplusMax);
  CHECK(target.data() == run.begin());
  const auto put = [&](const MutableBytes& where, std::size_t at, std::size_t count) {
    std::memcpy(where.data(), wire.data() + at, count);
    return ConstBytes(where).first(count);
  };
  CHECK(framer.feed_run({}, put(target, 40'000, 60'000), sink, run).outcome == Outcome::drained);
  CHECK_EQ(sink.large_blocks, 1);
  CHECK_EQ(sink.offset_in_block, 1'004U);
  CHECK_EQ(blocks.outstanding(), 1U);  // the one that is coming
  CHECK(framer.block_end() == run.begin() + 80'000 + Framer::kSurplusMax);

  // It goes on where it is, and past its end.
  ReceivingRun next(&blocks, blocks.open(Framer::kSurplusMax, framer.block_end()));
  CHECK(next.begin() == framer.block_end());
  const MutableBytes more = framer.run_target(next, 100'000);
  CHECK(more.data() == run.begin() + 60'000);
  CHECK_EQ(more.size(), 20'000U + 40'000U + Framer::kSurplusMax);
  CHECK(framer.feed_run({}, put(more, 100'000, 60'000), sink, next).outcome == Outcome::drained);
  CHECK_EQ(sink.large_blocks, 3);
  CHECK_EQ(sink.offset_in_block, 1'000U + 80'000U + 4U);
  CHECK_EQ(blocks.outstanding(), 0U);
  CHECK(framer.feed({}, wire.subspan(160'000), sink).outcome == Outcome::drained);
  expect_packages(stream, sink, framer);
}

TEST(
    "framer: a package that does not fit into what is left of a run moves to a block, and one that is refused gives "
    "its up") {
  test::PayloadBlocks blocks;
  Framer framer;
  Sink sink;
  Stream stream;
  for (int i = 0; i < 3; ++i) add_package(&stream, Bytes(99'996, static_cast<std::uint8_t>(i)));
  const auto wire = ConstBytes(stream.wire);
  CHECK(framer.feed({}, wire.first(100'000), sink).outcome == Outcome::drained);
  {
    ReceivingRun run(&blocks, blocks.open(iocp::kRunBytesMin, nullptr));
    std::memcpy(run.begin(), wire.data() + 100'000, 120'000);
    sink.refuse_all = true;
    const FeedResult refused = framer.feed_run({}, ConstBytes(run.begin(), 120'000), sink, run);
    CHECK(refused.outcome == Outcome::no_room);
    CHECK_EQ(refused.consumed, 0U);
    CHECK_EQ(blocks.outstanding(), 0U);
    sink.refuse_all = false;
  }
  ReceivingRun run(&blocks, blocks.open(iocp::kRunBytesMin, nullptr));
  std::memcpy(run.begin(), wire.data() + 100'000, 120'000);
  CHECK(framer.feed_run({}, ConstBytes(run.begin(), 120'000), sink, run).outcome == Outcome::drained);
  CHECK_EQ(framer.partial_received(), 20'000U);
  CHECK(framer.block_end() != nullptr);
  CHECK_EQ(blocks.outstanding(), 1U);
  CHECK(framer.feed({}, wire.subspan(220'000), sink).outcome == Outcome::drained);
  CHECK_EQ(sink.large_blocks, 2);
  expect_packages(stream, sink, framer);
}

TEST("framer: a large package that has hardly begun is received into a block of the owner's") {
  test::PayloadBlocks blocks;
  Framer framer;
  Sink sink;
  Stream stream;
  add_package(&stream, Bytes(40'000, 'x'));
  framer.feed({}, ConstBytes(stream.wire).first(Framer::kSurplusMax), sink);
  const MutableBytes target = framer.direct_target(&blocks);
  CHECK_EQ(blocks.outstanding(), 1U);
  CHECK_EQ(target.size(), 40'004U);  // what is missing, and the surplus
  CHECK(framer.direct_target(&blocks).data() == target.data());
  std::memcpy(target.data(), stream.wire.data() + Framer::kSurplusMax, stream.wire.size() - Framer::kSurplusMax);
  Framer::Surplus surplus;
  CHECK(framer.direct_received(stream.wire.size() - Framer::kSurplusMax, surplus).empty());
  sink.refuse_all = true;
  CHECK(framer.feed({}, {}, sink).outcome == Outcome::no_room);
  CHECK_EQ(blocks.outstanding(), 1U);
  sink.refuse_all = false;
  CHECK(framer.feed({}, {}, sink).outcome == Outcome::drained);
  CHECK_EQ(sink.large_blocks, 1);
  CHECK_EQ(sink.offset_in_block, 1'004U);  // the block's own, and the header
  CHECK_EQ(blocks.outstanding(), 0U);
  expect_packages(stream, sink, framer);
}

TEST("framer: without a block, or for what is not worth one, memory is the C library's") {
  test::PayloadBlocks blocks;
  const auto begin = [](std::uint32_t length, std::size_t arrived, PayloadAllocator* allocator) {
    auto framer = std::make_unique<Framer>();
    Sink sink;
    framer->feed({}, header_of(length), sink);
    framer->feed({}, Bytes(arrived - 4, 'x'), sink);
    CHECK(!framer->direct_target(allocator).empty());
  };
  begin(40'000, 100, nullptr);
  begin(80'000, 16 * 1024 + 1, &blocks);                                      // much to copy
  begin(static_cast<std::uint32_t>(iocp::kPartialBytesFirst), 100, &blocks);  // claims more than a header may
  CHECK_EQ(blocks.acquired(), 0U);
  blocks.admitted = false;
  begin(40'000, 100, &blocks);
  CHECK_EQ(blocks.acquired(), 0U);
  blocks.admitted = true;
  begin(static_cast<std::uint32_t>(iocp::kPartialBytesFirst) - 4, 100, &blocks);
  CHECK_EQ(blocks.acquired(), 1U);
  CHECK_EQ(blocks.outstanding(), 0U);  // given back with the half of a package
}

TEST("framer: large packages that came whole are copied into blocks of the owner's, as far as it has them") {
  test::PayloadBlocks blocks;
  Framer framer;
  Sink sink;
  Stream stream;
  const auto largest = iocp::kPartialBytesFirst;
  for (const std::size_t size : {kInlinePayloadMax, kInlinePayloadMax + 1, largest, largest + 1}) {
    add_package(&stream, Bytes(size, 'x'));
  }
  CHECK(framer.feed({}, stream.wire, sink, &blocks).outcome == Outcome::drained);
  CHECK_EQ(blocks.acquired(), 2U);
  CHECK_EQ(blocks.outstanding(), 0U);
  CHECK_EQ(sink.large_blocks, 2);
  CHECK_EQ(sink.large_packages, 3);
  expect_packages(stream, sink, framer);

  // One that is refused gives its block back, and one that there is no block for travels all the same.
  Sink second;
  second.refuse_all = true;
  Stream one;
  add_package(&one, Bytes(40'000, 'y'));
  CHECK(framer.feed({}, one.wire, second, &blocks).outcome == Outcome::no_room);
  CHECK_EQ(blocks.acquired(), 3U);
  CHECK_EQ(blocks.outstanding(), 0U);
  second.refuse_all = false;
  blocks.admitted = false;
  CHECK(framer.feed({}, one.wire, second, &blocks).outcome == Outcome::drained);
  CHECK_EQ(second.large_blocks, 0);
  expect_packages(one, second, framer);
}

TEST("framer: what a direct read fetched beyond a large package belongs to the next one") {
  Stream stream;
  add_package(&stream, Bytes(40'000, 'x'));
  add_package(&stream, bytes_of("small"));
  add_package(&stream, Bytes(50'000, 'y'));
  Framer framer;
  Sink sink;
  sink.refuse_percent = 0;
  REQUIRE(feed_all(framer, {}, ConstBytes(stream.wire).first(100), sink) == Outcome::drained);
  const MutableBytes target = framer.direct_target();
  CHECK_EQ(target.size(), 40'004U - 100U + Framer::kSurplusMax);
  std::memcpy(target.data(), stream.wire.data() + 100, target.size());
  Framer::Surplus surplus;
  const ConstBytes beyond = framer.direct_received(target.size(), surplus);
  CHECK_EQ(beyond.size(), Framer::kSurplusMax);
  CHECK(framer.package_waits());
  REQUIRE(feed_all(framer, {}, beyond, sink) == Outcome::drained);
  CHECK_EQ(framer.partial_total(), 50'004U);
  const std::size_t at = 100 + target.size();
  REQUIRE(feed_all(framer, {}, ConstBytes(stream.wire).subspan(at), sink) == Outcome::drained);
  expect_packages(stream, sink, framer);
}

TEST("framer: after a large package with a length in front the next one is expected to be large too") {
  Framer framer;
  Sink sink;
  Stream stream;
  add_package(&stream, Bytes(20'000, 'x'));
  CHECK(framer.expected_large() == 0);
  REQUIRE(feed_all(framer, {}, stream.wire, sink) == Outcome::drained);
  CHECK_EQ(framer.expected_large(), 20'004U);
  REQUIRE(feed_all(framer, {}, ConstBytes(stream.wire).first(4), sink) == Outcome::drained);
  CHECK(framer.expected_large() == 0);
  REQUIRE(feed_all(framer, {}, ConstBytes(stream.wire).subspan(4), sink) == Outcome::drained);
  CHECK_EQ(framer.expected_large(), 20'004U);
  REQUIRE(feed_all(framer, {}, bytes_of({1, 0, 0, 0, 'y'}), sink) == Outcome::drained);
  CHECK(framer.expected_large() == 0);
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

TEST("framer: the memory of a large package doubles with what really arrived, and ends with it") {
  Framer framer;
  Sink sink;
  framer.feed({}, header_of(kMebibyte), sink);
  std::uint64_t arrived = 4;
  while (framer.mid_package()) {
    const MutableBytes target = framer.direct_target();
    const std::size_t capacity = framer.partial_received() + target.size();
    CHECK(capacity <= std::max<std::size_t>(iocp::kPartialBytesFirst, 2 * framer.partial_received()));
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
