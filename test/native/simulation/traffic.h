// What the simulated peers say: packages whose size and bytes follow from the stream's index and the package's number,
// so that whoever receives one can tell whether it is the right one. Knows no engine and no world.
#pragma once

#include <cstdint>
#include <vector>

#include "core/framing.h"

namespace simulation {

// xoshiro256** seeded by splitmix64 (Blackman, Vigna, 2018): the same numbers everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed);
  std::uint64_t next();
  std::uint32_t below(std::uint32_t bound) { return bound == 0 ? 0 : static_cast<std::uint32_t>(next() % bound); }
  bool chance(std::uint32_t percent) { return below(100) < percent; }
  template <typename T>
  T pick(std::initializer_list<T> choices) {
    return *(choices.begin() + below(static_cast<std::uint32_t>(choices.size())));
  }

 private:
  std::uint64_t state_[4];
};

// One of the framings a user may choose, with limits that the traffic respects.
iocp::Framing random_framing(Random& random);

// Package `number` of stream `stream` under that framing: what a listener must get.
std::vector<std::uint8_t> payload_of(const iocp::Framing& framing, std::uint32_t stream, std::uint32_t number);

// The same package on the wire.
std::vector<std::uint8_t> frame_of(const iocp::Framing& framing, const std::vector<std::uint8_t>& payload);

// Bytes that no peer may send under that framing; empty when every byte is legal.
std::vector<std::uint8_t> illegal_bytes(const iocp::Framing& framing);

}  // namespace simulation
