// When the owner steps and when a thread does: the limits, the windows it takes, and that nothing in between
// alternates.
#include "core/stepping_policy.h"

#include <algorithm>

#include "support/test.h"

namespace {

using iocp::SteppingPolicy;
using Stepper = SteppingPolicy::Stepper;

constexpr std::uint64_t kElapsedNs = 50'000'000;

SteppingPolicy::Window window(std::uint64_t busy_percent, std::uint64_t stepping_percent) {
  return {kElapsedNs, kElapsedNs / 100 * (100 - busy_percent), kElapsedNs / 100 * stepping_percent};
}

// Judges the same window until the policy changes its mind; 0 = not within two thousand.
std::uint32_t windows_until_change(SteppingPolicy& policy, const SteppingPolicy::Window& same) {
  for (std::uint32_t count = 1; count <= 2'000; ++count) {
    if (policy.judge(same)) return count;
  }
  return 0;
}

SteppingPolicy with_thread() {
  SteppingPolicy policy(2);
  windows_until_change(policy, window(100, 10));
  return policy;
}

}  // namespace

TEST("stepping policy: the owner steps at first, and while it has time to spare") {
  SteppingPolicy policy(2);
  CHECK(policy.stepper() == Stepper::owner);
  CHECK_EQ(windows_until_change(policy, window(iocp::kOwnerBusyPercent - 1, 5)), 0U);
  CHECK_EQ(windows_until_change(policy, window(0, 0)), 0U);
}

TEST("stepping policy: a thread steps once the owner was busy with its own work for some windows in a row") {
  SteppingPolicy policy(2);
  CHECK_EQ(windows_until_change(policy, window(100, 20)), iocp::kWindowsBeforeThread);
  CHECK(policy.stepper() == Stepper::thread);
}

TEST("stepping policy: an owner that is busy with stepping itself goes on") {
  SteppingPolicy policy(2);
  CHECK_EQ(windows_until_change(policy, window(100, iocp::kSteppingSharePercentMax + 1)), 0U);
}

TEST("stepping policy: one window that says otherwise begins the count anew") {
  SteppingPolicy policy(2);
  for (std::uint32_t i = 1; i < iocp::kWindowsBeforeThread; ++i) CHECK(!policy.judge(window(100, 20)));
  CHECK(!policy.judge(window(50, 20)));
  CHECK_EQ(windows_until_change(policy, window(100, 20)), iocp::kWindowsBeforeThread);
}

TEST("stepping policy: the owner takes over again when both together would leave it time to spare") {
  SteppingPolicy policy = with_thread();
  CHECK_EQ(windows_until_change(policy, window(iocp::kOwnerIdlePercent - 20, 20)), iocp::kWindowsBeforeOwner);
  CHECK(policy.stepper() == Stepper::owner);
}

TEST("stepping policy: the owner takes over again when stepping is most of the work") {
  SteppingPolicy policy = with_thread();
  CHECK_EQ(windows_until_change(policy, window(100, iocp::kSteppingSharePercentMin)), iocp::kWindowsBeforeOwner);
}

TEST("stepping policy: what makes the thread step does not make it stop") {
  SteppingPolicy policy = with_thread();
  CHECK_EQ(windows_until_change(policy, window(100, iocp::kSteppingSharePercentMax)), 0U);
  CHECK_EQ(windows_until_change(policy, window(80, 20)), 0U);
}

