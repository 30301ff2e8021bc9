// The wheel against a plain table of deadlines, under a virtual clock that ticks, rests and leaps.
#include "core/timer_wheel.h"

#include <algorithm>
#include <map>
#include <vector>

#include "support/test.h"
#include "unit/random.h"

using iocp::TimerNode;
using iocp::TimerWheel;
using unit::Random;

namespace {

constexpr std::uint64_t kRoundMs = 512 * 4;

// A wheel, its clock, and which node is due when.
struct Modelled {
  explicit Modelled(std::uint64_t start) : now(start) {}
  ~Modelled() {
    for (const auto& [node, deadline] : deadlines) wheel.cancel(node);
  }
  Modelled(const Modelled&) = delete;
  Modelled& operator=(const Modelled&) = delete;

  TimerWheel wheel;
  std::uint64_t now;
  std::map<TimerNode*, std::uint64_t> deadlines;

  void schedule(TimerNode* node, std::uint64_t deadline) {
    wheel.schedule(node, deadline);
    deadlines[node] = deadline;
  }
  void cancel(TimerNode* node) {
    wheel.cancel(node);
    deadlines.erase(node);
    REQUIRE(!node->scheduled());
  }

  std::uint64_t earliest() const {
    std::uint64_t result = UINT64_MAX;
    for (const auto& [node, deadline] : deadlines) result = std::min(result, deadline);
    return result;
  }

  // Everything due must fire now, each once, and nothing else.
  std::size_t expire() {
    std::size_t fired = 0;
    while (TimerNode* node = wheel.expire(now)) {
      const auto found = deadlines.find(node);
      REQUIRE(found != deadlines.end());
      REQUIRE(found->second <= now);
      REQUIRE(!node->scheduled());
      deadlines.erase(found);
      ++fired;
    }
    REQUIRE(deadlines.empty() || earliest() > now);
    return fired;
  }

  void check_size() const { REQUIRE(wheel.size() == deadlines.size()); }

