// Who should step an engine: its owner, which spares a hand-over between threads for every package, or an I/O thread,
// which leaves the owner's processor to the owner's own work. Decided from what was measured, window by window; figures
// in, a decision out. It reads no clock and moves nothing.
//
// A thread pays when the owner is busy all the time and mostly with work of its own: then stepping costs packages. It
// does not pay when stepping itself is most of the work, for one processor does that best where the data are; unless
// what comes in are files, whose bytes are not for the owner. What is between the limits changes nothing, and a
// change needs several windows in a row, so the two do not alternate.
//
// Whether a processor is free for the thread cannot be seen beforehand. So the thread is on trial at first: if fewer
// packages move than before, and the load is not lighter, the owner steps again, and it is longer each time until the
// next trial.
#pragma once

#include <algorithm>
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
    std::uint64_t packages = 0;  // received and sent
  };

  explicit SteppingPolicy(std::uint32_t processors) : processors_(processors) {}

  Stepper stepper() const noexcept { return stepper_; }
  // True when it has changed its mind.
  bool judge(const Window& window) noexcept;
  // The change could not be made.
  void stay_with_owner() noexcept {
    stepper_ = Stepper::owner;
    trial_left_ = 0;
  }

 private:
  struct Sum {
    std::uint64_t elapsed_ns = 0;
    std::uint64_t packages = 0;
    void add(const Window& window) noexcept {
      elapsed_ns += window.elapsed_ns;
      packages += window.packages;
    }
  };

  static std::uint64_t busy_percent(const Window& window) noexcept;
  static std::uint64_t stepping_percent(const Window& window) noexcept;
  static std::uint64_t file_bytes_per_ms(const Window& window) noexcept;
  bool speaks_for_change(const Window& window) const noexcept;
  void change_to(Stepper stepper) noexcept;
  // True when the thread's trial ended with this window, and it did not pay.
  bool fails_trial(const Window& window) noexcept;

  std::uint32_t processors_;
  Stepper stepper_ = Stepper::owner;
  std::uint32_t in_a_row_ = 0;
  Sum before_;                    // the owner's windows that led to the trial
  Sum trial_;                     // the thread's since
  std::uint32_t trial_left_ = 0;  // windows; 0 = no trial
  std::uint64_t rest_ns_ = 0;     // until the next trial
  std::uint64_t next_rest_ns_ = kTrialRestMinMs * 1'000'000;
};

inline std::uint64_t SteppingPolicy::busy_percent(const Window& window) noexcept {
  return (window.elapsed_ns - std::min(window.idle_ns, window.elapsed_ns)) * 100 / window.elapsed_ns;
}

inline std::uint64_t SteppingPolicy::stepping_percent(const Window& window) noexcept {
  return window.stepping_ns * 100 / window.elapsed_ns;
}

inline std::uint64_t SteppingPolicy::file_bytes_per_ms(const Window& window) noexcept {
  return window.file_bytes_received * 1'000'000 / window.elapsed_ns;
}

inline bool SteppingPolicy::speaks_for_change(const Window& window) const noexcept {
  const std::uint64_t busy = busy_percent(window);
  const std::uint64_t stepping = stepping_percent(window);
  switch (stepper_) {
    case Stepper::owner:
      if (file_bytes_per_ms(window) >= kFileBytesPerMsMany) return true;
      return rest_ns_ == 0 && busy >= kOwnerBusyPercent && stepping <= kSteppingSharePercentMax;
    case Stepper::thread:
      if (file_bytes_per_ms(window) >= kFileBytesPerMsFew) return false;
      // All of it would leave the owner time to spare, or the thread is what everybody waits for.
      return busy + stepping <= kOwnerIdlePercent || stepping >= kSteppingSharePercentMin;
  }
  return false;
}

inline bool SteppingPolicy::fails_trial(const Window& window) noexcept {
  if (trial_left_ == 0) return false;
  const bool lighter = busy_percent(window) + stepping_percent(window) <= kOwnerIdlePercent;
  if (lighter || file_bytes_per_ms(window) >= kFileBytesPerMsFew) {
    trial_left_ = 0;  // another load than before: nothing to compare
    return false;
  }
  if (trial_left_-- <= kTrialWindows) trial_.add(window);
  if (trial_left_ > 0) return false;
  const auto rate = [](const Sum& sum) {
    return static_cast<double>(sum.packages) / static_cast<double>(sum.elapsed_ns);
  };
  if (rate(trial_) * 100 >= rate(before_) * kTrialPaysPercent) {
    next_rest_ns_ = kTrialRestMinMs * 1'000'000;
    return false;
  }
  rest_ns_ = next_rest_ns_;
  next_rest_ns_ = std::min(2 * next_rest_ns_, kTrialRestMaxMs * 1'000'000);
  return true;
}

inline void SteppingPolicy::change_to(Stepper stepper) noexcept {
  in_a_row_ = 0;
  trial_left_ = 0;
  stepper_ = stepper;
}

inline bool SteppingPolicy::judge(const Window& window) noexcept {
  if (processors_ < 2 || window.elapsed_ns == 0) return false;
  rest_ns_ -= std::min(rest_ns_, window.elapsed_ns);
  if (fails_trial(window)) {
    change_to(Stepper::owner);
    return true;
  }
  if (!speaks_for_change(window)) {
    in_a_row_ = 0;
    return false;
  }
  const bool to_thread = stepper_ == Stepper::owner;
  if (to_thread && in_a_row_ <= kWindowsNotCompared) before_ = {};
  if (to_thread) before_.add(window);
  if (++in_a_row_ < (to_thread ? kWindowsBeforeThread : kWindowsBeforeOwner)) return false;
  change_to(to_thread ? Stepper::thread : Stepper::owner);
  trial_ = {};
  if (to_thread && file_bytes_per_ms(window) < kFileBytesPerMsMany) trial_left_ = kWindowsNotCompared + kTrialWindows;
  return true;
}

}  // namespace iocp
