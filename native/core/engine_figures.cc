// What the engine can tell about itself: one context's figures, and the totals of stats().
#include "core/engine.h"

namespace iocp {

bool Engine::figures(std::uint32_t slot, std::uint32_t generation, ContextFigures* out) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) return false;
  // Also of a closed context: until its owner has read the disconnected record these are the figures it sees.
  ScopedLock guard(context->lock);
  out->bytes_received = context->bytes_received;
  out->bytes_sent = context->bytes_sent;
  out->packages_received = context->packages_received;
  out->packages_sent = context->packages_sent;
  out->queued_bytes = context->queue.queued_bytes();
  out->peer_ended = context->peer_ended || context->end_seen;
  out->connected = context->state != ContextState::closed && !context->abort_queued;
  return true;
}

bool Engine::tcp_info(std::uint32_t slot, std::uint32_t generation, TcpInfo* out) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) return false;
  ScopedLock guard(context->lock);
  if (context->state == ContextState::closed) return false;
  *out = context->lane.port.tcp_info(context->socket);
  return true;
}

namespace {

// Everything stats() reads, gathered once.
struct Totals {
  std::uint64_t connections = 0;
  std::uint64_t packages_sent = 0;
  std::uint64_t packages_dropped = 0;
  std::uint64_t sends_to_the_gone = 0;
  std::uint64_t batches = 0;
  std::uint64_t packages_received = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t accepted = 0;
  std::uint64_t connected = 0;
  std::uint64_t disconnected = 0;
  std::uint64_t refused = 0;
  std::uint64_t stalls = 0;
  std::uint64_t buffer_shortages = 0;
  std::uint64_t steps = 0;
  std::uint64_t io_workers = 0;
  std::uint64_t hand_overs = 0;
  BufferPool::Counts contexts;
  BufferPool::Counts send_buffers;
  BufferPool::Counts read_buffers;
  PortCounters port;

  void add(const LaneCounters& lane) {
    packages_received += lane.packages_received.load(std::memory_order_relaxed);
    bytes_received += lane.bytes_received.load(std::memory_order_relaxed);
    bytes_sent += lane.bytes_sent.load(std::memory_order_relaxed);
    accepted += lane.accepted.load(std::memory_order_relaxed);
    connected += lane.connected.load(std::memory_order_relaxed);
    disconnected += lane.disconnected.load(std::memory_order_relaxed);
    refused += lane.refused.load(std::memory_order_relaxed);
    stalls += lane.stalls.load(std::memory_order_relaxed);
    buffer_shortages += lane.buffer_shortages.load(std::memory_order_relaxed);
    steps += lane.steps.load(std::memory_order_relaxed);
  }

