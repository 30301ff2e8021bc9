// Package boundaries, both ways: what inspect() says of bytes, what encode_envelope() puts around a payload, and
// that the two are each other's mirror.
#include "core/framing.h"

#include <limits>
#include <string>
#include <utility>

#include "support/test.h"
#include "unit/random.h"

using iocp::ConstBytes;
using iocp::encode_envelope;
using iocp::Envelope;
using iocp::Frame;
using iocp::Framing;
using iocp::FramingType;
using iocp::inspect;
using unit::Bytes;
using unit::bytes_of;
using unit::Random;

namespace {

using Verdict = Frame::Verdict;

struct LengthField {
  std::uint32_t offset = 0;
  std::uint32_t width = 4;
  bool big_endian = false;
  std::int64_t adjust = 0;
  std::int64_t strip = -1;
};

Framing length_framing(const LengthField& field, std::uint64_t max_length = 1024 * 1024) {
  Framing framing;
  framing.offset = field.offset;
  framing.width = field.width;
  framing.big_endian = field.big_endian;
  framing.adjust = field.adjust;
  framing.strip = field.strip;
  framing.max_length = max_length;
  return framing;
}

Framing varint_framing(std::uint32_t offset = 0, std::int64_t strip = -1, std::uint64_t max_length = 1024 * 1024) {
  Framing framing;
  framing.type = FramingType::varint;
  framing.offset = offset;
  framing.strip = strip;
  framing.max_length = max_length;
  return framing;
}

Framing delimiter_framing(std::string_view delimiter, bool keep = false, std::uint64_t max_length = 1024) {
  Framing framing;
  framing.type = FramingType::delimiter;
  framing.delimiter = bytes_of(delimiter);
  framing.strip = keep ? 0 : 1;
  framing.max_length = max_length;
  return framing;
}

Framing fixed_framing(std::uint64_t length) {
  Framing framing;
  framing.type = FramingType::fixed;
  framing.max_length = length;
  return framing;
}

Framing no_framing() {
  Framing framing;
  framing.type = FramingType::none;
  return framing;
}

Bytes payload_of(const Frame& frame, const Bytes& bytes) {
  REQUIRE(frame.verdict == Verdict::known);
  REQUIRE(frame.payload_offset + frame.payload_length <= frame.total);
  REQUIRE(frame.total <= bytes.size());
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(frame.payload_offset);
  return Bytes(begin, begin + static_cast<std::ptrdiff_t>(frame.payload_length));
}

// The whole outgoing frame; empty when the payload cannot be encoded.
Bytes encoded(const Framing& framing, const Bytes& payload) {
  Envelope envelope;
  if (!encode_envelope(framing, payload, &envelope)) return {};
  Bytes frame(envelope.header.begin(), envelope.header.begin() + envelope.header_bytes);
  unit::append(&frame, payload);
  unit::append(&frame, envelope.trailer);
  return frame;
}

bool encodes(const Framing& framing, const Bytes& payload) {
  Envelope envelope;
  return encode_envelope(framing, payload, &envelope);
}

const Bytes kHello = bytes_of("HELLO, WORLD");

Bytes after(std::initializer_list<int> front, const Bytes& rest = kHello) {
  Bytes result = bytes_of(front);
  unit::append(&result, rest);
  return result;
}

}  // namespace

TEST("framing: the default reads and writes the published examples") {
  const Bytes text = bytes_of({0x04, 0, 0, 0, 0x00, 0x48, 0x69, 0x00});
  const Bytes file_info = bytes_of({0x0B, 0, 0, 0, 0x01, 0xE8, 0x03, 0, 0, 0x61, 0x2E, 0x74, 0x78, 0x74, 0x00});
  const Bytes start = bytes_of({1, 0, 0, 0, 2});
  const Bytes abort = bytes_of({1, 0, 0, 0, 3});
  for (const Bytes& frame : {text, file_info, start, abort}) {
    const Bytes payload(frame.begin() + 4, frame.end());
    CHECK(payload_of(inspect(Framing{}, frame, 0), frame) == payload);
    CHECK(encoded(Framing{}, payload) == frame);
  }
}

