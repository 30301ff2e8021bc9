// The generator's sockets: many non-blocking connections to one server, polled by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "options.h"

namespace loadgen {

// Nanoseconds of a clock that never goes back.
std::int64_t now_ns();

class Connections {
 public:
  // Called with a connection's number when it is connected, and with the bytes that arrived on it.
  struct Listener {
    std::function<void(std::size_t)> connected;
    std::function<void(std::size_t, std::span<const std::uint8_t>)> received;
  };

  Connections(const Options& options, Listener listener);
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  std::size_t size() const { return sockets_.size(); }
  // Starts to connect number `index`; ends the program when the system refuses at once.
  void start(std::size_t index);
  // Puts bytes behind what number `index` has not sent yet; flush() sends.
  void append(std::size_t index, std::span<const std::uint8_t> bytes);
  void flush(std::size_t index);
  // Resets number `index` (no TIME_WAIT is left behind); start() may follow.
  void reset(std::size_t index);
  // Waits up to `timeout_ms` and tells the listener what happened.
  void step(int timeout_ms);

 private:
  struct Socket {
    int descriptor = -1;
    bool connected = false;
    bool wants_write = false;
    std::vector<std::uint8_t> output;  // not yet taken by the kernel, from output_begin
    std::size_t output_begin = 0;
  };

  static void bind_source(int descriptor, std::size_t index);
  void finish_connect(std::size_t index);
  void receive(std::size_t index);
  void watch(std::size_t index, int operation, std::uint32_t events) const;

  const Options options_;
  const Listener listener_;
  const std::size_t most_per_send_;  // 1 when every byte must be a segment of its own
  std::vector<Socket> sockets_;
  std::vector<std::uint8_t> input_;
  int poller_ = -1;
};

}  // namespace loadgen
