// What the unit tests' random parts share: one generator, seeded from the command line, and bytes in short notation.
// Nothing here knows a module of the core.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
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
    for (std::size_t at = 0; at < count; at += sizeof(std::uint64_t)) {
      const std::uint64_t word = engine_();
      std::memcpy(result.data() + at, &word, std::min(sizeof word, count - at));
    }
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
  if (bytes.empty()) return;
  const std::size_t at = to->size();
  to->resize(at + bytes.size());
  std::memcpy(to->data() + at, bytes.data(), bytes.size());
}

}  // namespace unit
