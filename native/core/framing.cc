// Package boundaries: inspect() for the way in, encode_envelope() for the way out.
#include "core/framing.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "port/check.h"

namespace iocp {
namespace {

using framing_detail::illegal;
using framing_detail::inspect_counted;

constexpr std::uint32_t kVarintBytesMax = 10;

// The field of a length-prefixed header: its value and where it ends.
struct Field {
  enum class State : std::uint8_t { incomplete, known, malformed };
  State state = State::incomplete;
  std::uint64_t value = 0;
  std::uint32_t end = 0;
};

// Base-128, least significant group first (Protocol Buffers' and MQTT's variable-length integer).
Field read_varint_field(const Framing& framing, ConstBytes bytes) noexcept {
  std::uint64_t value = 0;
  for (std::uint32_t i = 0; i < kVarintBytesMax; ++i) {
    const std::size_t at = std::size_t{framing.offset} + i;
    if (at >= bytes.size()) return {};
    const std::uint64_t group = bytes[at] & 0x7f;
    if (i == kVarintBytesMax - 1 && group > 1) return {Field::State::malformed, ~std::uint64_t{0}, 0};
    value |= group << (7 * i);
    if ((bytes[at] & 0x80) == 0) return {Field::State::known, value, static_cast<std::uint32_t>(at + 1)};
  }
  return {Field::State::malformed, ~std::uint64_t{0}, 0};
}

// How many of the bytes are the header of a package whose length is illegal.
std::size_t header_length(const Framing& framing, ConstBytes bytes) noexcept {
  constexpr std::size_t kShownMax = 16;
  switch (framing.type) {
    case FramingType::length:
      return std::size_t{framing.offset} + framing.width;
    case FramingType::varint: {
      std::size_t end = framing.offset;
      while (end < bytes.size() && (bytes[end] & 0x80) != 0 && end < framing.offset + kVarintBytesMax - 1) ++end;
      return end + 1;
    }
    case FramingType::delimiter:
    case FramingType::fixed:
    case FramingType::none:
      return kShownMax;
  }
  IOCP_UNREACHABLE("a FramingType outside the enum");
}

Frame inspect_varint(const Framing& framing, ConstBytes bytes) noexcept {
  const Field field = read_varint_field(framing, bytes);
  if (field.state == Field::State::incomplete) return {};
  if (field.state == Field::State::malformed) return illegal(INT64_MAX);
  return inspect_counted(framing, field.value, field.end);
}

// Index of the delimiter's first byte at or after `from`, or bytes.size().
std::size_t find_delimiter(ConstBytes bytes, const std::vector<std::uint8_t>& delimiter, std::size_t from) noexcept {
  const std::size_t length = delimiter.size();
  while (from + length <= bytes.size()) {
    const void* hit = std::memchr(bytes.data() + from, delimiter[0], bytes.size() - from - length + 1);
    if (hit == nullptr) break;
    from = static_cast<std::size_t>(static_cast<const std::uint8_t*>(hit) - bytes.data());
    if (std::memcmp(bytes.data() + from, delimiter.data(), length) == 0) return from;
    ++from;
  }
  return bytes.size();
}

Frame inspect_delimited(const Framing& framing, ConstBytes bytes, std::size_t scanned) noexcept {
  const std::size_t length = framing.delimiter.size();
  // A delimiter may have begun in what was searched before: look again at its last length - 1 bytes.
  const std::size_t from = scanned >= length ? scanned - (length - 1) : 0;
  const std::size_t at = find_delimiter(bytes, framing.delimiter, from);
  if (at == bytes.size()) {
    // Everything up to a possible partial delimiter at the end certainly belongs to the package.
    const std::size_t certain = bytes.size() < length ? 0 : bytes.size() - (length - 1);
    if (certain > framing.max_length) return illegal(static_cast<std::int64_t>(certain));
    return {};
  }
  if (at > framing.max_length) return illegal(static_cast<std::int64_t>(at));
  Frame frame;
  frame.verdict = Frame::Verdict::known;
  frame.total = at + length;
  frame.payload_length = framing.strip == 0 ? frame.total : at;
  return frame;
}

Frame known_whole(std::uint64_t total) noexcept {
  Frame frame;
  frame.verdict = Frame::Verdict::known;
  frame.total = total;
  frame.payload_length = total;
  return frame;
}

std::uint32_t write_varint(std::uint8_t* bytes, std::uint64_t value) noexcept {
  std::uint32_t count = 0;
  while (value >= 0x80) {
    bytes[count++] = static_cast<std::uint8_t>(value | 0x80);
    value >>= 7;
  }
  bytes[count++] = static_cast<std::uint8_t>(value);
  return count;
}

// The payload brings its header (or the part of it after `strip` zero bytes): it must be exactly one frame.
bool encode_kept_header(const Framing& framing, ConstBytes payload, Envelope* envelope) noexcept {
  const auto zeros = static_cast<std::uint32_t>(framing.strip);
  if (zeros > framing.offset) return false;
  std::array<std::uint8_t, 128> front = {};
  const std::size_t copied = std::min<std::size_t>(payload.size(), front.size() - zeros);
  if (copied > 0) std::memcpy(front.data() + zeros, payload.data(), copied);
  const Frame frame = inspect(framing, ConstBytes(front.data(), zeros + copied), 0);
  if (zeros > 0) std::memset(envelope->header.data(), 0, zeros);
  envelope->header_bytes = zeros;
  return frame.verdict == Frame::Verdict::known && frame.total == zeros + payload.size();
}

bool encode_length(const Framing& framing, ConstBytes payload, Envelope* envelope) noexcept {
  if (!makes_whole_header(framing)) return encode_kept_header(framing, payload, envelope);
  return encode_length_header(framing, payload.size(), envelope);
}

bool encode_varint(const Framing& framing, ConstBytes payload, Envelope* envelope) noexcept {
  if (framing.strip >= 0) return encode_kept_header(framing, payload, envelope);
  const std::int64_t value = static_cast<std::int64_t>(payload.size()) - framing.adjust;
  if (payload.size() > framing.max_length || value < 0) return false;
  if (framing.offset > 0) std::memset(envelope->header.data(), 0, framing.offset);
  const std::uint32_t count = write_varint(envelope->header.data() + framing.offset, static_cast<std::uint64_t>(value));
  envelope->header_bytes = framing.offset + count;
  return true;
}

// Whether the payload's end and the delimiter's beginning together spell a delimiter, where the receiver would cut.
bool tail_spells_delimiter(ConstBytes payload, const std::vector<std::uint8_t>& delimiter) noexcept {
  const std::size_t length = delimiter.size();
  for (std::size_t tail = 1; tail < length && tail <= payload.size(); ++tail) {
    const bool begins_it = std::memcmp(payload.data() + payload.size() - tail, delimiter.data(), tail) == 0;
    if (begins_it && std::memcmp(delimiter.data(), delimiter.data() + tail, length - tail) == 0) return true;
  }
  return false;
}

bool encode_delimited(const Framing& framing, ConstBytes payload, Envelope* envelope) noexcept {
  const std::size_t at = find_delimiter(payload, framing.delimiter, 0);
  if (at == payload.size()) {
    if (tail_spells_delimiter(payload, framing.delimiter)) return false;
    envelope->trailer = framing.delimiter;
    return payload.size() <= framing.max_length;
  }
  const bool ends_with_it = at + framing.delimiter.size() == payload.size();
  return framing.strip == 0 && ends_with_it && at <= framing.max_length;
}

}  // namespace

Frame inspect(const Framing& framing, ConstBytes bytes, std::size_t scanned) noexcept {
  switch (framing.type) {
    case FramingType::length:
      return inspect_length(framing, bytes);
    case FramingType::varint:
      return inspect_varint(framing, bytes);
    case FramingType::delimiter:
      return inspect_delimited(framing, bytes, scanned);
    case FramingType::fixed:
      return known_whole(framing.max_length);
    case FramingType::none:
      return bytes.empty() ? Frame{} : known_whole(bytes.size());
  }
  IOCP_UNREACHABLE("a FramingType outside the enum");
}

bool encode_envelope(const Framing& framing, ConstBytes payload, Envelope* envelope) noexcept {
  switch (framing.type) {
    case FramingType::length:
      return encode_length(framing, payload, envelope);
    case FramingType::varint:
      return encode_varint(framing, payload, envelope);
    case FramingType::delimiter:
      return encode_delimited(framing, payload, envelope);
    case FramingType::fixed:
      return payload.size() == framing.max_length;
    case FramingType::none:
      return true;
  }
  IOCP_UNREACHABLE("a FramingType outside the enum");
}

std::string describe_illegal_length(const Framing& framing, ConstBytes bytes, std::int64_t announced) {
  std::string text;
  if (framing.type == FramingType::delimiter) {
    text = "no delimiter within maxLength = " + std::to_string(framing.max_length) + " bytes";
  } else {
    text = "package length " + std::to_string(announced) + " is outside 0 \u2026 " +
           std::to_string(framing.max_length) + " (maxLength)";
  }
  const ConstBytes shown = bytes.first(std::min(bytes.size(), header_length(framing, bytes)));
  bool printable = !shown.empty();
  std::string hexadecimal;
  std::string ascii;
  for (const std::uint8_t byte : shown) {
    char digits[4];
    std::snprintf(digits, sizeof digits, "%02X", byte);
    if (!hexadecimal.empty()) hexadecimal += ' ';
    hexadecimal += digits;
    printable = printable && byte >= 0x20 && byte < 0x7f;
    ascii += static_cast<char>(byte);
  }
  text += "; header " + hexadecimal;
  if (printable && framing.type != FramingType::delimiter) {
    text += " reads as text \"" + ascii + "\"";
    const bool http = ascii.starts_with("GET") || ascii.starts_with("POST") || ascii.starts_with("PUT") ||
                      ascii.starts_with("HEAD") || ascii.starts_with("HTTP") || ascii.starts_with("OPTI");
    text += http ? ": is the peer speaking HTTP?" : ": is the peer speaking a text protocol?";
  }
  return text;
}

}  // namespace iocp
