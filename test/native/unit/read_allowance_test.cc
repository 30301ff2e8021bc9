// How many reads a context may keep pending while the system runs short of buffers, and how it gets them back.
#include "core/read_allowance.h"

#include "support/test.h"

using iocp::ReadAllowance;

namespace {

void turns(ReadAllowance* allowance, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) allowance->grow();
}

}  // namespace

TEST("a read allowance is what the owner asked for, and never more") {
  ReadAllowance allowance(4);
  CHECK_EQ(allowance.now(), 4U);
  turns(&allowance, 10 * iocp::kTurnsToGrow);
  CHECK_EQ(allowance.now(), 4U);
}

TEST("a read allowance is halved by every shortage, down to none") {
  ReadAllowance allowance(16);
  for (const std::uint32_t left : {8U, 4U, 2U, 1U, 0U, 0U}) {
    allowance.cut(7, 7);
    CHECK_EQ(allowance.now(), left);
  }
}

TEST("reads that were issued before a cut tell of the same shortage") {
  ReadAllowance allowance(16);
  for (std::uint64_t number = 0; number < 16; ++number) allowance.cut(number, 16);
  CHECK_EQ(allowance.now(), 8U);
  allowance.cut(16, 24);
  CHECK_EQ(allowance.now(), 4U);
}

TEST("a read allowance grows by one for every so many turns that went well, and starts to count anew after a cut") {
  ReadAllowance allowance(2);
  allowance.cut(0, 2);
  turns(&allowance, iocp::kTurnsToGrow - 1);
  CHECK_EQ(allowance.now(), 1U);
  allowance.cut(2, 3);
  CHECK_EQ(allowance.now(), 0U);
  turns(&allowance, iocp::kTurnsToGrow - 1);
  CHECK_EQ(allowance.now(), 0U);
  turns(&allowance, 1);
  CHECK_EQ(allowance.now(), 1U);
  turns(&allowance, iocp::kTurnsToGrow);
  CHECK_EQ(allowance.now(), 2U);
}
