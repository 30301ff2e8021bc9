// What the unit tests' random parts share: one generator, seeded from the command line, and bytes in short notation.
// Nothing here knows a module of the core.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <string_view>
#include <vector>

#include "port/port.h"
#include "support/test.h"

namespace unit {

using Bytes = std::vector<std::uint8_t>;

class Random {
 public:
  Random() : engine_(test::seed()) {}

  // A number in [0, bound).
  std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }
  // A number in [low, high].
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  bool chance(std::uint32_t percent) { return below(100) < percent; }

  Bytes bytes(std::size_t count) {
    Bytes result(count);
    for (std::uint8_t& byte : result) byte = static_cast<std::uint8_t>(engine_());
    return result;
  }

  template <typename List>
  auto& pick(List& list) {
    return list[static_cast<std::size_t>(below(list.size()))];
  }

 private:
  std::mt19937_64 engine_;
};

inline Bytes bytes_of(std::initializer_list<int> values) {
  Bytes result;
  for (const int value : values) result.push_back(static_cast<std::uint8_t>(value));
  return result;
}

inline Bytes bytes_of(std::string_view text) { return Bytes(text.begin(), text.end()); }

inline Bytes copy_of(iocp::ConstBytes bytes) { return Bytes(bytes.begin(), bytes.end()); }

inline void append(Bytes* to, iocp::ConstBytes bytes) {
  for (const std::uint8_t byte : bytes) to->push_back(byte);
}

}  // namespace unit
