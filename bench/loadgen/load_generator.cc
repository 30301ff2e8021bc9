// The kinds of run, and the checks that every one of them makes.
#include "load_generator.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace loadgen {

namespace {

constexpr std::size_t kConnectsAtOnce = 256;
constexpr std::int64_t kStallLimitNs = 20'000'000'000;
constexpr std::array<std::uint8_t, kHeaderBytes> kGreeting = {};  // an empty package: answered to its sender alone

std::int64_t to_ns(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

double cpu_seconds() {
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) != 0) fail("getrusage", errno);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

LoadGenerator::LoadGenerator(const Options& options)
    : options_(options),
      pattern_(options.payload),
      peers_(options.connections),
      connections_(options, {.connected = [this](std::size_t index) { connected(index); },
                             .received = [this](std::size_t index, auto bytes) { received(index, bytes); }}),
      receivers_missing_(options.outstanding) {
  const bool one_at_a_time = options.mode == Mode::hold || options.mode == Mode::silent || options.mode == Mode::churn;
  for (Peer& peer : peers_) peer.sent_at.resize(one_at_a_time ? 1 : options.outstanding);
}

void LoadGenerator::run() {
  connect_all();
  if (fans_out()) greet_all();
  if (options_.mode == Mode::hold) {
    run_hold();
  } else if (options_.mode == Mode::silent) {
    run_silent();
  } else {
    run_load();
  }
}

// --- the runs -----------------------------------------------------------------------------------------------

void LoadGenerator::connect_all() {
  while (connected_ < peers_.size()) {
    while (started_ < peers_.size() && started_ - connected_ < kConnectsAtOnce) connections_.start(started_++);
    connections_.step(1000);
  }
}

// A broadcast reaches only whom the server has accepted, so everybody says hello first.
void LoadGenerator::greet_all() {
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    peers_[i].greeting_left = kGreeting.size();
    connections_.append(i, kGreeting);
    connections_.flush(i);
  }
  const std::int64_t begin = now_ns();
  while (greeted_ < peers_.size()) {
    connections_.step(100);
    if (now_ns() - begin > kStallLimitNs) fail("the server did not answer every greeting");
  }
}

void LoadGenerator::run_load() {
  refill_ = true;
  last_progress_ = now_ns();
  const std::size_t senders = fans_out() ? 1 : peers_.size();
  for (std::size_t i = 0; i < senders; ++i) {
    const std::size_t frames = options_.mode == Mode::churn ? 1 : options_.outstanding;
    for (std::size_t frame = 0; frame < frames; ++frame) send_frame(i);
    connections_.flush(i);
  }
  run_until(now_ns() + to_ns(options_.warmup_seconds));
  begin_measurement();
  run_until(measured_from_ + to_ns(options_.seconds));
  finish_measurement();
}

void LoadGenerator::run_hold() {
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    send_frame(i);
    connections_.flush(i);
    if (i % 64 == 0) connections_.step(0);
  }
  drain();
  begin_measurement();
  const double interval = options_.seconds * 1e9 / static_cast<double>(peers_.size());
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    run_until(measured_from_ + static_cast<std::int64_t>(interval * static_cast<double>(i)));
    send_frame(i);
    connections_.flush(i);
  }
  drain();
  finish_measurement();
}

void LoadGenerator::run_silent() {
  begin_measurement();
  run_until(measured_from_ + to_ns(options_.seconds));
  send_frame(peers_.size() - 1);
  connections_.flush(peers_.size() - 1);
  drain();
  finish_measurement();
}

void LoadGenerator::run_until(std::int64_t end) {
  for (std::int64_t now = now_ns(); now < end; now = now_ns()) {
    connections_.step(static_cast<int>((end - now) / 1'000'000 + 1));
    if (now - last_progress_ > kStallLimitNs && frames_in_flight_ > 0) fail("the server stopped answering");
  }
}

void LoadGenerator::drain() {
  const std::int64_t begin = now_ns();
  while (frames_in_flight_ > 0) {
    connections_.step(100);
    if (now_ns() - begin > kStallLimitNs) fail("the server did not answer every frame");
  }
}

void LoadGenerator::begin_measurement() {
  histogram_.reset();
  measured_frames_ = 0;
  measured_from_ = now_ns();
  last_progress_ = measured_from_;
  cpu_from_ = cpu_seconds();
  std::puts("measuring");
  std::fflush(stdout);
}

