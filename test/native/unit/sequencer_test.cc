// Completions in any order come out in the order they were issued.
#include "core/sequencer.h"

#include <algorithm>
#include <vector>

#include "support/test.h"
#include "unit/random.h"

using iocp::Sequencer;
using unit::Random;

namespace {

struct Item {
  std::uint64_t number = 0;
};

}  // namespace

TEST("sequencer: nothing issued is nothing to take") {
  Sequencer<Item> sequencer(4);
  CHECK_EQ(sequencer.capacity(), 4U);
  CHECK_EQ(sequencer.outstanding(), 0U);
  CHECK(sequencer.peek() == nullptr);
  CHECK(sequencer.take() == nullptr);
}

TEST("sequencer: an item waits for the one before it") {
  Sequencer<Item> sequencer(4);
  Item first{sequencer.issue()};
  Item second{sequencer.issue()};
  sequencer.park(second.number, &second);
  CHECK(sequencer.peek() == nullptr);
  CHECK(sequencer.take() == nullptr);
  CHECK_EQ(sequencer.outstanding(), 2U);
  sequencer.park(first.number, &first);
  CHECK(sequencer.peek() == &first);
  CHECK(sequencer.take() == &first);
  CHECK(sequencer.take() == &second);
  CHECK(sequencer.take() == nullptr);
  CHECK_EQ(sequencer.outstanding(), 0U);
}

TEST("sequencer: looking does not take") {
  Sequencer<Item> sequencer(1);
  Item item{sequencer.issue()};
  sequencer.park(item.number, &item);
  CHECK(sequencer.peek() == &item);
  CHECK(sequencer.peek() == &item);
  CHECK_EQ(sequencer.outstanding(), 1U);
}

TEST("sequencer: a place is free again once its item was taken, not when it was parked") {
  Sequencer<Item> sequencer(2);
  Item items[3];
  items[0].number = sequencer.issue();
  items[1].number = sequencer.issue();
  sequencer.park(items[0].number, &items[0]);
  CHECK_EQ(sequencer.outstanding(), 2U);
  CHECK(sequencer.take() == &items[0]);
  items[2].number = sequencer.issue();
  CHECK_EQ(sequencer.outstanding(), 2U);
  sequencer.park(items[2].number, &items[2]);
  CHECK(sequencer.peek() == nullptr);
  sequencer.park(items[1].number, &items[1]);
  CHECK(sequencer.take() == &items[1]);
  CHECK(sequencer.take() == &items[2]);
}

TEST("sequencer: any order of completion comes out in the order of issue") {
  Random random;
  for (int turn = 0; turn < 50; ++turn) {
    Sequencer<Item> sequencer(static_cast<std::uint32_t>(random.between(1, 16)));
    std::vector<Item> items(500);
    std::vector<Item*> pending;
    std::size_t issued = 0;
    std::size_t taken = 0;
    while (taken < items.size()) {
      if (issued < items.size() && sequencer.outstanding() < sequencer.capacity() && random.chance(60)) {
        items[issued].number = sequencer.issue();
        REQUIRE(items[issued].number == issued);
        pending.push_back(&items[issued++]);
      } else if (!pending.empty()) {
        std::swap(random.pick(pending), pending.back());
        sequencer.park(pending.back()->number, pending.back());
        pending.pop_back();
      }
      while (Item* item = sequencer.take()) REQUIRE(item == &items[taken++]);
      REQUIRE(sequencer.outstanding() == issued - taken);
    }
  }
}
