// The command line: `--name value` pairs, each checked.
#include "options.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace loadgen {

namespace {

constexpr std::array<std::pair<std::string_view, Mode>, 6> kModes = {{
    {"echo", Mode::echo},
    {"hold", Mode::hold},
    {"silent", Mode::silent},
    {"fanout", Mode::fanout},
    {"churn", Mode::churn},
    {"split", Mode::split},
}};

[[noreturn]] void refuse(std::string_view name, std::string_view wanted, const char* got) {
  std::fprintf(stderr, "loadgen: %.*s takes %.*s, not '%s'\n", static_cast<int>(name.size()), name.data(),
               static_cast<int>(wanted.size()), wanted.data(), got);
  std::exit(2);
}

double parse_number(std::string_view name, const char* text, double least, double most) {
  double value = 0;
  const std::string_view view = text;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc() || end != view.data() + view.size() || value < least || value > most) {
    const std::string range = "a number from " + std::to_string(static_cast<std::uint64_t>(least)) + " to " +
                              std::to_string(static_cast<std::uint64_t>(most));
    refuse(name, range, text);
  }
  return value;
}

std::size_t parse_count(std::string_view name, const char* text, double least, double most) {
  return static_cast<std::size_t>(parse_number(name, text, least, most));
}

Mode parse_mode(const char* text) {
  for (const auto& [name, mode] : kModes) {
    if (name == text) return mode;
  }
  refuse("--mode", "echo, hold, silent, fanout, churn or split", text);
}

void apply(Options* options, std::string_view name, const char* value) {
  if (name == "--host") {
    options->host = value;
  } else if (name == "--port") {
    options->port = static_cast<std::uint16_t>(parse_count(name, value, 1, 65'535));
  } else if (name == "--mode") {
    options->mode = parse_mode(value);
  } else if (name == "--connections") {
    options->connections = parse_count(name, value, 1, 1'000'000);
  } else if (name == "--outstanding") {
    options->outstanding = parse_count(name, value, 1, 100'000);
  } else if (name == "--payload") {
    options->payload = parse_count(name, value, 1, 1 << 20);
  } else if (name == "--warmup") {
    options->warmup_seconds = parse_number(name, value, 0, 3600);
  } else if (name == "--seconds") {
    options->seconds = parse_number(name, value, 0, 3600);
  } else {
    refuse("the command line", "the options that docs/testing.md lists", name.data());
  }
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 >= argc) fail("every option takes a value");
    apply(&options, argv[i], argv[i + 1]);
  }
  if (options.port == 0) fail("--port is needed");
  return options;
}

void fail(const char* what, int error) {
  std::fprintf(stderr, "loadgen: %s%s%s\n", what, error != 0 ? ": " : "", error != 0 ? std::strerror(error) : "");
  std::exit(1);
}

}  // namespace loadgen
