// What the generator sends and expects back: every byte follows from the connection and the number of the frame.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace loadgen {

// A frame is a 4-byte little-endian length, which does not count itself, and that many bytes.
inline constexpr std::size_t kHeaderBytes = 4;

// The bytes of every payload: a window into one pseudo-random block, at a place that depends on who and when.
class Pattern {
 public:
  explicit Pattern(std::size_t payload) : payload_(payload), block_(kShifts + payload) {
    std::uint64_t state = 0x9e3779b97f4a7c15;
    for (auto& byte : block_) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      byte = static_cast<std::uint8_t>(state >> 32);
    }
    for (std::size_t i = 0; i < kHeaderBytes; ++i) header_[i] = static_cast<std::uint8_t>(payload >> (8 * i));
  }

  std::size_t frame_bytes() const { return kHeaderBytes + payload_; }
  std::size_t payload() const { return payload_; }
  const std::uint8_t* header() const { return header_.data(); }

  const std::uint8_t* bytes(std::size_t connection, std::uint64_t frame) const {
    const std::uint64_t mixed = (connection * 0x9e3779b97f4a7c15ULL) ^ (frame * 0xbf58476d1ce4e5b9ULL);
    return block_.data() + (mixed >> 40) % kShifts;
  }

 private:
  static constexpr std::size_t kShifts = std::size_t{1} << 16;

  std::size_t payload_;
  std::vector<std::uint8_t> block_;
  std::array<std::uint8_t, kHeaderBytes> header_ = {};
};

}  // namespace loadgen
