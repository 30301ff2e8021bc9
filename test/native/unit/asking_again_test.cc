// When it pays to ask the port once more: while most answers bring something; otherwise it is tried now and then.
#include "core/asking_again.h"

#include "support/test.h"

namespace {

using iocp::AskingAgain;
using iocp::kAskAgainPays;
using iocp::kAskAgainScoreMax;
using iocp::kAskAgainTrial;

// How many of so many possible questions are asked, where each is answered like this.
std::uint32_t asked_of(AskingAgain& asking, std::uint32_t possible, bool something) {
  std::uint32_t asked = 0;
  for (std::uint32_t i = 0; i < possible; ++i) {
    if (!asking.pays()) continue;
    asking.answered(something);
    ++asked;
  }
  return asked;
}

}  // namespace

TEST("asking again: one question of some is asked where nothing is ever there") {
  AskingAgain asking;
  CHECK_EQ(asked_of(asking, 100 * kAskAgainTrial, false), 100U);
}

TEST("asking again: every question is asked soon after answers begin to bring something") {
  AskingAgain asking;
  asked_of(asking, 100 * kAskAgainTrial, false);
  CHECK_EQ(asked_of(asking, kAskAgainPays * kAskAgainTrial, true), kAskAgainPays);
  CHECK_EQ(asked_of(asking, 1'000, true), 1'000U);
}

TEST("asking again: it ends a few questions after answers begin to bring nothing") {
  AskingAgain asking;
  asked_of(asking, 100 * kAskAgainTrial, true);
  const std::uint32_t in_vain = kAskAgainScoreMax - kAskAgainPays + 1;
  CHECK_EQ(asked_of(asking, in_vain, false), in_vain);
  CHECK_EQ(asked_of(asking, kAskAgainTrial - 1, false), 0U);
}

TEST("asking again: every other answer that brings something is enough") {
  AskingAgain asking;
  asked_of(asking, 100 * kAskAgainTrial, true);
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    REQUIRE(asking.pays());
    asking.answered(i % 2 == 0);
  }
}
