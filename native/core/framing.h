// Where a package begins and ends in the stream of bytes. Pure functions over bytes: no context, no memory, no
// I/O. The receiving side asks inspect() about the bytes at hand; the sending side asks encode_header().
//
// The parameters of the length form are those of Netty's LengthFieldBasedFrameDecoder, with the same meaning:
// frame bytes = offset + width + (field + adjust); the listener gets the frame without its first `strip` bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "port/port.h"

namespace iocp {

enum class FramingType : std::uint8_t { none, length, varint, delimiter, fixed };

struct Framing {
  FramingType type = FramingType::length;
  std::uint32_t offset = 0;  // bytes before the length field
  std::uint32_t width = 4;   // 1, 2, 3, 4 or 8 bytes
  bool big_endian = false;
  std::int64_t adjust = 0;  // added to the field: bytes that follow the field
  std::int64_t strip = -1;  // -1 = the whole header; delimiter: 0 keeps the delimiter, else it is removed
  std::uint64_t max_length = 1024 * 1024;
  std::vector<std::uint8_t> delimiter;
};

// What the bytes at hand say about the package that starts with them.
struct Frame {
  enum class Verdict : std::uint8_t {
    incomplete,      // more bytes are needed to know where the package ends
    known,           // the package ends at `total` (which may be beyond the bytes at hand)
    illegal_length,  // `announced` is outside what is allowed
  };
  Verdict verdict = Verdict::incomplete;
  std::uint32_t header_bytes = 0;    // of the length forms: where the counted bytes begin
  std::uint64_t total = 0;           // bytes of the package on the wire
  std::uint64_t payload_offset = 0;  // of the part the listener gets
  std::uint64_t payload_length = 0;
  std::int64_t announced = 0;  // illegal_length: the decoded length after `adjust`
};

// Limits on what a user may configure, so that a generated header fits an Envelope.
constexpr std::uint32_t kFramingOffsetMax = 64;
constexpr std::int64_t kFramingStripMax = 96;

namespace framing_detail {

inline std::uint64_t read_field(const std::uint8_t* bytes, std::uint32_t width, bool big_endian) noexcept {
  // The default, as compilers know it for what it is: one load.
  if (width == 4 && !big_endian) {
    return bytes[0] | std::uint32_t{bytes[1]} << 8 | std::uint32_t{bytes[2]} << 16 | std::uint32_t{bytes[3]} << 24;
  }
  std::uint64_t value = 0;
  for (std::uint32_t i = 0; i < width; ++i) {
    const std::uint32_t at = big_endian ? i : width - 1 - i;
    value = (value << 8) | bytes[at];
  }
  return value;
}

inline void write_field(std::uint8_t* bytes, std::uint32_t width, bool big_endian, std::uint64_t value) noexcept {
  if (width == 4 && !big_endian) {
    bytes[0] = static_cast<std::uint8_t>(value);
    bytes[1] = static_cast<std::uint8_t>(value >> 8);
    bytes[2] = static_cast<std::uint8_t>(value >> 16);
    bytes[3] = static_cast<std::uint8_t>(value >> 24);
    return;
  }
  for (std::uint32_t i = 0; i < width; ++i) {
    const std::uint32_t at = big_endian ? width - 1 - i : i;
    bytes[at] = static_cast<std::uint8_t>(value);
    value >>= 8;
  }
}

inline Frame illegal(std::int64_t announced) noexcept {
  Frame frame;
  frame.verdict = Frame::Verdict::illegal_length;
  frame.announced = announced;
  return frame;
}

// What follows from a length field of that value, which ends `field_end` bytes into the package.
inline Frame inspect_counted(const Framing& framing, std::uint64_t field, std::uint32_t field_end) noexcept {
  constexpr std::uint64_t kLargestSigned = static_cast<std::uint64_t>(INT64_MAX);
  if (field > kLargestSigned) return illegal(INT64_MAX);
  const auto value = static_cast<std::int64_t>(field);
  if (framing.adjust > 0 && value > INT64_MAX - framing.adjust) return illegal(INT64_MAX);
  const std::int64_t rest = value + framing.adjust;
  if (rest < 0 || static_cast<std::uint64_t>(rest) > framing.max_length) return illegal(rest);

  Frame frame;
  frame.verdict = Frame::Verdict::known;
  frame.header_bytes = field_end;
  frame.total = field_end + static_cast<std::uint64_t>(rest);
  const std::uint64_t strip = framing.strip < 0 ? field_end : static_cast<std::uint64_t>(framing.strip);
  if (strip > frame.total) return illegal(rest);
  frame.payload_offset = strip;
  frame.payload_length = frame.total - strip;
  return frame;
}

}  // namespace framing_detail

// inspect() of the length form, for loops over small packages: inlined, it keeps the Frame in registers.
inline Frame inspect_length(const Framing& framing, ConstBytes bytes) noexcept {
  const std::uint32_t end = framing.offset + framing.width;
  if (bytes.size() < end) return {};
  const std::uint64_t field =
      framing_detail::read_field(bytes.data() + framing.offset, framing.width, framing.big_endian);
  return framing_detail::inspect_counted(framing, field, end);
}

// Looks at the package that starts at bytes[0]. `scanned` (delimiter framing only) is how many of the bytes
// were searched before without success; 0 is always right, only slower.
Frame inspect(const Framing& framing, ConstBytes bytes, std::size_t scanned) noexcept;

// The bytes that go before and after an outgoing payload.
struct Envelope {
  std::array<std::uint8_t, 128> header;  // the first header_bytes are valid
  std::uint32_t header_bytes = 0;
  ConstBytes trailer;  // the delimiter; lives as long as the framing
};

// The mirror of inspect(): a payload as a listener would get it becomes the frame that yields it. What was
// stripped is made again (bytes before the length field as zeros, the field from the payload's length); what was
// kept must be in the payload already and must be right. False when that cannot be: a length the field or
// max_length does not admit, a wrong header kept in the payload, a delimiter inside it, not the fixed length.
bool encode_envelope(const Framing& framing, ConstBytes payload, Envelope* envelope) noexcept;

// A length form that strips its whole header, or more: the payload's size is all it takes to make it again.
inline bool makes_whole_header(const Framing& framing) noexcept {
  const std::uint32_t header = framing.offset + framing.width;
  return framing.type == FramingType::length && (framing.strip < 0 || framing.strip >= header);
}

// Bytes before a payload where makes_whole_header().
inline std::uint32_t whole_header_bytes(const Framing& framing) noexcept {
  return framing.strip < 0 ? framing.offset + framing.width : static_cast<std::uint32_t>(framing.strip);
}

// encode_envelope() where makes_whole_header(), for a payload of `payload_bytes` that need not be at hand: writes
// whole_header_bytes() to `header`. False: nothing was written.
inline bool write_whole_header(const Framing& framing, std::uint64_t payload_bytes, std::uint8_t* header) noexcept {
  const std::uint32_t bytes = whole_header_bytes(framing);
  const std::uint64_t rest = bytes - (framing.offset + framing.width) + payload_bytes;
  const std::int64_t value = static_cast<std::int64_t>(rest) - framing.adjust;
  if (rest > framing.max_length || value < 0) return false;
  if (framing.width < 8 && (static_cast<std::uint64_t>(value) >> (8 * framing.width)) != 0) return false;
  if (bytes > framing.width) std::memset(header, 0, bytes);
  framing_detail::write_field(header + framing.offset, framing.width, framing.big_endian,
                              static_cast<std::uint64_t>(value));
  return true;
}

// The same into an Envelope, for those who gather.
inline bool encode_length_header(const Framing& framing, std::uint64_t payload_bytes, Envelope* envelope) noexcept {
  if (!write_whole_header(framing, payload_bytes, envelope->header.data())) return false;
  envelope->header_bytes = whole_header_bytes(framing);
  return true;
}

// The text of an illegal length: the decoded value, the limit, the header in hexadecimal and, where it is
// printable ASCII, what it reads as. `bytes` begin with the header; what follows it is not shown.
std::string describe_illegal_length(const Framing& framing, ConstBytes bytes, std::int64_t announced);

}  // namespace iocp
