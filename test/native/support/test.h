// A very small test harness: cases that read as sentences, checks that print what they saw, a hard time limit for
// every case. Standard C++ only, so that it builds wherever the engine does, with nothing to install.
//
//   TEST("a port hands out what was posted to it") { CHECK_EQ(port.wait(batch, 0), 1U); }
//
// CHECK and CHECK_EQ note a failure and go on; REQUIRE ends the case. They belong to the thread that runs the case.
#pragma once

#include <concepts>
#include <cstdint>
#include <ostream>
#include <sstream>
#include <string>
#include <type_traits>

namespace test {

constexpr int kDefaultLimitSeconds = 10;

struct Case {
  Case(const char* case_sentence, void (*case_body)(), int seconds = kDefaultLimitSeconds);
  const char* sentence;
  void (*body)();
  int limit_seconds;
  Case* next = nullptr;
};

// Runs the cases the command line asks for; the exit code of the process.
//   --list   --filter text   --without text   --seed number
// --without may be given several times; what it leaves out is printed, so that nothing is skipped in silence.
int run(int argument_count, char** arguments);

// For cases with a random part: from --seed, else a new one for every run, printed at its start.
std::uint64_t seed() noexcept;
// Whether --seed was given: a case that tries many seeds then tries that one alone.
bool seed_given() noexcept;

// What the case is doing now (for one of many seeds, say). Printed with a failure, and also when the case takes the
// whole process down. Forgotten when the case ends.
void context(const std::string& text);

// Whether the running case has failed so far.
bool case_failed() noexcept;

void fail(const char* file, int line, const std::string& what);

// Thrown by REQUIRE, caught by run(). No case may catch it.
struct CaseEnded {};
[[noreturn]] void end_case(const char* file, int line, const std::string& what);

template <typename T>
concept Printable = requires(std::ostream& stream, const T& value) {
  stream << value;
};

template <typename T>
std::string show(const T& value) {
  std::ostringstream text;
  if constexpr (std::is_enum_v<T>) {
    text << static_cast<long long>(value);
  } else if constexpr (std::is_same_v<T, std::uint8_t>) {
    text << static_cast<unsigned>(value);
  } else if constexpr (Printable<T>) {
    text << std::boolalpha << value;
  } else {
    text << "a value of " << sizeof(T) << " bytes";
  }
  return text.str();
}

template <typename A, typename B>
void check_equal(const A& left, const B& right, const char* left_text, const char* right_text, const char* file,
                 int line) {
  if (left == right) return;
  fail(file, line,
       std::string(left_text) + " == " + right_text + "\n      left:  " + show(left) + "\n      right: " + show(right));
}

}  // namespace test

#define TEST_JOIN_(a, b) a##b
#define TEST_NAME_(prefix, line) TEST_JOIN_(prefix, line)

#define TEST(sentence) TEST_WITHIN(sentence, ::test::kDefaultLimitSeconds)

// A case with a time limit of its own.
#define TEST_WITHIN(sentence, seconds)                                                                       \
  static void TEST_NAME_(test_body_, __LINE__)();                                                            \
  static ::test::Case TEST_NAME_(test_case_, __LINE__)(sentence, TEST_NAME_(test_body_, __LINE__), seconds); \
  static void TEST_NAME_(test_body_, __LINE__)()

#define CHECK(condition) ((condition) ? static_cast<void>(0) : ::test::fail(__FILE__, __LINE__, #condition))

#define CHECK_EQ(left, right) ::test::check_equal((left), (right), #left, #right, __FILE__, __LINE__)

#define REQUIRE(condition) ((condition) ? static_cast<void>(0) : ::test::end_case(__FILE__, __LINE__, #condition))
