// When the owner steps and when a thread does: the limits, the windows it takes, and that nothing in between
// alternates.
#include "core/stepping_policy.h"

#include "support/test.h"

namespace {

using iocp::SteppingPolicy;
using Stepper = SteppingPolicy::Stepper;

constexpr std::uint64_t kElapsedNs = 50'000'000;

SteppingPolicy::Window window(std::uint64_t busy_percent, std::uint64_t stepping_percent) {
  return {kElapsedNs, kElapsedNs / 100 * (100 - busy_percent), kElapsedNs / 100 * stepping_percent};
}

// Judges the same window until the policy changes its mind; 0 = not within a thousand.
std::uint32_t windows_until_change(SteppingPolicy& policy, const SteppingPolicy::Window& same) {
  for (std::uint32_t count = 1; count <= 1'000; ++count) {
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