void LoadGenerator::finish_measurement() const {
  const double seconds = static_cast<double>(now_ns() - measured_from_) / 1e9;
  const double frames = static_cast<double>(measured_frames_) / seconds;
  std::printf(
      "{\"frames\": %llu, \"seconds\": %.3f, \"frames_per_second\": %.1f, \"megabytes_per_second\": %.3f, "
      "\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"errors\": %llu, \"connections\": %zu, "
      "\"generator_cpu\": %.2f}\n",
      static_cast<unsigned long long>(measured_frames_), seconds, frames,
      frames * static_cast<double>(pattern_.payload()) / 1e6, histogram_.percentile_us(0.5),
      histogram_.percentile_us(0.99), histogram_.percentile_us(0.999), static_cast<unsigned long long>(errors_),
      peers_.size(), (cpu_seconds() - cpu_from_) / seconds);
  std::fflush(stdout);
}

// --- frames ---------------------------------------------------------------------------------------------------

void LoadGenerator::connected(std::size_t index) {
  ++connected_;
  if (!refill_) return;  // the run has not begun
  send_frame(index);     // churn: a connection that came after another
  connections_.flush(index);
}

void LoadGenerator::received(std::size_t index, std::span<const std::uint8_t> bytes) {
  last_progress_ = now_ns();
  Peer& peer = peers_[index];
  bytes = skip_greeting(&peer, bytes);
  while (!bytes.empty()) {
    if (peer.received == peers_[author(index)].sent) fail("the server sent more than it got");
    const auto wanted = expected(author(index), peer);
    const std::size_t count = std::min(wanted.size(), bytes.size());
    if (std::memcmp(bytes.data(), wanted.data(), count) != 0) ++errors_;
    peer.position += count;
    bytes = bytes.subspan(count);
    if (peer.position == pattern_.frame_bytes()) complete_frame(index);
  }
  if (options_.mode != Mode::churn) connections_.flush(author(index));
}

std::span<const std::uint8_t> LoadGenerator::skip_greeting(Peer* peer, std::span<const std::uint8_t> bytes) {
  const std::size_t count = std::min(peer->greeting_left, bytes.size());
  if (count == 0) return bytes;
  if (std::memcmp(bytes.data(), kGreeting.data(), count) != 0) ++errors_;
  peer->greeting_left -= count;
  if (peer->greeting_left == 0) ++greeted_;
  return bytes.subspan(count);
}

std::span<const std::uint8_t> LoadGenerator::expected(std::size_t author, const Peer& peer) const {
  if (peer.position < kHeaderBytes) {
    return std::span(pattern_.header(), kHeaderBytes).subspan(peer.position);
  }
  return std::span(pattern_.bytes(author, peer.received), pattern_.payload()).subspan(peer.position - kHeaderBytes);
}

void LoadGenerator::complete_frame(std::size_t index) {
  Peer& peer = peers_[index];
  const std::size_t place = peer.received % options_.outstanding;
  const auto& sent_at = peers_[author(index)].sent_at;
  histogram_.record(last_progress_ - sent_at[place % sent_at.size()]);
  ++peer.received;
  peer.position = 0;
  ++measured_frames_;
  --frames_in_flight_;
  if (options_.mode == Mode::churn) {
    connections_.reset(index);
    peer.sent_at[0] = last_progress_;
    connections_.start(index);
  } else if (fans_out()) {
    if (--receivers_missing_[place] == 0) send_frame(0);
  } else if (refill_) {
    send_frame(index);
  }
}

// In a churn the time of a frame begins with its connection.
void LoadGenerator::send_frame(std::size_t index) {
  Peer& peer = peers_[index];
  connections_.append(index, std::span(pattern_.header(), kHeaderBytes));
  connections_.append(index, std::span(pattern_.bytes(index, peer.sent), pattern_.payload()));
  const std::size_t place = peer.sent % peer.sent_at.size();
  const bool timed_by_connect = options_.mode == Mode::churn && peer.sent > 0;
  if (!timed_by_connect) peer.sent_at[place] = refill_ ? last_progress_ : now_ns();
  if (fans_out()) receivers_missing_[peer.sent % options_.outstanding] = peers_.size();
  ++peer.sent;
  frames_in_flight_ += fans_out() ? peers_.size() : 1;
}

}  // namespace loadgen
