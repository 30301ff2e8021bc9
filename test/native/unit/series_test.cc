// Series: what the whole packages at the beginning of a read become, and what is left to the framer.
#include "core/series.h"

#include <array>
#include <functional>
#include <vector>

#include "support/test.h"
#include "unit/random.h"

using iocp::ConstBytes;
using iocp::Framing;
using iocp::FramingType;
using iocp::MutableBytes;
using unit::Bytes;
using unit::Random;

namespace {

void add_package(const Framing& framing, Bytes* wire, ConstBytes payload) {
  iocp::Envelope envelope;
  REQUIRE(iocp::encode_envelope(framing, payload, &envelope));
  unit::append(wire, ConstBytes(envelope.header).first(envelope.header_bytes));
  unit::append(wire, payload);
}

iocp::ReceivedSeries make(const Framing& framing, Bytes* wire) {
  return iocp::make_series(framing, MutableBytes(*wire), [](ConstBytes) { return true; });
}

}  // namespace

TEST("series: only framings that make their whole header from the length, of two bytes or more, have them") {
  const auto room = [](FramingType type, std::uint32_t offset, std::uint32_t width, std::int64_t strip) {
    Framing framing;
    framing.type = type;
    framing.offset = offset;
    framing.width = width;
    framing.strip = strip;
    return iocp::series_room(framing);
  };
  CHECK_EQ(room(FramingType::length, 0, 4, -1), 4U);
  CHECK_EQ(room(FramingType::length, 0, 2, -1), 2U);
  CHECK_EQ(room(FramingType::length, 3, 8, -1), 11U);
  CHECK_EQ(room(FramingType::length, 0, 4, 9), 9U);
  CHECK_EQ(room(FramingType::length, 0, 1, -1), 0U);
  CHECK_EQ(room(FramingType::length, 0, 4, 0), 0U);
  CHECK_EQ(room(FramingType::length, 4, 4, 4), 0U);
  CHECK_EQ(room(FramingType::varint, 0, 4, -1), 0U);
  CHECK_EQ(room(FramingType::none, 0, 4, -1), 0U);
}

TEST("series: the whole packages of a read, in order, whatever the header; the rest is untouched") {
  Random random;
  for (int turn = 0; turn < 500; ++turn) {
    Framing framing;
    framing.width = std::array{2U, 3U, 4U, 8U}[static_cast<std::size_t>(random.below(4))];
    framing.offset = static_cast<std::uint32_t>(random.below(4));
    framing.big_endian = random.chance(50);
    framing.adjust = random.chance(30) ? -4 : 0;
    std::vector<Bytes> payloads;
    Bytes wire;
    for (std::uint64_t i = random.below(20); i > 0; --i) {
      payloads.push_back(random.bytes(20 + static_cast<std::size_t>(random.below(300))));
      add_package(framing, &wire, payloads.back());
    }
    const std::size_t whole = wire.size();
    Bytes rest;
    add_package(framing, &rest, random.bytes(50));
    rest.resize(static_cast<std::size_t>(random.below(rest.size())));
    unit::append(&wire, rest);

    const auto series = make(framing, &wire);
    CHECK_EQ(series.bytes, whole);
    CHECK_EQ(series.packages, payloads.size());
    CHECK(Bytes(wire.begin() + static_cast<std::ptrdiff_t>(whole), wire.end()) == rest);
    std::size_t next = 0;
    const std::size_t visited =
        iocp::for_each_in_series(ConstBytes(wire).first(whole), iocp::series_room(framing), [&](ConstBytes payload) {
          REQUIRE(next < payloads.size());
          CHECK(Bytes(payload.begin(), payload.end()) == payloads[next++]);
        });
    CHECK_EQ(visited, payloads.size());
  }
}

TEST("series: it ends before a package with an illegal length, a large one, and one that is not wanted") {
  const Bytes small(100, 'x');
  Framing framing;
  framing.max_length = 20'000;
  const auto packages_before = [&](const std::function<void(Bytes*)>& add) {
    Bytes wire;
    add_package(framing, &wire, small);
    add_package(framing, &wire, small);
    add(&wire);
    add_package(framing, &wire, small);
    return iocp::make_series(framing, MutableBytes(wire), [](ConstBytes payload) { return payload[0] != 'f'; })
        .packages;
  };
  CHECK_EQ(packages_before([](Bytes*) {}), 3U);
  CHECK_EQ(packages_before([](Bytes* wire) { unit::append(wire, Bytes{0xff, 0xff, 0xff, 0xff}); }), 2U);
  CHECK_EQ(packages_before([&](Bytes* wire) { add_package(framing, wire, Bytes(iocp::kInlinePayloadMax, 'x')); }), 4U);
  CHECK_EQ(packages_before([&](Bytes* wire) { add_package(framing, wire, Bytes(iocp::kInlinePayloadMax + 1, 'x')); }),
           2U);
  CHECK_EQ(packages_before([&](Bytes* wire) { add_package(framing, wire, Bytes(100, 'f')); }), 2U);
}

TEST("series: there are never more packages in one than records could have been there") {
  Random random;
  for (int turn = 0; turn < 200; ++turn) {
    const Framing framing;
    Bytes wire;
    for (int i = 0; i < 100; ++i) {
      add_package(framing, &wire, random.bytes(1 + static_cast<std::size_t>(random.below(random.chance(50) ? 4 : 60))));
    }
    const Bytes before = wire;
    const auto series = make(framing, &wire);
    CHECK(series.packages * iocp::kSeriesBytesPerPackageMin <= series.bytes);
    CHECK(Bytes(wire.begin() + static_cast<std::ptrdiff_t>(series.bytes), wire.end()) ==
          Bytes(before.begin() + static_cast<std::ptrdiff_t>(series.bytes), before.end()));
  }
}
