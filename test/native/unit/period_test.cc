// A period is over once, and the next begins there.
#include "core/period.h"

#include <cstdint>

#include "support/test.h"

TEST("period: over once, when it is, and the next begins then") {
  iocp::Period period(1'000);
  CHECK(period.over(50'000));
  CHECK(!period.over(50'000));
  CHECK(!period.over(50'999));
  CHECK(period.over(51'500));
  CHECK(!period.over(52'499));
  CHECK(period.over(52'500));
  CHECK(period.over(99'000));
}