  // Never late; and after expire() never "at once", which would make a sleeper spin.
  void check_sleep(bool expired) {
    const std::int32_t sleep = wheel.next_due_in(now);
    if (deadlines.empty()) {
      REQUIRE(sleep == -1);
      return;
    }
    REQUIRE(sleep >= 0);
    REQUIRE(static_cast<std::uint64_t>(sleep) <= (earliest() > now ? earliest() - now : 0));
    REQUIRE(!expired || sleep > 0);
  }
};

std::uint64_t random_deadline(Random& random, std::uint64_t now) {
  switch (random.below(6)) {
    case 0:
      return now - std::min(now, random.below(5'000));
    case 1:
      return now + random.below(8);
    case 2:
      return now + random.below(10 * kRoundMs);
    case 3:
      return now + kRoundMs * random.between(1, 5) + random.below(3) - 1;
    case 4:
      return now + random.below(std::uint64_t{1} << 40);
    default:
      return now + random.below(kRoundMs);
  }
}

std::uint64_t random_pause(Random& random) {
  switch (random.below(8)) {
    case 0:
      return 0;
    case 1:
      return random.below(4 * kRoundMs);
    case 2:
      return random.chance(10) ? random.below(std::uint64_t{1} << 36) : kRoundMs;
    default:
      return random.below(40);
  }
}

}  // namespace

TEST("timer wheel: nothing scheduled is nothing due") {
  TimerWheel wheel;
  CHECK_EQ(wheel.size(), 0U);
  CHECK(wheel.expire(1'000'000) == nullptr);
  CHECK_EQ(wheel.next_due_in(0), -1);
}

TEST("timer wheel: a timer fires at its millisecond and not before") {
  TimerWheel wheel;
  TimerNode node;
  wheel.schedule(&node, 1'001);
  CHECK(node.scheduled());
  CHECK_EQ(wheel.next_due_in(0), 1'001);
  CHECK_EQ(wheel.next_due_in(1'000), 1);
  CHECK(wheel.expire(1'000) == nullptr);
  CHECK(wheel.expire(1'001) == &node);
  CHECK(!node.scheduled());
  CHECK(wheel.expire(1'001) == nullptr);
  CHECK_EQ(wheel.next_due_in(1'001), -1);
}

TEST("timer wheel: a deadline in the past is due at once") {
  TimerWheel wheel;
  TimerNode first;
  TimerNode second;
  wheel.schedule(&first, 50'000);
  CHECK(wheel.expire(50'000) == &first);
  wheel.schedule(&second, 10);
  CHECK_EQ(wheel.next_due_in(50'000), 0);
  CHECK(wheel.expire(50'000) == &second);
}

TEST("timer wheel: a deadline many rounds away does not fire in an earlier round") {
  TimerWheel wheel;
  TimerNode node;
  wheel.schedule(&node, 10 * kRoundMs + 8);
  for (std::uint64_t now = 0; now < 10 * kRoundMs + 8; now += 2) REQUIRE(wheel.expire(now) == nullptr);
  CHECK(wheel.expire(10 * kRoundMs + 8) == &node);
}

TEST("timer wheel: a timer scheduled again has its new deadline only, earlier or later") {
  TimerWheel wheel;
  TimerNode node;
  wheel.schedule(&node, 100);
  wheel.schedule(&node, 5'000);
  CHECK_EQ(wheel.size(), 1U);
  CHECK(wheel.expire(4'999) == nullptr);
  wheel.schedule(&node, 5'200);
  wheel.schedule(&node, 5'100);
  CHECK_EQ(wheel.next_due_in(5'000), 100);
  CHECK(wheel.expire(5'100) == &node);
}

TEST("timer wheel: a cancelled timer does not fire, and cancelling twice is nothing") {
  TimerWheel wheel;
  TimerNode node;
  wheel.cancel(&node);
  wheel.schedule(&node, 100);
  wheel.cancel(&node);
  wheel.cancel(&node);
  CHECK_EQ(wheel.size(), 0U);
  CHECK(wheel.expire(1'000) == nullptr);
  CHECK_EQ(wheel.next_due_in(1'000), -1);
}

TEST("timer wheel: after a leap of the clock everything due fires, however far it leapt") {
  for (const std::uint64_t leap : {kRoundMs - 1, kRoundMs, kRoundMs + 1, 100 * kRoundMs, std::uint64_t{1} << 60}) {
    TimerWheel wheel;
    std::vector<TimerNode> nodes(300);
    for (std::size_t i = 0; i < nodes.size(); ++i) wheel.schedule(&nodes[i], 1 + i * (kRoundMs - 1) / nodes.size());
    std::size_t fired = 0;
    while (wheel.expire(leap) != nullptr) ++fired;
    CHECK_EQ(fired, nodes.size());
  }
}

TEST("timer wheel: a sleeper that trusts it wakes at every deadline and seldom in vain") {
  Random random;
  Modelled model(random.below(1'000'000));
  std::vector<TimerNode> nodes(200);
  for (TimerNode& node : nodes) model.schedule(&node, model.now + random.below(20 * kRoundMs));
  int wakes = 0;
  while (!model.deadlines.empty()) {
    const std::int32_t sleep = model.wheel.next_due_in(model.now);
    REQUIRE(sleep >= 0);
    const std::uint64_t earliest = model.earliest();
    model.now += static_cast<std::uint64_t>(sleep);
    REQUIRE(model.now <= std::max(earliest, model.now - static_cast<std::uint64_t>(sleep)));
    model.expire();
    ++wakes;
  }
  CHECK(wakes <= 200 + 40);
}

TEST("timer wheel: random schedules, cancels and clocks fire what a table of deadlines would") {
  Random random;
  for (int turn = 0; turn < 20; ++turn) {
    const std::uint64_t starts[] = {0, 1'000, random.below(std::uint64_t{1} << 42), UINT64_MAX / 4};
    std::vector<TimerNode> nodes(64);
    Modelled model(starts[turn % 4]);
    for (int step = 0; step < 2'000; ++step) {
      if (random.chance(50)) {
        model.schedule(&random.pick(nodes), random_deadline(random, model.now));
      } else if (random.chance(30)) {
        model.cancel(&random.pick(nodes));
      } else {
        model.now += random_pause(random);
        if (random.chance(50)) model.check_sleep(false);
        model.expire();
        model.check_sleep(true);
      }
      model.check_size();
    }
  }
}