TEST("framing: an empty package is four zero bytes") {
  const Bytes frame = bytes_of({0, 0, 0, 0});
  const Frame seen = inspect(Framing{}, frame, 0);
  CHECK(seen.verdict == Verdict::known);
  CHECK_EQ(seen.total, 4U);
  CHECK_EQ(seen.payload_length, 0U);
  CHECK(encoded(Framing{}, {}) == frame);
}

TEST("framing: a length field has every width and both byte orders") {
  struct Row {
    std::uint32_t width;
    bool big_endian;
    Bytes header;
    std::size_t length;
  };
  const Row rows[] = {
      {1, false, bytes_of({0xC8}), 200},
      {1, true, bytes_of({0xC8}), 200},
      {2, false, bytes_of({0x34, 0x12}), 0x1234},
      {2, true, bytes_of({0x12, 0x34}), 0x1234},
      {3, false, bytes_of({0x56, 0x34, 0x01}), 0x13456},
      {3, true, bytes_of({0x01, 0x34, 0x56}), 0x13456},
      {4, false, bytes_of({0x56, 0x34, 0x01, 0x00}), 0x13456},
      {4, true, bytes_of({0x00, 0x01, 0x34, 0x56}), 0x13456},
      {8, false, bytes_of({0x56, 0x34, 0x01, 0, 0, 0, 0, 0}), 0x13456},
      {8, true, bytes_of({0, 0, 0, 0, 0, 0x01, 0x34, 0x56}), 0x13456},
  };
  for (const Row& row : rows) {
    const Framing framing = length_framing({.width = row.width, .big_endian = row.big_endian});
    const Frame frame = inspect(framing, row.header, 0);
    CHECK(frame.verdict == Verdict::known);
    CHECK_EQ(frame.header_bytes, row.width);
    CHECK_EQ(frame.total, row.width + row.length);
    CHECK_EQ(frame.payload_offset, row.width);
    CHECK_EQ(frame.payload_length, row.length);
    Envelope envelope;
    CHECK(encode_envelope(framing, Bytes(row.length), &envelope));
    CHECK(unit::copy_of(ConstBytes(envelope.header).first(envelope.header_bytes)) == row.header);
  }
}

TEST("framing: a header that is not complete says nothing") {
  for (const std::uint32_t width : {1U, 2U, 3U, 4U, 8U}) {
    for (const std::uint32_t offset : {0U, 3U}) {
      const Framing framing = length_framing({.offset = offset, .width = width});
      const Bytes header(offset + width);
      for (std::size_t count = 0; count < header.size(); ++count) {
        CHECK(inspect(framing, ConstBytes(header).first(count), 0).verdict == Verdict::incomplete);
      }
      CHECK(inspect(framing, header, 0).verdict == Verdict::known);
    }
  }
}

