// Whether something has not been used for a while, asked now and then. Reads no clock. Not thread-safe.
#pragma once

#include <cstdint>
#include <utility>

namespace iocp {

class IdleWatch {
 public:
  explicit IdleWatch(std::uint64_t period_ns) noexcept : period_ns_(period_ns) {}

  void used() noexcept { used_ = true; }

  // True when a period is over in which used() was not called. Periods follow each other; a later `now_ns` is never
  // less.
  bool idle(std::uint64_t now_ns) noexcept {
    if (now_ns - began_ns_ < period_ns_) return false;
    began_ns_ = now_ns;
    return !std::exchange(used_, false);
  }

 private:
  const std::uint64_t period_ns_;
  std::uint64_t began_ns_ = 0;
  bool used_ = false;
};

}  // namespace iocp
