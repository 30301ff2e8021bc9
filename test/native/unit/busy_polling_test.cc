// When it pays to look before a sleep: after many short waits, not after long ones, nor when nothing was waited for.
#include "core/busy_polling.h"

#include "support/test.h"

namespace {

using iocp::BusyPolling;
using iocp::kBusyPollBegins;
using iocp::kBusyPollGoodNs;
using iocp::kBusyPollNs;
using iocp::kBusyPollScoreMax;
using iocp::kNoWaitNs;
using iocp::kShortWaitNs;

// Waits of this length, slept through or looked through as the policy has it, until it looks; 0 = never.
std::uint32_t waits_until_it_looks(BusyPolling& polling, std::uint64_t wait_ns) {
  for (std::uint32_t count = 1; count <= 1'000; ++count) {
    polling.waited(wait_ns, polling.pays());
    if (polling.pays()) return count;
  }
  return 0;
}

BusyPolling looking() {
  BusyPolling polling(2);
  for (std::uint32_t i = 0; i < 2 * kBusyPollScoreMax; ++i) polling.waited(kNoWaitNs, false);
  return polling;
}

}  // namespace

TEST("busy polling: begins after some short waits, and not before") {
  BusyPolling polling(2);
  CHECK(!polling.pays());
  CHECK_EQ(waits_until_it_looks(polling, kShortWaitNs), kBusyPollBegins);
}

TEST("busy polling: long waits, and what was there already, never begin it") {
  BusyPolling polling(2);
  CHECK_EQ(waits_until_it_looks(polling, kShortWaitNs + 1), 0U);
  CHECK_EQ(waits_until_it_looks(polling, kNoWaitNs - 1), 0U);
}

TEST("busy polling: a single processor never looks") {
  BusyPolling polling(1);
  CHECK_EQ(waits_until_it_looks(polling, kNoWaitNs), 0U);
}

TEST("busy polling: goes on while four of five waits end in time, and ends soon when fewer do") {
  BusyPolling polling = looking();
  for (int i = 0; i < 1'000; ++i) {
    for (int k = 0; k < 4; ++k) polling.waited(kBusyPollGoodNs, polling.pays());
    polling.waited(kBusyPollNs + 1, polling.pays());
  }
  CHECK(polling.pays());
  int waits = 0;
  for (; polling.pays() && waits < 1'000; waits += 3) {
    polling.waited(kBusyPollGoodNs, true);
    polling.waited(kBusyPollGoodNs, true);
    polling.waited(kBusyPollNs + 1, true);
  }
  CHECK(!polling.pays());
  CHECK(waits <= 60);
}

TEST("busy polling: waits that end for other reasons, or that were none, end it") {
  BusyPolling polling = looking();
  int times = 0;
  for (; polling.pays(); ++times) polling.in_vain();
  CHECK(times <= 5);
  polling = looking();
  for (times = 0; polling.pays(); ++times) polling.waited(kNoWaitNs - 1, true);
  CHECK(times <= 20);
}

TEST("busy polling: a peer that asks sooner once it is answered sooner is looked for all the time") {
  BusyPolling polling(2);
  CHECK(waits_until_it_looks(polling, kShortWaitNs) > 0);
  for (int i = 0; i < 4; ++i) {
    REQUIRE(polling.pays());
    polling.waited(kBusyPollNs, true);
  }
  for (int i = 0; i < 1'000; ++i) {
    REQUIRE(polling.pays());
    polling.waited(kBusyPollGoodNs, true);
  }
}

TEST("busy polling: packages that come late all the same are looked for a few times, and slept for mostly") {
  BusyPolling polling(2);
  int looks = 0;
  for (int i = 0; i < 10'000; ++i) {
    looks += polling.pays() ? 1 : 0;
    polling.waited(kBusyPollGoodNs + 1, polling.pays());
  }
  CHECK(looks > 0);
  CHECK(looks <= 4'000);
  looks = 0;
  for (int i = 0; i < 10'000; ++i) {
    looks += polling.pays() ? 1 : 0;
    polling.waited(kBusyPollNs + 1, polling.pays());
  }
  CHECK(looks <= 2'500);
}
