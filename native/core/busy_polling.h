// Whether an owner that steps its engine should look again for a moment before its thread sleeps. Falling asleep and
// being woken costs more than looking does, if something comes soon; and it mostly does while a peer on a short way
// waits for each answer before it asks again. Waits in, a decision out; it reads no clock.
//
// Such a peer sleeps as well, and is woken as slowly as we are. Answered by somebody who did not sleep, it has hardly
// fallen asleep itself, and asks sooner the next time: the first looks are long, and those that follow short. Where
// they stay long (packages that come by a clock, say) a look costs more than it brings, and a few are all there are.
//
// Whoever looks no longer than a sleep costs never does much worse than the best that could have been done knowing how
// long the wait would be (Karlin, Li, Manasse, Owicki: Empirical studies of competitive spinning for a shared-memory
// multiprocessor, SOSP 1991). kBusyPollNs may be more than that, which is why late answers count against looking.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/limits.h"

namespace iocp {

class BusyPolling {
 public:
  explicit BusyPolling(std::uint32_t processors) : processors_(processors) {}

  // True while most of the last waits were short enough. On a single processor nothing comes while one looks.
  bool pays() const noexcept { return looking_; }

  // A wait was over after so long, because of the engine. `looked`: it was looked for it, for as long as that may take.
  void waited(std::uint64_t wait_ns, bool looked) noexcept {
    if (wait_ns < kNoWaitNs) return lose(1);  // it was there already: nobody would have slept
    if (wait_ns > (looked ? kBusyPollNs : kShortWaitNs)) return in_vain();
    if (looked && wait_ns > kBusyPollGoodNs) return lose(kBusyPollLate);
    score_ = std::min(score_ + 1, kBusyPollScoreMax);
    if (score_ >= kBusyPollBegins) looking_ = processors_ > 1;
  }
  // A wait ended for another reason.
  void in_vain() noexcept { lose(kBusyPollMiss); }

 private:
  void lose(std::uint32_t points) noexcept {
    score_ -= std::min(score_, points);
    if (score_ < kBusyPollEnds) looking_ = false;
  }

  std::uint32_t processors_;
  std::uint32_t score_ = 0;
  bool looking_ = false;
};

}  // namespace iocp
