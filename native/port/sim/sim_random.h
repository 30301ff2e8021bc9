// The simulator's only source of chance: xoshiro256** seeded through splitmix64. It exists because the standard
// library's distributions differ between implementations. It must never read a clock or a system random source.
#pragma once

#include <array>
#include <cstdint>

#include "port/check.h"

namespace iocp {

class SimRandom {
 public:
  explicit SimRandom(std::uint64_t seed) noexcept {
    for (std::uint64_t& word : state_) word = splitmix(&seed);
  }

  std::uint64_t next() noexcept {
    const std::uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate_left(state_[3], 45);
    return result;
  }

  // Uniform in [low, high]. The bias of the modulo is below 2^-32 for the small ranges used here.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
    IOCP_CHECK(low <= high);
    if (low == high) return low;
    IOCP_CHECK(high - low < UINT64_MAX);
    return low + next() % (high - low + 1);
  }

 private:
  static std::uint64_t rotate_left(std::uint64_t value, int bits) noexcept {
    return (value << bits) | (value >> (64 - bits));
  }

  static std::uint64_t splitmix(std::uint64_t* state) noexcept {
    std::uint64_t mixed = (*state += 0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }

  std::array<std::uint64_t, 4> state_ = {};
};

}  // namespace iocp
