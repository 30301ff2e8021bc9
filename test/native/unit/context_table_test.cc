// Slots and generations: a pair names one context for ever, and a stale pair names nobody.
#include "core/context_table.h"

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "core/lane.h"
#include "support/test.h"
#include "unit/random.h"

using iocp::ClientContext;
using iocp::ContextTable;
using iocp::Lane;
using unit::Random;

namespace {

// A table with its lanes; what is still there at the end is recycled.
struct Fixture {
  explicit Fixture(std::uint32_t lane_count, std::int64_t free_max = 0) : table(lane_count, free_max) {
    for (std::uint32_t i = 0; i < lane_count; ++i) lanes.push_back(std::make_unique<Lane>(i));
  }
  ~Fixture() {
    std::vector<ClientContext*> left;
    table.for_each([&](ClientContext& context) { left.push_back(&context); });
    for (ClientContext* context : left) table.recycle(context);
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  ClientContext* add(std::uint32_t lane = 0) {
    ClientContext* context = table.acquire(*lanes[lane], lane);
    REQUIRE(context != nullptr);
    table.publish(context);
    return context;
  }

  std::vector<std::unique_ptr<Lane>> lanes;
  ContextTable table;
};

using Id = std::pair<std::uint32_t, std::uint32_t>;

Id id_of(const ClientContext* context) { return {context->slot, context->generation}; }

}  // namespace

TEST("context table: a context is found once it is published") {
  Fixture fixture(1);
  ClientContext* context = fixture.table.acquire(*fixture.lanes[0], 0);
  REQUIRE(context != nullptr);
  CHECK(fixture.table.find(context->slot, context->generation) == nullptr);
  CHECK_EQ(fixture.table.live(), 1U);
  fixture.table.publish(context);
  CHECK(fixture.table.find(context->slot, context->generation) == context);
}

TEST("context table: a stale pair finds nothing, although the slot is used again") {
  Fixture fixture(1);
  ClientContext* first = fixture.add();
  const Id stale = id_of(first);
  fixture.table.recycle(first);
  CHECK(fixture.table.find(stale.first, stale.second) == nullptr);
  ClientContext* second = fixture.add();
  CHECK_EQ(second->slot, stale.first);
  CHECK(second->generation != stale.second);
  CHECK(fixture.table.find(stale.first, stale.second) == nullptr);
  CHECK(fixture.table.find(second->slot, second->generation) == second);
}

TEST("context table: pairs that never were find nothing") {
  Fixture fixture(2);
  const ClientContext* context = fixture.add();
  CHECK(fixture.table.find(context->slot, 0) == nullptr);
  CHECK(fixture.table.find(context->slot, context->generation + 1) == nullptr);
  CHECK(fixture.table.find(context->slot + 1, context->generation) == nullptr);
  CHECK(fixture.table.find(iocp::kConnectionsMax - 1, 1) == nullptr);
  CHECK(fixture.table.find(iocp::kConnectionsMax, 1) == nullptr);
  CHECK(fixture.table.find(UINT32_MAX, UINT32_MAX) == nullptr);
}

TEST("context table: the generation of a live context is never 0") {
  Fixture fixture(1);
  CHECK(fixture.add()->generation != 0);
}

TEST("context table: a slot belongs to the lane of its remainder, for ever") {
  Fixture fixture(3);
  for (int round = 0; round < 3; ++round) {
    std::vector<ClientContext*> contexts;
    for (std::uint32_t i = 0; i < 300; ++i) {
      const std::uint32_t lane = i * i % 3;
      contexts.push_back(fixture.add(lane));
      REQUIRE(contexts.back()->slot % 3 == lane);
      REQUIRE(&contexts.back()->lane == fixture.lanes[lane].get());
    }
    for (ClientContext* context : contexts) fixture.table.recycle(context);
  }
  CHECK_EQ(fixture.table.live(), 0U);
}

TEST("context table: recycled memory is used again, within its limit") {
  Fixture fixture(1, 2);
  std::vector<ClientContext*> contexts;
  for (int i = 0; i < 5; ++i) contexts.push_back(fixture.add());
  CHECK_EQ(fixture.table.pool_counts().in_use, 5U);
  for (ClientContext* context : contexts) fixture.table.recycle(context);
  CHECK_EQ(fixture.table.pool_counts().free, 2U);
  CHECK_EQ(fixture.table.pool_counts().in_use, 0U);
  for (int i = 0; i < 3; ++i) fixture.add();
  CHECK_EQ(fixture.table.pool_counts().reused, 2U);
}

TEST("context table: a visitor sees every live context once") {
  Fixture fixture(4);
  std::set<Id> expected;
  std::vector<ClientContext*> contexts;
  for (std::uint32_t i = 0; i < 3'000; ++i) contexts.push_back(fixture.add(i % 4));
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    if (i % 3 == 0) {
      fixture.table.recycle(contexts[i]);
    } else {
      expected.insert(id_of(contexts[i]));
    }
  }
  std::set<Id> seen;
  fixture.table.for_each([&](ClientContext& context) { CHECK(seen.insert(id_of(&context)).second); });
  CHECK(seen == expected);
}

TEST("context table: random births and deaths never repeat a pair nor find the wrong context") {
  Random random;
  Fixture fixture(static_cast<std::uint32_t>(random.between(1, 4)));
  std::set<Id> ever;
  std::map<Id, ClientContext*> live;
  std::vector<Id> dead;
  for (int step = 0; step < 20'000; ++step) {
    if (live.size() < 200 && random.chance(52)) {
      ClientContext* context = fixture.add(static_cast<std::uint32_t>(random.below(fixture.lanes.size())));
      REQUIRE(ever.insert(id_of(context)).second);
      live[id_of(context)] = context;
    } else if (!live.empty()) {
      auto victim = live.lower_bound({static_cast<std::uint32_t>(random.below(300)), 0});
      if (victim == live.end()) victim = live.begin();
      fixture.table.recycle(victim->second);
      dead.push_back(victim->first);
      live.erase(victim);
    }
    REQUIRE(fixture.table.live() == live.size());
    if (!dead.empty()) {
      const Id& stale = random.pick(dead);
      REQUIRE(fixture.table.find(stale.first, stale.second) == nullptr);
    }
  }
  for (const auto& [id, context] : live) CHECK(fixture.table.find(id.first, id.second) == context);
}
