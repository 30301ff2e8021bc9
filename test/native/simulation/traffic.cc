// Sizes, bytes and framings of the simulated streams.
#include "simulation/traffic.h"

#include <algorithm>

#include "port/check.h"

namespace simulation {
namespace {

constexpr std::size_t kMaxLength = 64 * 1024;

std::uint64_t mix(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

std::uint64_t rotate_left(std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

}  // namespace

Random::Random(std::uint64_t seed) {
  for (std::uint64_t& word : state_) word = mix(seed);
}

std::uint64_t Random::next() {
  const std::uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = rotate_left(state_[3], 45);
  return result;
}

iocp::Framing random_framing(Random& random) {
  iocp::Framing framing;
  framing.max_length = kMaxLength;
  switch (random.below(8)) {
    case 0:
      framing.type = iocp::FramingType::varint;
      framing.offset = random.below(3);
      return framing;
    case 1:
      framing.type = iocp::FramingType::delimiter;
      framing.strip = random.chance(50) ? 1 : 0;
      framing.delimiter =
          random.chance(50) ? std::vector<std::uint8_t>{'\n'} : std::vector<std::uint8_t>{'\r', '\n', '\r'};
      return framing;
    case 2:
      framing.type = iocp::FramingType::fixed;
      framing.max_length = 1 + random.below(3000);
      return framing;
    case 3:
      framing.type = iocp::FramingType::none;
      return framing;
    case 4:
      framing.width = random.pick<std::uint32_t>({3, 8});
      framing.big_endian = random.chance(50);
      framing.offset = random.below(5);
      framing.adjust = random.chance(50) ? -static_cast<std::int64_t>(framing.width) : 0;
      return framing;
    default:
      return framing;  // the article's own, the default of the product
  }
}

std::vector<std::uint8_t> payload_of(const iocp::Framing& framing, std::uint32_t stream, std::uint32_t number) {
  Random random((std::uint64_t{stream} << 32) | number);
  std::size_t size = 0;
  switch (random.below(10)) {
    case 0:
      size = 0;
      break;
    case 1:
      size = random.below(6000);
      break;
    case 2:
      size = random.below(20) == 0 ? random.below(kMaxLength) : random.below(20'000);
      break;
    default:
      size = random.below(200);
      break;
  }
  if (framing.type == iocp::FramingType::fixed) size = framing.max_length;
  if (framing.type == iocp::FramingType::none && size == 0) size = 1;  // a stream cannot show an empty chunk
  std::vector<std::uint8_t> payload(size);
  for (std::uint8_t& byte : payload) byte = static_cast<std::uint8_t>(0x20 + random.below(0x5f));
  // With `strip` off a delimited payload ends with its delimiter.
  if (framing.type == iocp::FramingType::delimiter && framing.strip == 0) {
    payload.insert(payload.end(), framing.delimiter.begin(), framing.delimiter.end());
  }
  return payload;
}

std::vector<std::uint8_t> frame_of(const iocp::Framing& framing, const std::vector<std::uint8_t>& payload) {
  iocp::Envelope envelope;
  IOCP_CHECK(iocp::encode_envelope(framing, payload, &envelope));
  std::vector<std::uint8_t> frame(envelope.header.begin(), envelope.header.begin() + envelope.header_bytes);
  frame.insert(frame.end(), payload.begin(), payload.end());
  frame.insert(frame.end(), envelope.trailer.begin(), envelope.trailer.end());
  return frame;
}

std::vector<std::uint8_t> illegal_bytes(const iocp::Framing& framing) {
  switch (framing.type) {
    case iocp::FramingType::length: {
      std::vector<std::uint8_t> header(framing.offset, 0);
      header.insert(header.end(), framing.width, 0x7f);
      return header;
    }
    case iocp::FramingType::varint: {
      std::vector<std::uint8_t> header(framing.offset, 0);
      header.insert(header.end(), 10, 0xff);
      return header;
    }
    case iocp::FramingType::delimiter:
      return std::vector<std::uint8_t>(kMaxLength + 10, 'x');
    case iocp::FramingType::fixed:
    case iocp::FramingType::none:
      return {};
  }
  IOCP_UNREACHABLE("a FramingType outside the enum");
}

}  // namespace simulation
