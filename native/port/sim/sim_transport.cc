// Bytes, FINs and resets on their way between two ends, as TCP has them: in order, none lost, a FIN behind the
// bytes, a reset ahead of them. Knows operations only through try_reads() and try_write().
#include <algorithm>

#include "port/check.h"
#include "port/sim/sim_network.h"

namespace iocp {

std::size_t SimNetwork::room(const SimEndpoint& from) const {
  const std::size_t used = from.other->in_flight_bytes + from.other->received.size();
  const std::size_t capacity = std::max<std::size_t>(faults_.send_buffer_bytes, 1);
  return used >= capacity ? 0 : capacity - used;
}

void SimNetwork::transmit(SimEndpoint* from, std::vector<std::uint8_t> bytes) {
  IOCP_CHECK(!bytes.empty() && !from->fin_sent);
  note("transmit", from->connection->number, from == &from->connection->client ? 0 : 1, bytes.size());
  note_bytes(bytes);
  // Rolled first but striking later, so that the segment itself may or may not make it.
  if (chance(faults_.connection_reset)) inject_reset(from);
  // The other end has already answered with a reset, or this one has met it: nobody will hear these bytes.
  if (from->other->reset_sent || from->reset) return;
  SimSegment segment;
  segment.bytes = std::move(bytes);
  queue_segment(from->other, std::move(segment));
}

void SimNetwork::inject_reset(SimEndpoint* endpoint) {
  note("inject reset", endpoint->connection->number);
  const std::uint64_t latest = std::max<std::uint64_t>(faults_.delivery_delay_max_ms * 2, 1);
  schedule(pick(1, latest), [this, held = share(endpoint)] {
    meet_reset(held.get());
    meet_reset(held->other);
  });
}

void SimNetwork::send_fin(SimEndpoint* from) {
  if (from->fin_sent) return;
  from->fin_sent = true;
  if (from->other->reset_sent || from->reset) return;
  note("fin", from->connection->number, from == &from->connection->client ? 0 : 1);
  SimSegment segment;
  segment.fin = true;
  queue_segment(from->other, std::move(segment));
}

void SimNetwork::queue_segment(SimEndpoint* to, SimSegment segment) {
  segment.due_ms = std::max(now_ms_ + delivery_delay(), to->last_due_ms);
  to->last_due_ms = segment.due_ms;
  if (segment.due_ms == now_ms_ && to->in_flight.empty()) return arrive_segment(to, std::move(segment));
  const std::uint64_t delay = segment.due_ms - now_ms_;
  to->in_flight_bytes += segment.bytes.size();
  to->in_flight.push_back(std::move(segment));
  schedule(delay, [this, held = share(to)] { arrive(held.get()); });
}

void SimNetwork::arrive(SimEndpoint* to) {
  while (!to->in_flight.empty() && to->in_flight.front().due_ms <= now_ms_) {
    SimSegment segment = std::move(to->in_flight.front());
    to->in_flight.pop_front();
    to->in_flight_bytes -= segment.bytes.size();
    arrive_segment(to, std::move(segment));
  }
}

void SimNetwork::arrive_segment(SimEndpoint* to, SimSegment segment) {
  if (to->reset || to->reset_sent) return;
  note("arrive", to->connection->number, to == &to->connection->client ? 0 : 1, segment.bytes.size());
  if (!to->open) {
    // Nobody will ever read this: the kernel says so with a reset. A FIN to a closed end is the normal end.
    if (!segment.bytes.empty()) send_reset(to);
    return;
  }
  if (segment.fin) {
    to->fin_arrived = true;
  } else {
    to->received.push(segment.bytes);
  }
  try_reads(to);
}

void SimNetwork::drop_in_flight(SimEndpoint* to) {
  to->in_flight.clear();
  to->in_flight_bytes = 0;
}

void SimNetwork::send_reset(SimEndpoint* from) {
  if (from->reset_sent) return;
  from->reset_sent = true;
  note("send reset", from->connection->number, from == &from->connection->client ? 0 : 1);
  drop_in_flight(from);
  from->received.clear();
  from->outbox.clear();
  drop_in_flight(from->other);
  schedule(delivery_delay(), [this, to = share(from->other)] { meet_reset(to.get()); });
}

void SimNetwork::meet_reset(SimEndpoint* endpoint) {
  if (endpoint->reset || endpoint->reset_sent) return;
  endpoint->reset = true;
  note("meet reset", endpoint->connection->number, endpoint == &endpoint->connection->client ? 0 : 1);
  endpoint->outbox.clear();
  drop_in_flight(endpoint);
  if (!endpoint->open || chance(faults_.reset_discards_received)) endpoint->received.clear();
  if (!endpoint->open) return;
  if (!endpoint->established) return fail_connect(endpoint, Status::connection_reset);
  on_room(endpoint);
  try_reads(endpoint);
}

void SimNetwork::close_endpoint(SimEndpoint* endpoint, CloseMode mode) {
  if (!endpoint->open) return;
  const std::shared_ptr<SimEndpoint> held = share(endpoint);
  endpoint->open = false;
  endpoint->socket = nullptr;
  if (endpoint->reset || endpoint->reset_sent) {
    endpoint->received.clear();
    return;
  }
  if (!endpoint->established) {
    // The listener's side may already believe in this connection.
    if (endpoint->other->established) send_reset(endpoint);
    return;
  }
  if (mode == CloseMode::reset || !endpoint->received.empty()) return send_reset(endpoint);
  endpoint->finish_wanted = true;
  pump_outbox(endpoint);
}

std::vector<std::uint8_t> SimNetwork::consume(SimEndpoint* endpoint, std::size_t max) {
  IOCP_CHECK(max > 0 && !endpoint->received.empty());
  std::size_t count = std::min({max, endpoint->received.size(), std::size_t{UINT32_MAX}});
  if (!endpoint->scripted && chance(faults_.partial_read)) count = pick(1, count);
  note("consume", endpoint->connection->number, endpoint == &endpoint->connection->client ? 0 : 1, count);
  return endpoint->received.pop(count);
}

void SimNetwork::on_room(SimEndpoint* endpoint) {
  if (endpoint->scripted) return pump_outbox(endpoint);
  Socket* socket = endpoint->socket;
  if (socket != nullptr && socket->write != nullptr && !socket->write->settled) try_write(socket->write);
}

// Also serves ends that a port closed: their outbox is empty and only the FIN is left to send.
void SimNetwork::pump_outbox(SimEndpoint* endpoint) {
  if (!endpoint->established || endpoint->reset || endpoint->reset_sent) return;
  while (!endpoint->outbox.empty() && room(*endpoint) > 0) {
    std::size_t count = std::min(endpoint->outbox.size(), room(*endpoint));
    if (chance(faults_.partial_write)) count = pick(1, count);
    transmit(endpoint, endpoint->outbox.pop(count));
  }
  if (endpoint->finish_wanted && endpoint->outbox.empty()) send_fin(endpoint);
}

Status SimNetwork::write_failure(const SimEndpoint* endpoint) {
  if (endpoint->reset) {
    return chance(faults_.broken_pipe_after_reset) ? Status::broken_pipe : Status::connection_reset;
  }
  return endpoint->fin_sent ? Status::broken_pipe : Status::ok;
}

}  // namespace iocp
