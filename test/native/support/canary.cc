// Proves that the harness can fail. Run without arguments it starts itself once for every way a run can end and
// looks at the exit codes; with arguments it is an ordinary test program, with cases that fail on purpose.
// Links with test.cc only: it has a main() of its own.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "support/test.h"

TEST("sound: passes") { CHECK_EQ(1 + 1, 2); }

TEST("broken-check: fails and goes on") {
  CHECK(1 + 1 == 3);
  CHECK_EQ(1 + 1, 2);
}

TEST("broken-comparison: fails and prints both values") { CHECK_EQ(1 + 1, 3); }

TEST("broken-requirement: ends its case") {
  REQUIRE(1 + 1 == 3);
  std::exit(0);  // reached only when REQUIRE does not end the case: a success that must not happen
}

TEST_WITHIN("endless: is ended by the watchdog", 1) {
  for (;;) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

TEST("seeded: sees the seed of the command line") { CHECK_EQ(test::seed(), 42U); }

namespace {

// Without spaces in the arguments, for cmd.exe strips the outermost quotes of a line that has more than one pair.
struct Expectation {
  const char* arguments;
  bool success;
};

constexpr Expectation kExpectations[] = {
    {"--filter sound:", true},
    {"--list", true},
    {"--filter broken --without broken", false},
    {"--filter sound: --without broken", true},
    {"--filter seeded: --seed 42", true},
    {"--filter seeded: --seed 43", false},
    {"--filter seeded: --seed many", false},
    {"--filter broken-check:", false},
    {"--filter broken-comparison:", false},
    {"--filter broken-requirement:", false},
    {"--filter endless:", false},
    {"--filter no-such-case", false},
    {"--no-such-option", false},
};

// A failed run answers 1, or 2 for a wrong command line. Anything else, a crash for one, is no orderly failure.
// POSIX systems shift the exit code to the left by eight bits, others do not.
bool failed_in_order(int result) {
  const int code = result >= 256 ? result / 256 : result;
  return code == 1 || code == 2;
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count > 1) return test::run(argument_count, arguments);
  int wrong = 0;
  for (const Expectation& expected : kExpectations) {
    const std::string command = '"' + std::string(arguments[0]) + "\" " + expected.arguments;
    const int result = std::system(command.c_str());
    if (expected.success ? result == 0 : failed_in_order(result)) continue;
    ++wrong;
    std::printf("WRONG  %s should have %s\n", command.c_str(), expected.success ? "passed" : "failed");
  }
  std::printf("%d of the harness's exit codes are wrong\n", wrong);
  return wrong == 0 ? 0 : 1;
}