namespace {

SteppingPolicy::Window moving(std::uint64_t packages, std::uint64_t busy_percent = 100) {
  SteppingPolicy::Window one = window(busy_percent, 20);
  one.packages = packages;
  return one;
}

// A policy whose thread begins its trial, after an owner that moved a thousand packages a window.
SteppingPolicy on_trial() {
  SteppingPolicy policy(2);
  windows_until_change(policy, moving(1'000));
  return policy;
}

constexpr std::uint32_t kTrialWindowsAll = iocp::kWindowsNotCompared + iocp::kTrialWindows;
constexpr std::uint64_t kRestWindows = iocp::kTrialRestMinMs * 1'000'000 / kElapsedNs;

}  // namespace

TEST("stepping policy: a thread that moves fewer packages than the busy owner did gives the port back") {
  SteppingPolicy policy = on_trial();
  CHECK_EQ(windows_until_change(policy, moving(970)), kTrialWindowsAll);
  CHECK(policy.stepper() == Stepper::owner);
}

TEST("stepping policy: a thread that moves as many stays, and later windows are no trial") {
  SteppingPolicy policy = on_trial();
  for (std::uint32_t i = 0; i < kTrialWindowsAll; ++i) CHECK(!policy.judge(moving(990)));
  CHECK_EQ(windows_until_change(policy, moving(100)), 0U);
}

TEST("stepping policy: the first windows, of a load and of a thread, are not compared") {
  SteppingPolicy policy(2);
  for (std::uint32_t i = 0; i < iocp::kWindowsNotCompared; ++i) CHECK(!policy.judge(moving(5'000)));
  windows_until_change(policy, moving(1'000));
  CHECK(policy.stepper() == Stepper::thread);
  for (std::uint32_t i = 0; i < iocp::kWindowsNotCompared; ++i) CHECK(!policy.judge(moving(0)));
  CHECK_EQ(windows_until_change(policy, moving(1'000)), 0U);
}

TEST("stepping policy: a load that became lighter during the trial ends it without a verdict") {
  SteppingPolicy policy = on_trial();
  for (std::uint32_t i = 1; i < kTrialWindowsAll; ++i) CHECK(!policy.judge(moving(500)));
  CHECK(!policy.judge(moving(500, iocp::kOwnerIdlePercent - 20)));
  CHECK_EQ(windows_until_change(policy, moving(500)), 0U);
}

TEST(
    "stepping policy: after a trial that failed the owner goes on for a while, twice as long each time, up to a "
    "limit") {
  SteppingPolicy policy = on_trial();
  std::uint64_t rest = kRestWindows;
  for (int trial = 0; trial < 6; ++trial) {
    CHECK_EQ(windows_until_change(policy, moving(970)), kTrialWindowsAll);
    CHECK_EQ(windows_until_change(policy, moving(1'000)), rest + iocp::kWindowsBeforeThread - 1);
    rest = std::min(2 * rest, iocp::kTrialRestMaxMs * 1'000'000 / kElapsedNs);
  }
  CHECK_EQ(rest, iocp::kTrialRestMaxMs * 1'000'000 / kElapsedNs);
  // A trial that was passed makes the next rest the first again.
  for (std::uint32_t i = 0; i < kTrialWindowsAll; ++i) CHECK(!policy.judge(moving(1'000)));
  CHECK(windows_until_change(policy, window(10, 10)) > 0);
  CHECK_EQ(windows_until_change(policy, moving(1'000)), iocp::kWindowsBeforeThread);
  CHECK_EQ(windows_until_change(policy, moving(970)), kTrialWindowsAll);
  CHECK_EQ(windows_until_change(policy, moving(1'000)), kRestWindows + iocp::kWindowsBeforeThread - 1);
}

TEST("stepping policy: a thread that stops for another reason takes its trial with it") {
  SteppingPolicy policy = on_trial();
  SteppingPolicy::Window stepping = window(100, iocp::kSteppingSharePercentMin);
  CHECK_EQ(windows_until_change(policy, stepping), iocp::kWindowsBeforeOwner);
  CHECK(policy.stepper() == Stepper::owner);
  CHECK_EQ(windows_until_change(policy, stepping), 0U);
}

TEST("stepping policy: files bring a thread during the rest as well, and it is on no trial") {
  SteppingPolicy policy = on_trial();
  CHECK_EQ(windows_until_change(policy, moving(970)), kTrialWindowsAll);
  SteppingPolicy::Window with_files = moving(1'000);
  with_files.file_bytes_received = iocp::kFileBytesPerMsMany * kElapsedNs / 1'000'000;
  CHECK_EQ(windows_until_change(policy, with_files), iocp::kWindowsBeforeThread);
  with_files.packages = 0;
  CHECK_EQ(windows_until_change(policy, with_files), 0U);
}

TEST("stepping policy: many bytes of files bring a thread, and keep it while there are some") {
  const auto with_files = [](std::uint64_t bytes_per_ms) {
    SteppingPolicy::Window same = window(100, 90);
    same.file_bytes_received = bytes_per_ms * kElapsedNs / 1'000'000;
    return same;
  };
  SteppingPolicy policy(2);
  CHECK_EQ(windows_until_change(policy, with_files(iocp::kFileBytesPerMsMany - 1)), 0U);
  CHECK_EQ(windows_until_change(policy, with_files(iocp::kFileBytesPerMsMany)), iocp::kWindowsBeforeThread);
  CHECK_EQ(windows_until_change(policy, with_files(iocp::kFileBytesPerMsFew)), 0U);
  CHECK_EQ(windows_until_change(policy, with_files(iocp::kFileBytesPerMsFew - 1)), iocp::kWindowsBeforeOwner);
}

TEST("stepping policy: with one processor the owner always steps") {
  SteppingPolicy policy(1);
  CHECK_EQ(windows_until_change(policy, window(100, 0)), 0U);
}

TEST("stepping policy: a thread that could not be started is asked for again later") {
  SteppingPolicy policy = with_thread();
  policy.stay_with_owner();
  CHECK_EQ(windows_until_change(policy, window(100, 20)), iocp::kWindowsBeforeThread);
}

TEST("stepping policy: sleep measured beyond the window's end counts as all of it") {
  SteppingPolicy policy = with_thread();
  CHECK_EQ(windows_until_change(policy, {kElapsedNs, 2 * kElapsedNs, 0}), iocp::kWindowsBeforeOwner);
}