TEST("framing: the five parameters mean what Netty's decoder means by them") {
  struct Row {
    LengthField field;
    Bytes wire;
    Bytes payload;
  };
  const Row rows[] = {
      // The field counts what follows it; nothing, then the header, is stripped.
      {{0, 2, true, 0, 0}, after({0x00, 0x0C}), after({0x00, 0x0C})},
      {{0, 2, true, 0, 2}, after({0x00, 0x0C}), kHello},
      {{0, 2, true, 0, -1}, after({0x00, 0x0C}), kHello},
      // The field counts itself too.
      {{0, 2, true, -2, 0}, after({0x00, 0x0E}), after({0x00, 0x0E})},
      {{0, 2, true, -2, 2}, after({0x00, 0x0E}), kHello},
      // Another header before the field.
      {{2, 3, true, 0, 0}, after({0xCA, 0xFE, 0x00, 0x00, 0x0C}), after({0xCA, 0xFE, 0x00, 0x00, 0x0C})},
      {{2, 3, true, 0, 2}, after({0xCA, 0xFE, 0x00, 0x00, 0x0C}), after({0x00, 0x00, 0x0C})},
      // Another header between the field and the body, not counted.
      {{0, 3, true, 2, 0}, after({0x00, 0x00, 0x0C, 0xCA, 0xFE}), after({0x00, 0x00, 0x0C, 0xCA, 0xFE})},
      // One before, one after the field; the first one and the field are stripped.
      {{1, 2, true, 1, 3}, after({0xCA, 0x00, 0x0C, 0xFE}), after({0xFE})},
      // The same, and the field counts the whole frame.
      {{1, 2, true, -3, 3}, after({0xCA, 0x00, 0x10, 0xFE}), after({0xFE})},
      {{1, 2, true, -3, -1}, after({0xCA, 0x00, 0x10, 0xFE}), after({0xFE})},
      // A part of the body is stripped with the header, and a part of the header is kept.
      {{0, 2, true, 0, 7}, after({0x00, 0x0C}), bytes_of(", WORLD")},
      {{0, 2, true, 0, 1}, after({0x00, 0x0C}), after({0x0C})},
      {{0, 2, true, 0, 14}, after({0x00, 0x0C}), {}},
  };
  for (const Row& row : rows) {
    Bytes stream = row.wire;
    unit::append(&stream, bytes_of("the next one"));
    const Frame frame = inspect(length_framing(row.field), stream, 0);
    CHECK_EQ(frame.total, row.wire.size());
    CHECK(payload_of(frame, stream) == row.payload);
  }
}

TEST("framing: a length between 0 and maxLength is legal, one beyond either is not") {
  const Framing framing = length_framing({.width = 2, .adjust = -4}, 100);
  const auto verdict = [&](int field) { return inspect(framing, bytes_of({field, 0}), 0); };
  CHECK(verdict(4).verdict == Verdict::known);
  CHECK_EQ(verdict(4).payload_length, 0U);
  CHECK(verdict(104).verdict == Verdict::known);
  CHECK_EQ(verdict(104).payload_length, 100U);
  CHECK(verdict(3).verdict == Verdict::illegal_length);
  CHECK_EQ(verdict(3).announced, -1);
  CHECK(verdict(105).verdict == Verdict::illegal_length);
  CHECK_EQ(verdict(105).announced, 101);
}

TEST("framing: lengths beyond 63 bits are illegal and never wrap") {
  constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
  const Bytes all_ones(8, 0xFF);
  const Bytes largest = bytes_of({0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F});
  const Bytes sign_bit = bytes_of({0, 0, 0, 0, 0, 0, 0, 0x80});
  for (const std::int64_t adjust : {std::int64_t{0}, std::int64_t{-8}, std::int64_t{1000}, -kLargest, kLargest}) {
    const Framing framing = length_framing({.width = 8, .adjust = adjust});
    CHECK(inspect(framing, all_ones, 0).verdict == Verdict::illegal_length);
    CHECK(inspect(framing, sign_bit, 0).verdict == Verdict::illegal_length);
    const Frame frame = inspect(framing, largest, 0);
    CHECK(adjust == -kLargest ? frame.verdict == Verdict::known : frame.verdict == Verdict::illegal_length);
  }
  CHECK_EQ(inspect(length_framing({.width = 8}), all_ones, 0).announced, kLargest);
}

TEST("framing: a frame shorter than what is to be stripped is illegal") {
  const Framing framing = length_framing({.width = 2, .strip = 6});
  CHECK(inspect(framing, bytes_of({3, 0}), 0).verdict == Verdict::illegal_length);
  const Frame frame = inspect(framing, bytes_of({4, 0}), 0);
  CHECK(frame.verdict == Verdict::known);
  CHECK_EQ(frame.payload_length, 0U);
}

