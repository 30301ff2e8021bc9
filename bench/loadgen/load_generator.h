// One run: connect, warm up, measure, print. Every byte that comes back is compared with what must come next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "connections.h"
#include "core/histogram.h"
#include "options.h"
#include "pattern.h"

namespace loadgen {

class LoadGenerator {
 public:
  explicit LoadGenerator(const Options& options);
  // Prints "measuring" when the warm-up is over and one line of JSON at the end.
  void run();

 private:
  struct Peer {
    std::uint64_t sent = 0;             // frames handed to the socket
    std::uint64_t received = 0;         // frames checked to the last byte
    std::size_t position = 0;           // checked bytes of the frame now arriving
    std::size_t greeting_left = 0;      // bytes of the answered greeting still to come (fan-out)
    std::vector<std::int64_t> sent_at;  // ring of `outstanding` times, by frame number
  };

  bool fans_out() const { return options_.mode == Mode::fanout; }
  // Whose frames arrive on connection `index`.
  std::size_t author(std::size_t index) const { return fans_out() ? 0 : index; }

  void connect_all();
  void greet_all();
  void run_load();
  void run_hold();
  void run_silent();
  void run_until(std::int64_t end);
  void drain();
  void begin_measurement();
  void finish_measurement() const;

  void connected(std::size_t index);
  void received(std::size_t index, std::span<const std::uint8_t> bytes);
  std::span<const std::uint8_t> skip_greeting(Peer* peer, std::span<const std::uint8_t> bytes);
  // What is left of the frame that arrives at `peer`, up to the end of its header or of its payload.
  std::span<const std::uint8_t> expected(std::size_t author, const Peer& peer) const;
  void complete_frame(std::size_t index);
  void send_frame(std::size_t index);

  const Options options_;
  const Pattern pattern_;
  std::vector<Peer> peers_;
  Connections connections_;
  std::size_t started_ = 0;
  std::size_t connected_ = 0;
  std::size_t greeted_ = 0;
  bool refill_ = false;                         // an answered frame is followed by another
  std::vector<std::size_t> receivers_missing_;  // fan-out: ring by frame number
  std::uint64_t frames_in_flight_ = 0;
  std::uint64_t measured_frames_ = 0;
  std::uint64_t errors_ = 0;
  std::int64_t measured_from_ = 0;
  std::int64_t last_progress_ = now_ns();
  double cpu_from_ = 0;
  iocp::Histogram histogram_;
};

}  // namespace loadgen
