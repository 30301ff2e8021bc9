// The harness itself: registration, the command line, the watchdog, the report.
#include "support/test.h"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace test {
namespace {

using Clock = std::chrono::steady_clock;

// Cases register themselves before main(), so these two must not need a constructor of their own.
Case* first_case = nullptr;
Case* last_case = nullptr;

std::uint64_t run_seed = 0;
bool run_seed_given = false;
bool current_failed = false;

// Plain memory, because a signal handler reads it.
char current_context[256] = "";

void on_fatal_signal(int signal) {
  if (current_context[0] != '\0') std::fprintf(stderr, "      in %s\n", current_context);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// A thread that ends the process when a case outlives its limit. A case that hangs cannot be stopped any other way.
class Watchdog {
 public:
  Watchdog() : thread_([this] { watch(); }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void begin(const Case& test_case) {
    {
      const std::lock_guard lock(mutex_);
      running_ = &test_case;
      deadline_ = Clock::now() + std::chrono::seconds(test_case.limit_seconds);
    }
    changed_.notify_one();
  }

  void end() {
    const std::lock_guard lock(mutex_);
    running_ = nullptr;
  }

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (running_ == nullptr) {
        changed_.wait(lock);
      } else if (Clock::now() < deadline_) {
        changed_.wait_until(lock, deadline_);
      } else {
        std::printf("FAIL  %s\n      still running after its limit of %d s\n", running_->sentence,
                    running_->limit_seconds);
        if (current_context[0] != '\0') std::printf("      in %s\n", current_context);
        std::_Exit(1);
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  const Case* running_ = nullptr;
  Clock::time_point deadline_;
  bool stopping_ = false;
  std::thread thread_;
};

struct CommandLine {
  std::string filter;
  std::vector<std::string> without;
  bool list = false;
  std::uint64_t seed = 0;
  bool seed_given = false;
  bool valid = true;
};

CommandLine parse(int argument_count, char** arguments) {
  CommandLine result;
  std::random_device entropy;
  result.seed = entropy();
  for (int i = 1; i < argument_count; ++i) {
    const std::string name = arguments[i];
    const char* const value = i + 1 < argument_count ? arguments[i + 1] : nullptr;
    if (name == "--list") {
      result.list = true;
    } else if (name == "--filter" && value != nullptr) {
      result.filter = value;
      ++i;
    } else if (name == "--without" && value != nullptr) {
      result.without.emplace_back(value);
      ++i;
    } else if (name == "--seed" && value != nullptr) {
      char* end = nullptr;
      result.seed = std::strtoull(value, &end, 0);
      result.seed_given = true;
      if (end == value || *end != '\0') result.valid = false;
      ++i;
    } else {
      result.valid = false;
    }
  }
  return result;
}

bool selected(const Case& test_case, const std::string& filter) {
  return std::strstr(test_case.sentence, filter.c_str()) != nullptr;
}

bool left_out(const Case& test_case, const std::vector<std::string>& without) {
  for (const std::string& text : without) {
    if (selected(test_case, text)) return true;
  }
  return false;
}

bool run_one(const Case& test_case, Watchdog& watchdog) {
  current_failed = false;
  current_context[0] = '\0';
  const Clock::time_point start = Clock::now();
  watchdog.begin(test_case);
  try {
    test_case.body();
  } catch (const CaseEnded&) {
    // Already reported by end_case().
  }
  watchdog.end();
  const std::chrono::duration<double, std::milli> taken = Clock::now() - start;
  std::printf("%s  %s (%.1f ms)\n", current_failed ? "FAIL" : "ok  ", test_case.sentence, taken.count());
  return !current_failed;
}

}  // namespace

Case::Case(const char* case_sentence, void (*case_body)(), int seconds)
    : sentence(case_sentence), body(case_body), limit_seconds(seconds) {
  (last_case == nullptr ? first_case : last_case->next) = this;
  last_case = this;
}

std::uint64_t seed() noexcept { return run_seed; }

bool seed_given() noexcept { return run_seed_given; }

void context(const std::string& text) { std::snprintf(current_context, sizeof current_context, "%s", text.c_str()); }

bool case_failed() noexcept { return current_failed; }

void fail(const char* file, int line, const std::string& what) {
  current_failed = true;
  std::printf("      %s:%d: %s\n", file, line, what.c_str());
  if (current_context[0] != '\0') std::printf("      in %s\n", current_context);
}

void end_case(const char* file, int line, const std::string& what) {
  fail(file, line, what);
  throw CaseEnded();
}

int run(int argument_count, char** arguments) {
  // Line by line even into a pipe: what was said must not be lost when a case takes the process down.
  std::setvbuf(stdout, nullptr, _IONBF, 0);
  const CommandLine command_line = parse(argument_count, arguments);
  if (!command_line.valid) {
    std::fprintf(stderr, "usage: %s [--list] [--filter text] [--without text] [--seed number]\n", arguments[0]);
    return 2;
  }
  run_seed = command_line.seed;
  run_seed_given = command_line.seed_given;
  std::signal(SIGABRT, on_fatal_signal);
  if (!command_line.list) std::printf("seed %llu\n", static_cast<unsigned long long>(run_seed));
  Watchdog watchdog;
  int passed = 0;
  int failed = 0;
  for (const Case* each = first_case; each != nullptr; each = each->next) {
    if (!selected(*each, command_line.filter)) continue;
    if (left_out(*each, command_line.without)) {
      std::printf("left out  %s\n", each->sentence);
    } else if (command_line.list) {
      std::printf("%s\n", each->sentence);
      ++passed;
    } else {
      ++(run_one(*each, watchdog) ? passed : failed);
    }
  }
  if (!command_line.list) std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace test