TEST("framing: what was stripped is made again when sending") {
  CHECK(encoded(length_framing({.offset = 2, .width = 2, .big_endian = true}), kHello) ==
        after({0x00, 0x00, 0x00, 0x0C}));
  CHECK(encoded(length_framing({.width = 2, .big_endian = true, .adjust = -2}), kHello) == after({0x00, 0x0E}));
  CHECK(encoded(length_framing({.width = 2, .big_endian = true, .adjust = 2}), kHello) == after({0x00, 0x0A}));
  CHECK(encoded(length_framing({.width = 1, .strip = 3}), kHello) == after({0x0E, 0x00, 0x00}));
}

TEST("framing: what was kept must be in the payload, and be right") {
  const Framing whole = length_framing({.width = 2, .big_endian = true, .strip = 0});
  CHECK(encoded(whole, after({0x00, 0x0C})) == after({0x00, 0x0C}));
  CHECK(!encodes(whole, after({0x00, 0x0B})));
  CHECK(!encodes(whole, after({0x00, 0x0D})));
  CHECK(!encodes(whole, bytes_of({0x00})));
  CHECK(!encodes(whole, {}));

  const Framing from_field = length_framing({.offset = 2, .width = 2, .big_endian = true, .strip = 2});
  CHECK(encoded(from_field, after({0x00, 0x0C})) == after({0x00, 0x00, 0x00, 0x0C}));
  CHECK(!encodes(from_field, after({0x00, 0x0E})));

  const Framing half_a_field = length_framing({.width = 2, .big_endian = true, .strip = 1});
  CHECK(!encodes(half_a_field, after({0x0C})));
}

TEST("framing: a length that the field or maxLength does not admit is not sent") {
  const Framing narrow = length_framing({.width = 1});
  CHECK(encodes(narrow, Bytes(255)));
  CHECK(!encodes(narrow, Bytes(256)));
  const Framing limited = length_framing({.width = 4}, 508);
  CHECK(encodes(limited, Bytes(508)));
  CHECK(!encodes(limited, Bytes(509)));
  const Framing negative = length_framing({.width = 2, .adjust = 10});
  CHECK(encodes(negative, Bytes(10)));
  CHECK(!encodes(negative, Bytes(9)));
}

TEST("framing: a varint's published values are read and written") {
  const std::pair<std::size_t, Bytes> rows[] = {
      {0, bytes_of({0x00})},
      {1, bytes_of({0x01})},
      {127, bytes_of({0x7F})},
      {128, bytes_of({0x80, 0x01})},
      {300, bytes_of({0xAC, 0x02})},
      {16383, bytes_of({0xFF, 0x7F})},
      {16384, bytes_of({0x80, 0x80, 0x01})},
  };
  for (const auto& [length, header] : rows) {
    const Frame frame = inspect(varint_framing(), header, 0);
    CHECK(frame.verdict == Verdict::known);
    CHECK_EQ(frame.payload_offset, header.size());
    CHECK_EQ(frame.payload_length, length);
    Envelope envelope;
    CHECK(encode_envelope(varint_framing(), Bytes(length), &envelope));
    CHECK(unit::copy_of(ConstBytes(envelope.header).first(envelope.header_bytes)) == header);
    for (std::size_t count = 0; count < header.size(); ++count) {
      CHECK(inspect(varint_framing(), ConstBytes(header).first(count), 0).verdict == Verdict::incomplete);
    }
  }
}

TEST("framing: a varint may be longer than it need be, but never than ten bytes") {
  CHECK_EQ(inspect(varint_framing(), bytes_of({0x85, 0x80, 0x00}), 0).payload_length, 5U);
  CHECK_EQ(inspect(varint_framing(), bytes_of({0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}), 0).total,
           15U);

  Bytes endless(9, 0x80);
  CHECK(inspect(varint_framing(), endless, 0).verdict == Verdict::incomplete);
  endless.push_back(0x80);
  CHECK(inspect(varint_framing(), endless, 0).verdict == Verdict::illegal_length);

  // 2^64 - 1 fits ten bytes and is too long; 2^64 does not fit.
  Bytes ones(9, 0xFF);
  ones.push_back(0x01);
  CHECK(inspect(varint_framing(), ones, 0).verdict == Verdict::illegal_length);
  ones.back() = 0x02;
  CHECK(inspect(varint_framing(), ones, 0).verdict == Verdict::illegal_length);
}

