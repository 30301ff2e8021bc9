// Whether an owner that has just stepped its engine should ask its port once more before the host's loop has its turn.
// Where something has come meanwhile that saves the loop's own system calls, which are more than this one; where
// nothing has, it is one call for nothing. What the last questions brought tells which it will be. Answers in, a
// decision out.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/limits.h"

namespace iocp {

class AskingAgain {
 public:
  // To be called once for each question that might be asked: where they do not pay, one of some is asked all the same.
  bool pays() noexcept {
    if (score_ >= kAskAgainPays) return true;
    return ++declined_ % kAskAgainTrial == 0;
  }

  // The port was asked, and there was something or not.
  void answered(bool something) noexcept {
    if (something) {
      score_ = std::min(score_ + 1, kAskAgainScoreMax);
    } else if (score_ > 0) {
      --score_;
    }
  }

 private:
  std::uint32_t score_ = 0;
  std::uint32_t declined_ = 0;
};

}  // namespace iocp
