// Who should step an engine: its owner, which spares a hand-over between threads for every package, or an I/O thread,
// which leaves the owner's processor to the owner's own work. Decided from what was measured, window by window; figures
// in, a decision out. It reads no clock and moves nothing.
//
// A thread pays when the owner is busy all the time and mostly with work of its own: then stepping costs packages. It
// does not pay when stepping itself is most of the work, for one processor does that best where the data are; unless
// what comes in are files, whose bytes are not for the owner. What is between the limits changes nothing, and a
// change needs several windows in a row, so the two do not alternate.
#pragma once

#include <cstdint>

#include "core/limits.h"

namespace iocp {

class SteppingPolicy {
 public:
  enum class Stepper : std::uint8_t { owner, thread };

  struct Window {
    std::uint64_t elapsed_ns = 0;
    std::uint64_t idle_ns = 0;      // the owner's thread slept
    std::uint64_t stepping_ns = 0;  // spent stepping, by whomever
    std::uint64_t file_bytes_received = 0;
  };

  explicit SteppingPolicy(std::uint32_t processors) : processors_(processors) {}

  Stepper stepper() const noexcept { return stepper_; }
  // True when it has changed its mind.
  bool judge(const Window& window) noexcept;
  // The change could not be made.
  void stay_with_owner() noexcept { stepper_ = Stepper::owner; }

 private:
  bool speaks_for_change(const Window& window) const noexcept;

  std::uint32_t processors_;
  Stepper stepper_ = Stepper::owner;
  std::uint32_t in_a_row_ = 0;
};

inline bool SteppingPolicy::speaks_for_change(const Window& window) const noexcept {
  const std::uint64_t busy_ns =
      window.elapsed_ns - (window.idle_ns < window.elapsed_ns ? window.idle_ns : window.elapsed_ns);
  const auto percent = [&](std::uint64_t part_ns) { return part_ns * 100 / window.elapsed_ns; };
  const std::uint64_t file_bytes_per_ms = window.file_bytes_received * 1'000'000 / window.elapsed_ns;
  switch (stepper_) {
    case Stepper::owner:
      if (file_bytes_per_ms >= kFileBytesPerMsMany) return true;
      return percent(busy_ns) >= kOwnerBusyPercent && percent(window.stepping_ns) <= kSteppingSharePercentMax;
    case Stepper::thread:
      if (file_bytes_per_ms >= kFileBytesPerMsFew) return false;
      // All of it would leave the owner time to spare, or the thread is what everybody waits for.
      return percent(busy_ns + window.stepping_ns) <= kOwnerIdlePercent ||
             percent(window.stepping_ns) >= kSteppingSharePercentMin;
  }
  return false;
}

inline bool SteppingPolicy::judge(const Window& window) noexcept {
  if (processors_ < 2 || window.elapsed_ns == 0) return false;
  in_a_row_ = speaks_for_change(window) ? in_a_row_ + 1 : 0;
  const bool to_thread = stepper_ == Stepper::owner;
  if (in_a_row_ < (to_thread ? kWindowsBeforeThread : kWindowsBeforeOwner)) return false;
  in_a_row_ = 0;
  stepper_ = to_thread ? Stepper::thread : Stepper::owner;
  return true;
}

}  // namespace iocp