TEST("framing: a varint beyond maxLength is illegal") {
  const Framing framing = varint_framing(0, -1, 200);
  CHECK(inspect(framing, bytes_of({0xC8, 0x01}), 0).verdict == Verdict::known);
  CHECK(inspect(framing, bytes_of({0xC9, 0x01}), 0).verdict == Verdict::illegal_length);
  CHECK_EQ(inspect(framing, bytes_of({0xC9, 0x01}), 0).announced, 201);
  CHECK(encodes(framing, Bytes(200)));
  CHECK(!encodes(framing, Bytes(201)));
}

TEST("framing: MQTT is a varint at offset 1, with its header kept") {
  const Framing framing = varint_framing(1, 0);
  const Bytes ping = bytes_of({0xC0, 0x00});
  const Frame seen = inspect(framing, ping, 0);
  CHECK_EQ(seen.total, 2U);
  CHECK(payload_of(seen, ping) == ping);
  CHECK(encoded(framing, ping) == ping);

  Bytes publish = bytes_of({0x30, 0xAC, 0x02});
  publish.resize(3 + 300, 'x');
  CHECK_EQ(inspect(framing, ConstBytes(publish).first(3), 0).total, 303U);
  CHECK(inspect(framing, ConstBytes(publish).first(2), 0).verdict == Verdict::incomplete);
  CHECK(encoded(framing, publish) == publish);
  publish.pop_back();
  CHECK(!encodes(framing, publish));

  // Without its header the payload is the body alone, and the first byte is sent as zero.
  const Bytes body = bytes_of("body");
  CHECK(encoded(varint_framing(1), body) == after({0x00, 0x04}, body));
}

TEST("framing: a package ends at its delimiter, which is removed or kept") {
  const Bytes stream = bytes_of("ab\r\ncd\r\n");
  CHECK(payload_of(inspect(delimiter_framing("\r\n"), stream, 0), stream) == bytes_of("ab"));
  CHECK_EQ(inspect(delimiter_framing("\r\n"), stream, 0).total, 4U);
  CHECK(payload_of(inspect(delimiter_framing("\r\n", true), stream, 0), stream) == bytes_of("ab\r\n"));
  const Bytes empty = bytes_of("\r\n");
  CHECK(payload_of(inspect(delimiter_framing("\r\n"), empty, 0), empty).empty());
}

TEST("framing: a delimiter is found wherever the searched part ended") {
  const std::string_view delimiter = "-=-=-!";
  const Framing framing = delimiter_framing(delimiter);
  // False starts of every length stand before the real one.
  const Bytes stream = bytes_of("a-=-=-b-=-=-=-=-!tail");
  const std::size_t end = 17;
  for (std::size_t scanned = 0; scanned < end; ++scanned) {
    CHECK(inspect(framing, ConstBytes(stream).first(scanned), 0).verdict == Verdict::incomplete);
    const Frame frame = inspect(framing, stream, scanned);
    CHECK(frame.verdict == Verdict::known);
    CHECK_EQ(frame.total, end);
    CHECK_EQ(frame.payload_length, end - delimiter.size());
  }
}

TEST("framing: a delimited package of maxLength bytes is legal, one byte more is not") {
  const Framing framing = delimiter_framing("<>", false, 5);
  CHECK(inspect(framing, bytes_of("12345<>"), 0).verdict == Verdict::known);
  CHECK(inspect(framing, bytes_of("123456<>"), 0).verdict == Verdict::illegal_length);
  CHECK(inspect(framing, bytes_of("12345<"), 0).verdict == Verdict::incomplete);
  CHECK(inspect(framing, bytes_of("123456"), 0).verdict == Verdict::incomplete);
  CHECK(inspect(framing, bytes_of("1234567"), 0).verdict == Verdict::illegal_length);
  CHECK(encodes(framing, bytes_of("12345")));
  CHECK(!encodes(framing, bytes_of("123456")));
}

