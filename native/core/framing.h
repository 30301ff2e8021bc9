// Where a package begins and ends in the stream of bytes. Pure functions over bytes: no context, no memory, no
// I/O. The receiving side asks inspect() about the bytes at hand; the sending side asks encode_header().
//
// The parameters of the length form are those of Netty's LengthFieldBasedFrameDecoder, with the same meaning:
// frame bytes = offset + width + (field + adjust); the listener gets the frame without its first `strip` bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
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

// The same for a payload of `payload_bytes` that is not at hand, in a length framing that strips its whole header.
bool encode_length_header(const Framing& framing, std::uint64_t payload_bytes, Envelope* envelope) noexcept;

// The text of an illegal length: the decoded value, the limit, the header in hexadecimal and, where it is
// printable ASCII, what it reads as. `bytes` begin with the header; what follows it is not shown.
std::string describe_illegal_length(const Framing& framing, ConstBytes bytes, std::int64_t announced);

}  // namespace iocp