  void add(const PortCounters& one) {
    port.waits += one.waits;
    port.completions += one.completions;
    port.accepts += one.accepts;
    port.connects += one.connects;
    port.zero_byte_reads += one.zero_byte_reads;
    port.reads += one.reads;
    port.empty_reads += one.empty_reads;
    port.writes += one.writes;
    port.blocked_writes += one.blocked_writes;
    port.transmits += one.transmits;
    port.transmit_bytes += one.transmit_bytes;
    port.posts += one.posts;
    port.wakes += one.wakes;
  }
};

// A name as JavaScript sees it (a dot nests) and where its figure comes from.
struct Row {
  const char* name;
  std::uint64_t (*figure)(const Totals&);
};

constexpr Row kRows[] = {
    {"connections", [](const Totals& totals) { return totals.connections; }},
    {"accepted", [](const Totals& totals) { return totals.accepted; }},
    {"connected", [](const Totals& totals) { return totals.connected; }},
    {"disconnected", [](const Totals& totals) { return totals.disconnected; }},
    {"refused", [](const Totals& totals) { return totals.refused; }},
    {"packagesReceived", [](const Totals& totals) { return totals.packages_received; }},
    {"packagesSent", [](const Totals& totals) { return totals.packages_sent; }},
    {"packagesDropped", [](const Totals& totals) { return totals.packages_dropped; }},
    {"bytesReceived", [](const Totals& totals) { return totals.bytes_received; }},
    {"bytesSent", [](const Totals& totals) { return totals.bytes_sent; }},
    {"sendsToTheGone", [](const Totals& totals) { return totals.sends_to_the_gone; }},
    {"outputBatches", [](const Totals& totals) { return totals.batches; }},
    {"stalls", [](const Totals& totals) { return totals.stalls; }},
    {"bufferShortages", [](const Totals& totals) { return totals.buffer_shortages; }},
    {"steps", [](const Totals& totals) { return totals.steps; }},
    {"ioWorkers", [](const Totals& totals) { return totals.io_workers; }},
    {"handOvers", [](const Totals& totals) { return totals.hand_overs; }},
    {"contexts.live", [](const Totals& totals) { return totals.contexts.in_use; }},
    {"contexts.free", [](const Totals& totals) { return totals.contexts.free; }},
    {"contexts.reused", [](const Totals& totals) { return totals.contexts.reused; }},
    {"sendBuffers.inUse", [](const Totals& totals) { return totals.send_buffers.in_use; }},
    {"sendBuffers.free", [](const Totals& totals) { return totals.send_buffers.free; }},
    {"sendBuffers.reused", [](const Totals& totals) { return totals.send_buffers.reused; }},
    {"readBuffers.inUse", [](const Totals& totals) { return totals.read_buffers.in_use; }},
    {"readBuffers.free", [](const Totals& totals) { return totals.read_buffers.free; }},
    {"readBuffers.reused", [](const Totals& totals) { return totals.read_buffers.reused; }},
    {"port.waits", [](const Totals& totals) { return totals.port.waits; }},
    {"port.completions", [](const Totals& totals) { return totals.port.completions; }},
    {"port.accepts", [](const Totals& totals) { return totals.port.accepts; }},
    {"port.connects", [](const Totals& totals) { return totals.port.connects; }},
    {"port.zeroByteReads", [](const Totals& totals) { return totals.port.zero_byte_reads; }},
    {"port.reads", [](const Totals& totals) { return totals.port.reads; }},
    {"port.emptyReads", [](const Totals& totals) { return totals.port.empty_reads; }},
    {"port.writes", [](const Totals& totals) { return totals.port.writes; }},
    {"port.blockedWrites", [](const Totals& totals) { return totals.port.blocked_writes; }},
    {"port.transmits", [](const Totals& totals) { return totals.port.transmits; }},
    {"port.transmitBytes", [](const Totals& totals) { return totals.port.transmit_bytes; }},
    {"port.posts", [](const Totals& totals) { return totals.port.posts; }},
    {"port.wakes", [](const Totals& totals) { return totals.port.wakes; }},
};

}  // namespace

std::size_t Engine::stat_count() noexcept { return std::size(kRows); }

const char* Engine::stat_name(std::size_t index) noexcept { return kRows[index].name; }

std::uint64_t Engine::file_bytes_received() const noexcept {
  std::uint64_t all = 0;
  for (const auto& lane : lanes_) all += lane->counters.file_bytes_received.load(std::memory_order_relaxed);
  return all;
}

std::uint64_t Engine::packages_moved() const noexcept {
  std::uint64_t all = outgoing_.packages_sent + others_sent_.load(std::memory_order_relaxed);
  for (const auto& lane : lanes_) all += lane->counters.packages_received.load(std::memory_order_relaxed);
  return all;
}

void Engine::stats(double* out) const {
  Totals totals;
  totals.connections = connections_.load(std::memory_order_relaxed);
  totals.packages_sent = outgoing_.packages_sent + others_sent_.load(std::memory_order_relaxed);
  totals.packages_dropped = outgoing_.packages_dropped + others_dropped_.load(std::memory_order_relaxed);
  totals.sends_to_the_gone = outgoing_.sends_to_the_gone + others_to_the_gone_.load(std::memory_order_relaxed);
  totals.batches = batches_;
  totals.hand_overs = hand_overs_;
  for (const auto& lane : lanes_) {
    totals.add(lane->counters);
    if (lane->stepped_by_threads.load(std::memory_order_relaxed)) totals.io_workers += options_.workers_per_lane;
    totals.add(lane->port.counters());
  }
  totals.contexts = table_.pool_counts();
  totals.send_buffers = send_buffers_.counts();
  totals.read_buffers = read_buffers_.counts();
  for (std::size_t i = 0; i < std::size(kRows); ++i) out[i] = static_cast<double>(kRows[i].figure(totals));
}

}  // namespace iocp