TEST("framing: a payload that would be cut in two by its delimiter is not sent") {
  const Framing framing = delimiter_framing("\r\n");
  CHECK(encoded(framing, bytes_of("a\nb\r")) == bytes_of("a\nb\r\r\n"));
  CHECK(!encodes(framing, bytes_of("a\r\nb")));
  CHECK(!encodes(framing, bytes_of("a\r\n")));
  const Framing keeping = delimiter_framing("\r\n", true);
  CHECK(encoded(keeping, bytes_of("a\r\n")) == bytes_of("a\r\n"));
  CHECK(!encodes(keeping, bytes_of("a\r\nb\r\n")));
  // The payload's end and the delimiter together spell a delimiter that begins earlier.
  CHECK(!encodes(delimiter_framing("\r\n\r\n"), bytes_of("a\r\n")));
  CHECK(!encodes(delimiter_framing("aa"), bytes_of("ba")));
  CHECK(encodes(delimiter_framing("aa"), bytes_of("ab")));
  CHECK(encodes(delimiter_framing("\r\n\r\n"), bytes_of("\r\na")));
}

TEST("framing: a fixed length needs no header and admits no other length") {
  const Framing framing = fixed_framing(6);
  const Frame frame = inspect(framing, bytes_of("1"), 0);
  CHECK(frame.verdict == Verdict::known);
  CHECK_EQ(frame.total, 6U);
  CHECK_EQ(frame.payload_length, 6U);
  CHECK(encoded(framing, bytes_of("123456")) == bytes_of("123456"));
  CHECK(!encodes(framing, bytes_of("12345")));
  CHECK(!encodes(framing, bytes_of("1234567")));
}

TEST("framing: without framing whatever arrives together is a package") {
  CHECK(inspect(no_framing(), {}, 0).verdict == Verdict::incomplete);
  const Bytes chunk = bytes_of("anything");
  CHECK(payload_of(inspect(no_framing(), chunk, 0), chunk) == chunk);
  CHECK(encoded(no_framing(), chunk) == chunk);
}

namespace {

Framing random_framing(Random& random) {
  static const char* const kDelimiters[] = {"\n", "\r\n", "\r\n\r\n", "aa", "aba", "--==--"};
  switch (random.below(4)) {
    case 0: {
      const std::uint32_t widths[] = {1, 2, 3, 4, 8};
      const auto width = widths[random.below(5)];
      const auto offset = static_cast<std::uint32_t>(random.below(6));
      const std::int64_t strips[] = {-1, 0, offset, offset + width, offset + width + 3};
      const auto adjust = static_cast<std::int64_t>(random.below(9)) - 4;
      return length_framing({offset, width, random.chance(50), adjust, strips[random.below(5)]}, 700);
    }
    case 1: {
      const auto offset = static_cast<std::uint32_t>(random.below(3));
      return varint_framing(offset, random.chance(70) ? -1 : static_cast<std::int64_t>(random.below(offset + 1)), 700);
    }
    case 2:
      return delimiter_framing(kDelimiters[random.below(6)], random.chance(30), 700);
    default:
      return fixed_framing(random.between(1, 40));
  }
}

// A payload with a good chance of being one that can be sent: from a small alphabet where delimiters are met, of the
// fixed length, or with the header it has to bring.
Bytes random_payload(Random& random, const Framing& framing) {
  Bytes payload = random.bytes(static_cast<std::size_t>(random.below(random.chance(80) ? 40 : 800)));
  if (framing.type == FramingType::delimiter) {
    for (std::uint8_t& byte : payload) byte = static_cast<std::uint8_t>("ab\r\n-="[byte % 6]);
  }
  if (framing.type == FramingType::fixed && random.chance(80)) {
    payload = random.bytes(static_cast<std::size_t>(framing.max_length));
  }
  const bool keeps_header = framing.strip >= 0 && framing.strip <= framing.offset;
  if (keeps_header && (framing.type == FramingType::length || framing.type == FramingType::varint)) {
    Framing bare = framing;
    bare.strip = -1;
    const Bytes whole = encoded(bare, payload);
    if (whole.size() > static_cast<std::size_t>(framing.strip))
      payload.assign(whole.begin() + framing.strip, whole.end());
  }
  return payload;
}

}  // namespace

