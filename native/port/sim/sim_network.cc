// The simulated network's clock, its dice and its books: events in virtual time, the trace, the audit.
// Every source of chance and every step of time in the simulator goes through this file.
#include "port/sim/sim_network.h"

#include <algorithm>
#include <cstring>

#include "port/check.h"

namespace iocp {

namespace {

constexpr std::uint64_t kTracePrime = 0x100000001b3;  // FNV-1a

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) { return (hash ^ value) * kTracePrime + (hash >> 29); }

std::size_t undelivered(const SimEndpoint& endpoint) {
  return endpoint.in_flight_bytes + endpoint.outbox.size() + (endpoint.open ? endpoint.received.size() : 0);
}

}  // namespace

void SimByteQueue::clear() {
  bytes_.clear();
  head_ = 0;
}

void SimByteQueue::push(ConstBytes bytes) {
  if (head_ != 0 && head_ >= bytes_.size() / 2) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

std::vector<std::uint8_t> SimByteQueue::pop(std::size_t count) {
  IOCP_CHECK(count <= size());
  const auto first = bytes_.begin() + static_cast<std::ptrdiff_t>(head_);
  std::vector<std::uint8_t> result(first, first + static_cast<std::ptrdiff_t>(count));
  head_ += count;
  if (head_ == bytes_.size()) clear();
  return result;
}

std::shared_ptr<SimEndpoint> share(SimEndpoint* endpoint) {
  return std::shared_ptr<SimEndpoint>(endpoint->connection->shared_from_this(), endpoint);
}

std::uint64_t SimNetwork::next_due_ms() const {
  return events_.empty() ? SimWorld::kNever : events_.begin()->first.first;
}

void SimNetwork::advance_to(std::uint64_t ms) {
  IOCP_CHECK(ms >= now_ms_);
  while (next_due_ms() <= ms && !events_.empty()) {
    auto event = events_.extract(events_.begin());
    now_ms_ = std::max(now_ms_, event.key().first);
    event.mapped()();
  }
  now_ms_ = ms;
}

void SimNetwork::schedule(std::uint64_t delay_ms, std::function<void()> event) {
  if (delay_ms == 0) return event();
  events_.emplace(EventKey{now_ms_ + delay_ms, ++event_count_}, std::move(event));
}

bool SimNetwork::chance(std::uint32_t per_mille) {
  // No draw for what is off, so that switching one fault off leaves the others' dice alone.
  if (per_mille == 0) return false;
  const bool struck = random_.between(0, 999) < per_mille;
  trace_hash_ = mix(trace_hash_, struck ? 1 : 2);
  return struck;
}

std::uint64_t SimNetwork::pick(std::uint64_t low, std::uint64_t high) {
  if (low == high) return low;
  const std::uint64_t picked = random_.between(low, high);
  trace_hash_ = mix(trace_hash_, picked);
  return picked;
}

void SimNetwork::note(const char* what, std::uint64_t first, std::uint64_t second, std::uint64_t third) {
  for (const char* letter = what; *letter != '\0'; ++letter) {
    trace_hash_ = mix(trace_hash_, static_cast<std::uint8_t>(*letter));
  }
  for (const std::uint64_t value : {now_ms_, first, second, third}) trace_hash_ = mix(trace_hash_, value);
  if (log_ == nullptr) return;
  std::fprintf(log_, "%8llu ms  %-18s %llu %llu %llu\n", static_cast<unsigned long long>(now_ms_), what,
               static_cast<unsigned long long>(first), static_cast<unsigned long long>(second),
               static_cast<unsigned long long>(third));
}

void SimNetwork::note_bytes(ConstBytes bytes) {
  for (const std::uint8_t byte : bytes) trace_hash_ = mix(trace_hash_, byte);
}

void SimNetwork::forget_connections() {
  std::erase_if(connections_, [](const auto& entry) { return entry.second.expired(); });
}

SimAudit SimNetwork::audit() const {
  SimAudit audit;
  audit.sockets = sockets_.size();
  audit.operations = pending_.size();
  audit.raw_sockets = raw_sockets_.size();
  for (const auto& entry : connections_) {
    const std::shared_ptr<SimConnection> connection = entry.second.lock();
    if (connection == nullptr) continue;
    for (const SimEndpoint* endpoint : {&connection->client, &connection->server}) {
      audit.undelivered_bytes += undelivered(*endpoint);
      audit.peers += endpoint->scripted && endpoint->open ? 1 : 0;
    }
  }
  return audit;
}

}  // namespace iocp
