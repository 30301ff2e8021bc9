// Large packages: received straight into memory of their own, into a block of an arena, or several into a run, and
// the same bytes whichever it was.
#include "core/framer.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "core/payload_allocator.h"
#include "support/test.h"
#include "unit/arenas.h"
#include "unit/framer_fixture.h"
#include "unit/random.h"

using iocp::ConstBytes;
using iocp::FeedResult;
using iocp::Framer;
using iocp::kInlinePayloadMax;
using iocp::MutableBytes;
using iocp::PayloadAllocator;
using iocp::ReceivingRun;
using unit::add_package;
using unit::Arenas;
using unit::Bytes;
using unit::bytes_of;
using unit::expect_packages;
using unit::feed_all;
using unit::header_of;
using unit::Outcome;
using unit::Random;
using unit::Sink;
using unit::Stream;

TEST("framer: bytes received straight into a large package are the same bytes") {
  Random random;
  Arenas host(iocp::kSharedBlockMax);
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
      host.arenas.admit(random.chance(80));
      const MutableBytes target = framer.direct_target(&host.allocator);
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
    Arenas host(iocp::kSharedBlockMax + static_cast<std::size_t>(random.below(300'000)));
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
      host.arenas.admit(random.chance(80));
      const std::uint8_t* const behind = framer.block_end();
      Framer::Surplus surplus;
      const bool expected = framer.expected_large() > 0 && framer.expected_large() <= iocp::kPartialBytesFirst;
      const std::size_t least = behind == nullptr ? iocp::kSharedBlockMax : Framer::kSurplusMax;
      ReceivingRun run = expected || behind != nullptr ? host.allocator.open(least, behind) : ReceivingRun();
      Bytes scratch(30'000);
      const MutableBytes direct = run.empty() ? framer.direct_target(&host.allocator) : framer.run_target(run, 200'000);
      const MutableBytes target = direct.empty() ? MutableBytes(scratch) : direct;
      const std::size_t most = random.chance(50) ? target.size() : static_cast<std::size_t>(random.between(1, 3'000));
      ConstBytes bytes = left.first(std::min({left.size(), target.size(), most}));
      std::memcpy(target.data(), bytes.data(), bytes.size());
      at += bytes.size();
      if (!run.empty()) {
        ++reads;
        beyond_a_package += behind != nullptr && bytes.size() > 100'000 ? 1 : 0;
        const FeedResult result = framer.feed({}, ConstBytes(target).first(bytes.size()), sink, &host.allocator, &run);
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
  Arenas host;
  Framer framer;
  Sink sink;
  Stream stream;
  for (const char fill : {'a', 'b', 'c', 'd', 'e'})
    add_package(&stream, Bytes(39'996, static_cast<std::uint8_t>(fill)));
  const auto wire = ConstBytes(stream.wire);
  CHECK(framer.feed({}, wire.first(40'000), sink).outcome == Outcome::drained);
  CHECK_EQ(framer.expected_large(), 40'000U);
  CHECK(framer.block_end() == nullptr);

  const auto put = [&](const MutableBytes& where, std::size_t at, std::size_t count) {
    std::memcpy(where.data(), wire.data() + at, count);
    return ConstBytes(where).first(count);
  };
  std::uint8_t* begin = nullptr;
  {
    // Whole ones, and the next one's header, as far as `most` goes.
    ReceivingRun run = host.allocator.open(iocp::kSharedBlockMax);
    begin = run.begin();
    CHECK_EQ(framer.run_target(run, 100'000).size(), 80'000U + Framer::kSurplusMax);
    const MutableBytes target = framer.run_target(run, 125'000);
    CHECK_EQ(target.size(), 120'000U + Framer::kSurplusMax);
    CHECK(target.data() == begin);
    CHECK(framer.feed({}, put(target, 40'000, 60'000), sink, &host.allocator, &run).outcome == Outcome::drained);
  }
  CHECK_EQ(sink.large_blocks, 1);
  CHECK_EQ(sink.offset_in_block, 4U);
  CHECK(framer.block_end() == begin + 80'000 + Framer::kSurplusMax);
  {
    // It goes on where it is, and past its end.
    ReceivingRun run = host.allocator.open(Framer::kSurplusMax, framer.block_end());
    CHECK(run.begin() == framer.block_end());
    const MutableBytes more = framer.run_target(run, 100'000);
    CHECK(more.data() == begin + 60'000);
    CHECK_EQ(more.size(), 20'000U + 40'000U + Framer::kSurplusMax);
    CHECK(framer.feed({}, put(more, 100'000, 60'000), sink, &host.allocator, &run).outcome == Outcome::drained);
  }
  CHECK_EQ(sink.large_blocks, 3);
  CHECK_EQ(sink.offset_in_block, 80'000U + 4U);
  CHECK_EQ(host.in_use(), 0U);
  CHECK_EQ(host.begun(), 1U);
  CHECK(framer.feed({}, wire.subspan(160'000), sink).outcome == Outcome::drained);
  expect_packages(stream, sink, framer);
}

TEST(
    "framer: a package that does not fit into what is left of a run moves to a block, and one that is refused gives "
    "its up") {
  Arenas host(iocp::kSharedBlockMax);
  Framer framer;
  Sink sink;
  Stream stream;
  for (int i = 0; i < 3; ++i) add_package(&stream, Bytes(99'996, static_cast<std::uint8_t>(i)));
  const auto wire = ConstBytes(stream.wire);
  CHECK(framer.feed({}, wire.first(100'000), sink).outcome == Outcome::drained);
  {
    ReceivingRun run = host.allocator.open(iocp::kSharedBlockMax);
    std::memcpy(run.begin(), wire.data() + 100'000, 120'000);
    sink.refuse_all = true;
    const FeedResult refused = framer.feed({}, ConstBytes(run.begin(), 120'000), sink, &host.allocator, &run);
    CHECK(refused.outcome == Outcome::no_room);
    CHECK_EQ(refused.consumed, 0U);
    sink.refuse_all = false;
  }
  CHECK_EQ(host.in_use(), 0U);
  {
    ReceivingRun run = host.allocator.open(iocp::kSharedBlockMax);
    std::memcpy(run.begin(), wire.data() + 100'000, 120'000);
    CHECK(framer.feed({}, ConstBytes(run.begin(), 120'000), sink, &host.allocator, &run).outcome == Outcome::drained);
  }
  CHECK_EQ(framer.partial_received(), 20'000U);
  CHECK(framer.block_end() != nullptr);
  CHECK_EQ(host.in_use(), 1U);  // the first one went with its package
  CHECK(framer.feed({}, wire.subspan(220'000), sink).outcome == Outcome::drained);
  CHECK_EQ(sink.large_blocks, 2);
  CHECK_EQ(host.in_use(), 0U);
  expect_packages(stream, sink, framer);
}

TEST("framer: a run that holds nothing large stays until what does not fit into it was moved") {
  Arenas host(iocp::kSharedBlockMax);
  Framer framer;
  Sink sink;
  Stream stream;
  add_package(&stream, Bytes(20'000, 'a'));
  add_package(&stream, Bytes(10'000, 'b'));
  add_package(&stream, Bytes(iocp::kPartialBytesFirst - 4, 'c'));
  const auto wire = ConstBytes(stream.wire);
  CHECK(framer.feed({}, wire.first(20'004), sink).outcome == Outcome::drained);
  ReceivingRun run = host.allocator.open(iocp::kSharedBlockMax);
  std::memcpy(run.begin(), wire.data() + 20'004, 50'000);
  CHECK(framer.feed({}, ConstBytes(run.begin(), 50'000), sink, &host.allocator, &run).outcome == Outcome::drained);
  CHECK_EQ(host.arenas.counts().in_use, 2U);
  CHECK(framer.feed({}, wire.subspan(70'004), sink).outcome == Outcome::drained);
  CHECK_EQ(sink.large_blocks, 1);
  expect_packages(stream, sink, framer);
}

TEST("framer: a large package that has hardly begun is received into a block of an arena") {
  Arenas host;
  Framer framer;
  Sink sink;
  Stream stream;
  add_package(&stream, Bytes(40'000, 'x'));
  framer.feed({}, ConstBytes(stream.wire).first(Framer::kSurplusMax), sink);
  const MutableBytes target = framer.direct_target(&host.allocator);
  CHECK_EQ(host.in_use(), 1U);
  CHECK_EQ(target.size(), 40'004U);  // what is missing, and the surplus
  CHECK(framer.direct_target(&host.allocator).data() == target.data());
  std::memcpy(target.data(), stream.wire.data() + Framer::kSurplusMax, stream.wire.size() - Framer::kSurplusMax);
  Framer::Surplus surplus;
  CHECK(framer.direct_received(stream.wire.size() - Framer::kSurplusMax, surplus).empty());
  sink.refuse_all = true;
  CHECK(framer.feed({}, {}, sink).outcome == Outcome::no_room);
  CHECK_EQ(host.in_use(), 1U);
  sink.refuse_all = false;
  CHECK(framer.feed({}, {}, sink).outcome == Outcome::drained);
  CHECK_EQ(sink.large_blocks, 1);
  CHECK_EQ(sink.offset_in_block, 4U);
  CHECK_EQ(host.in_use(), 0U);
  expect_packages(stream, sink, framer);
}

TEST("framer: where there are no arenas, memory is the C library's") {
  Arenas host;
  const auto begin = [](PayloadAllocator* allocator) {
    Framer framer;
    Sink sink;
    framer.feed({}, header_of(40'000), sink, allocator);
    CHECK(!framer.direct_target(allocator).empty());
  };
  begin(nullptr);
  host.arenas.admit(false);
  begin(&host.allocator);
  CHECK_EQ(host.begun(), 0U);
  host.arenas.admit(true);
  begin(&host.allocator);
  CHECK_EQ(host.begun(), 1U);
  CHECK_EQ(host.in_use(), 0U);  // given back with the half of a package
}

TEST("framer: what of a large package gets memory before it came depends on what came, and on the last one") {
  constexpr std::size_t kMebibyte = std::size_t{1024} * 1024;
  Arenas host;
  Sink sink;
  Stream stream;
  for (const char fill : {'a', 'b', 'c'}) add_package(&stream, Bytes(kMebibyte, static_cast<std::uint8_t>(fill)));
  const auto wire = ConstBytes(stream.wire);
  Framer framer;
  framer.feed({}, wire.first(4), sink, &host.allocator);
  CHECK_EQ(framer.direct_target(&host.allocator).size(), iocp::kPartialBytesFirst - 4);
  framer.reset();

  // Eight times what came, and then all of it: it moves, as often as it must.
  framer.feed({}, wire.first(30'000), sink, &host.allocator);
  std::size_t at = 30'000;
  std::vector<std::size_t> targets;
  while (framer.mid_package()) {
    const MutableBytes target = framer.direct_target(&host.allocator);
    REQUIRE(!target.empty());
    targets.push_back(target.size());
    const std::size_t count = std::min(target.size(), stream.wire.size() - at);
    std::memcpy(target.data(), wire.data() + at, count);
    at += count;
    Framer::Surplus surplus;
    const ConstBytes beyond = framer.direct_received(count, surplus);
    CHECK(framer.feed({}, {}, sink, &host.allocator).outcome == Outcome::drained);
    if (sink.large_packages == 1) at -= beyond.size();
  }
  const std::size_t first = 8 * 30'000;
  CHECK(targets == std::vector<std::size_t>({first - 30'000, kMebibyte + 4 - first + Framer::kSurplusMax}));
  CHECK_EQ(sink.large_blocks, 1);

  // The next one may be as long as the last.
  CHECK_EQ(framer.expected_large(), kMebibyte + 4);
  framer.feed({}, wire.subspan(at, 100), sink, &host.allocator);
  CHECK_EQ(framer.direct_target(&host.allocator).size(), kMebibyte + 4 - 100 + Framer::kSurplusMax);
  CHECK(framer.feed({}, wire.subspan(at + 100), sink, &host.allocator).outcome == Outcome::drained);
  CHECK_EQ(sink.large_blocks, 3);
  CHECK_EQ(host.in_use(), 0U);
  expect_packages(stream, sink, framer);
}

TEST("framer: a package in a block grows out of it when there are no more") {
  Arenas host;
  Sink sink;
  Stream stream;
  add_package(&stream, Bytes(600'000, 'g'));
  const auto wire = ConstBytes(stream.wire);
  Framer framer;
  framer.feed({}, wire.first(100), sink, &host.allocator);
  CHECK_EQ(host.in_use(), 1U);
  host.arenas.admit(false);
  CHECK(framer.feed({}, wire.subspan(100, 300'000), sink, &host.allocator).outcome == Outcome::drained);
  CHECK_EQ(host.in_use(), 0U);
  CHECK(framer.feed({}, wire.subspan(300'100), sink, &host.allocator).outcome == Outcome::drained);
  CHECK_EQ(sink.large_blocks, 0);
  expect_packages(stream, sink, framer);
}

TEST("framer: large packages that came whole are copied into arenas, as far as there are any") {
  Arenas host;
  Framer framer;
  Sink sink;
  Stream stream;
  const auto largest = iocp::kPartialBytesFirst;
  for (const std::size_t size : {kInlinePayloadMax, kInlinePayloadMax + 1, largest, 4 * largest}) {
    add_package(&stream, Bytes(size, 'x'));
  }
  CHECK(framer.feed({}, stream.wire, sink, &host.allocator).outcome == Outcome::drained);
  CHECK_EQ(host.begun(), 2U);  // the longest has one of its own
  CHECK_EQ(host.in_use(), 0U);
  CHECK_EQ(sink.large_blocks, 3);
  CHECK_EQ(sink.large_packages, 3);
  expect_packages(stream, sink, framer);

  // One that is refused gives its block back, and one that there is no block for travels all the same.
  Sink second;
  second.refuse_all = true;
  Stream one;
  add_package(&one, Bytes(40'000, 'y'));
  CHECK(framer.feed({}, one.wire, second, &host.allocator).outcome == Outcome::no_room);
  CHECK_EQ(host.begun(), 3U);
  CHECK_EQ(host.in_use(), 0U);
  second.refuse_all = false;
  host.arenas.admit(false);
  CHECK(framer.feed({}, one.wire, second, &host.allocator).outcome == Outcome::drained);
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