TEST("framing: whatever is encoded is inspected back, and a part of it never misleads") {
  Random random;
  int round_trips = 0;
  for (int turn = 0; turn < 20'000; ++turn) {
    const Framing framing = random_framing(random);
    const Bytes payload = random_payload(random, framing);
    Envelope envelope;
    if (!encode_envelope(framing, payload, &envelope)) continue;
    ++round_trips;
    Bytes wire = encoded(framing, payload);
    const std::size_t total = wire.size();
    unit::append(&wire, random.bytes(static_cast<std::size_t>(random.below(20))));

    Bytes expected = payload;
    if (framing.strip == 0) unit::append(&expected, envelope.trailer);
    const Frame frame = inspect(framing, wire, 0);
    REQUIRE(frame.verdict == Verdict::known);
    REQUIRE(frame.total == total);
    REQUIRE(payload_of(frame, wire) == expected);

    const auto part = static_cast<std::size_t>(random.below(total + 1));
    const Frame early = inspect(framing, ConstBytes(wire).first(part), 0);
    REQUIRE(early.verdict == Verdict::incomplete || (early.verdict == Verdict::known && early.total == total));
  }
  CHECK(round_trips > 5'000);
}

TEST("framing: no bytes whatever make a package that is longer than allowed") {
  Random random;
  for (int turn = 0; turn < 20'000; ++turn) {
    const Framing framing = random_framing(random);
    const Bytes wire = random.bytes(static_cast<std::size_t>(random.below(100)));
    const Frame frame = inspect(framing, wire, 0);
    if (frame.verdict != Verdict::known) continue;
    const std::uint64_t front = framing.type == FramingType::delimiter ? framing.delimiter.size() : frame.header_bytes;
    REQUIRE(frame.total <= front + framing.max_length);
    REQUIRE(frame.total > 0);
    REQUIRE(frame.payload_offset + frame.payload_length <= frame.total);
  }
}

TEST("framing: the text of an illegal length gives the length, the limit and the header") {
  Framing framing;
  framing.max_length = 508;
  const Bytes header = bytes_of({0x00, 0x02, 0x00, 0x01});
  const std::string text = iocp::describe_illegal_length(framing, header, 16777728);
  CHECK(text.find("16777728") != std::string::npos);
  CHECK(text.find("508") != std::string::npos);
  CHECK(text.find("header 00 02 00 01") != std::string::npos);
  CHECK(text.find("text") == std::string::npos);
}

TEST("framing: a header that reads as text is shown as text, and HTTP is recognised") {
  const std::string http = iocp::describe_illegal_length(Framing{}, bytes_of("GET "), 0x20544547);
  CHECK(http.find("header 47 45 54 20 reads as text \"GET \": is the peer speaking HTTP?") != std::string::npos);
  const std::string other = iocp::describe_illegal_length(Framing{}, bytes_of("EHLO"), 0x4F4C4845);
  CHECK(other.find("reads as text \"EHLO\"") != std::string::npos);
  CHECK(other.find("HTTP") == std::string::npos);
}

TEST("framing: the header is told apart from what followed it") {
  const std::string text =
      iocp::describe_illegal_length(Framing{}, bytes_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0x20544547);
  CHECK(text.find("header 47 45 54 20 reads as text \"GET \": is the peer speaking HTTP?") != std::string::npos);
}

TEST("framing: a delimiter that does not come is told as that") {
  const std::string text = iocp::describe_illegal_length(delimiter_framing("\n", false, 5), bytes_of("123456789"), 9);
  CHECK(text.find("no delimiter within maxLength = 5 bytes") != std::string::npos);
}
