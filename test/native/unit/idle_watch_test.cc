// A period without use, told once, and never because of the order in which uses and looks come.
#include "core/idle_watch.h"

#include <cstdint>

#include "support/test.h"

namespace {

using iocp::IdleWatch;

constexpr std::uint64_t kPeriodNs = 1'000;

TEST("idle watch: what is used in every period is never idle, however often it is looked at") {
  IdleWatch watch(kPeriodNs);
  for (std::uint64_t now_ns = 10 * kPeriodNs; now_ns < 30 * kPeriodNs; now_ns += kPeriodNs / 10) {
    watch.used();
    CHECK(!watch.idle(now_ns));
    CHECK(!watch.idle(now_ns));
  }
}

TEST("idle watch: a period without use is told once") {
  IdleWatch watch(kPeriodNs);
  watch.used();
  CHECK(!watch.idle(10 * kPeriodNs));  // the period in which it was used
  CHECK(!watch.idle(11 * kPeriodNs - 1));
  CHECK(watch.idle(11 * kPeriodNs));
  CHECK(!watch.idle(11 * kPeriodNs));
  CHECK(!watch.idle(12 * kPeriodNs - 1));
  CHECK(watch.idle(12 * kPeriodNs));
}

TEST("idle watch: one use keeps it for the period it falls into") {
  IdleWatch watch(kPeriodNs);
  CHECK(watch.idle(10 * kPeriodNs));
  watch.used();
  CHECK(!watch.idle(11 * kPeriodNs));
  CHECK(watch.idle(12 * kPeriodNs));
}

}  // namespace
