// What a run is asked to do, from the command line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace loadgen {

enum class Mode : std::uint8_t {
  echo,    // every connection keeps `outstanding` frames in flight
  hold,    // many quiet connections: one frame each at the start, one more each spread over the run
  silent,  // many connections that say nothing, but for one frame of the last at the end: all were accepted
  fanout,  // connection 0 keeps `outstanding` frames in flight; the server sends each to every connection
  churn,   // connect, one frame, its echo, reset, connect again
  split,   // as echo, but every byte is a segment of its own
};

struct Options {
  std::string host = "127.0.0.1";  // IPv4
  std::uint16_t port = 0;
  Mode mode = Mode::echo;
  std::size_t connections = 64;
  std::size_t outstanding = 16;
  std::size_t payload = 64;
  double warmup_seconds = 1;
  double seconds = 3;
};

// Ends the program with a message when the command line is wrong.
Options parse_options(int argc, char** argv);

// Prints "loadgen: what: why" and ends the program with 1. `error` is an errno, 0 for none.
[[noreturn]] void fail(const char* what, int error = 0);

}  // namespace loadgen
