// Durations in constant memory, for percentiles: of waiting and running jobs, and of a benchmark's round trips. Not
// thread-safe; looks at no clock.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace iocp {

// In logarithmic buckets of 32 steps per doubling: within 3 % from 1 ns to hours, constant memory.
class Histogram {
 public:
  void record(std::int64_t nanoseconds) {
    ++counts_[bucket(static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds, 1)))];
    ++total_;
  }

  void reset() {
    counts_.fill(0);
    total_ = 0;
  }

  std::uint64_t total() const { return total_; }

  // The duration that `share` (0 … 1) of all recorded ones stay below, in microseconds; 0 without any.
  double percentile_us(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return lower_bound(i) / 1000.0;
    }
    return 0;
  }

 private:
  static constexpr unsigned kStepBits = 5;

  static std::size_t bucket(std::uint64_t value) {
    if (value < (1U << kStepBits)) return static_cast<std::size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kStepBits;
    return (static_cast<std::size_t>(shift + 1) << kStepBits) + static_cast<std::size_t>((value >> shift) - 32);
  }

  static double lower_bound(std::size_t index) {
    if (index < (1U << kStepBits)) return static_cast<double>(index);
    const std::size_t shift = (index >> kStepBits) - 1;
    return static_cast<double>((index & 31) + 32) * static_cast<double>(std::uint64_t{1} << shift);
  }

  std::array<std::uint64_t, 60 * 32> counts_ = {};
  std::uint64_t total_ = 0;
};

}  // namespace iocp
