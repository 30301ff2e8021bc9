// The life of one operation in the simulator: begun, settled (its result is final), made ready (wait() may return
// it), retired (returned, and the caller's again). Exactly-once and ownership are asserted on each of these edges.
#include <algorithm>
#include <cstring>
#include <new>

#include "port/check.h"
#include "port/sim/sim_network.h"

namespace iocp {

namespace {

// What the simulator keeps in Operation::backend. The number must name the same pending operation: a caller who
// moved, overwrote or re-submitted a submitted operation is found out.
struct BackendMark {
  SimPending* pending;
  std::uint64_t number;
};
static_assert(sizeof(BackendMark) <= sizeof(Operation::backend));

std::uint64_t hash_memory(const void* data, std::size_t size, std::uint64_t hash) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  for (; size >= sizeof(std::uint64_t); size -= sizeof(std::uint64_t), bytes += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  }
  for (; size > 0; --size, ++bytes) hash = (hash ^ *bytes) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 29);
}

// Covers everything rule 3 of port.h lends to the port: the read target, the slices and what they point to.
std::uint64_t checksum(const SimPending& pending) {
  std::uint64_t hash = hash_memory(pending.target.data(), pending.target.size(), 1);
  for (const ConstBytes slice : pending.slices) {
    const std::uintptr_t place = reinterpret_cast<std::uintptr_t>(slice.data());
    hash = hash_memory(&place, sizeof place, hash + slice.size());
    hash = hash_memory(slice.data(), slice.size(), hash);
  }
  return hash;
}

void check_memory_untouched(const SimPending& pending) {
  const bool submitted_memory_is_unchanged = checksum(pending) == pending.checksum;
  IOCP_CHECK(submitted_memory_is_unchanged);
}

std::vector<std::uint8_t> gather(std::span<const ConstBytes> slices, std::size_t count) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(count);
  for (const ConstBytes slice : slices) {
    const std::size_t taken = std::min(slice.size(), count - bytes.size());
    bytes.insert(bytes.end(), slice.begin(), slice.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  return bytes;
}

}  // namespace

SimPending* SimNetwork::begin(Operation* operation, OperationKind kind, SimPort* port, Socket* socket) {
  IOCP_CHECK(operation != nullptr && operation->phase == OperationPhase::idle);
  auto pending = std::make_unique<SimPending>();
  pending->number = ++operation_count_;
  pending->operation = operation;
  pending->kind = kind;
  pending->port = port;
  pending->socket = socket;
  pending->checksum = checksum(*pending);
  operation->kind = kind;
  operation->phase = OperationPhase::submitted;
  new (operation->backend) BackendMark{pending.get(), pending->number};
  ++port->operations;
  if (socket != nullptr) socket->operations.push_back(pending.get());
  note("submit", pending->number, static_cast<std::uint64_t>(kind));
  SimPending* raw = pending.get();
  pending_.emplace(raw->number, std::move(pending));
  return raw;
}

void SimNetwork::lend_memory(SimPending* pending, MutableBytes target, std::span<const ConstBytes> slices) {
  pending->target = target;
  pending->slices = slices;
  pending->checksum = checksum(*pending);
}

bool SimNetwork::meets_shortage(SimPending* pending) {
  std::size_t written = 0;
  for (const ConstBytes slice : pending->slices) written += slice.size();
  const bool rolled = chance(faults_.no_buffer_space);
  const bool locks_too_much = locked_read_bytes_ + pending->target.size() > faults_.lockable_read_bytes;
  if (!rolled && written <= faults_.largest_write_bytes && (pending->target.empty() || !locks_too_much)) {
    locked_read_bytes_ += pending->locked = pending->target.size();
    return false;
  }
  settle(pending, shortage(), 0);
  return true;
}

SimPending* SimNetwork::pending_of(const Operation* operation) {
  IOCP_CHECK(operation->phase == OperationPhase::submitted);
  BackendMark mark;
  std::memcpy(&mark, operation->backend, sizeof mark);
  IOCP_CHECK(mark.pending != nullptr && mark.pending->number == mark.number);
  IOCP_CHECK(mark.pending->operation == operation);
  return mark.pending;
}

SimPending* SimNetwork::find_pending(std::uint64_t number) {
  const auto found = pending_.find(number);
  return found == pending_.end() ? nullptr : found->second.get();
}

Submission SimNetwork::finish_submit(SimPending* pending) {
  pending->submitting = false;
  if (!pending->settled) return Submission{};
  if (chance(faults_.pending_when_ready)) {
    make_ready(pending);
    return Submission{};
  }
  const Completion completion = retire(pending);
  return Submission{false, completion.status, completion.bytes};
}

void SimNetwork::settle(SimPending* pending, Status status, std::uint32_t bytes) {
  IOCP_CHECK(!pending->settled);
  pending->settled = true;
  locked_read_bytes_ -= std::exchange(pending->locked, 0);
  pending->status = status;
  pending->bytes = bytes;
  note("settle", pending->number, static_cast<std::uint64_t>(status), bytes);
  if (Socket* socket = pending->socket; socket != nullptr) {
    std::erase(socket->reads, pending);
    std::erase(socket->zero_byte_reads, pending);
    if (socket->listener != nullptr) std::erase(socket->listener->accepts, pending);
    if (pending->kind == OperationKind::connect && status != Status::ok && socket->endpoint != nullptr) {
      // The attempt is over; a late answer of the listener must find nobody.
      close_endpoint(std::exchange(socket->endpoint, nullptr).get(), CloseMode::reset);
    }
  }
  if (!pending->submitting) make_ready(pending);
}

void SimNetwork::make_ready(SimPending* pending) {
  schedule(completion_delay(), [this, number = pending->number] {
    SimPending* settled = find_pending(number);
    IOCP_CHECK(settled != nullptr);
    settled->port->ready.push_back(settled);
  });
}

void SimNetwork::cancel(SimPending* pending) {
  note("cancel", pending->number);
  // A request takes its time, and the result may win the race.
  schedule(completion_delay(), [this, number = pending->number] {
    SimPending* found = find_pending(number);
    if (found != nullptr && !found->settled) settle(found, Status::cancelled, 0);
  });
}

void SimNetwork::cancel_all(Socket* socket) {
  for (SimPending* pending : std::exchange(socket->operations, {})) {
    if (!pending->settled) settle(pending, Status::cancelled, 0);
    pending->socket = nullptr;
  }
}

Completion SimNetwork::retire(SimPending* pending) {
  Operation* operation = pending->operation;
  IOCP_CHECK(pending_of(operation) == pending && operation->kind == pending->kind && pending->settled);
  check_memory_untouched(*pending);
  IOCP_CHECK(pending->staged.size() <= pending->target.size());
  std::copy(pending->staged.begin(), pending->staged.end(), pending->target.begin());
  if (pending->kind == OperationKind::accept) {
    auto* accept = static_cast<AcceptOperation*>(operation);
    accept->accepted = pending->accepted;
    accept->peer = pending->peer;
  }
  if (Socket* socket = pending->socket; socket != nullptr) {
    std::erase(socket->operations, pending);
    if (socket->write == pending) socket->write = nullptr;
    if (socket->hang_up == pending) socket->hang_up = nullptr;
    if (socket->connect == pending) socket->connect = nullptr;
  }
  note("retire", pending->number, static_cast<std::uint64_t>(pending->status), pending->bytes);
  note_bytes(pending->staged);
  const Completion completion{operation, pending->status, pending->bytes};
  --pending->port->operations;
  // From here the operation and its memory are the caller's again.
  std::memset(operation->backend, 0, sizeof operation->backend);
  operation->phase = OperationPhase::idle;
  pending_.erase(pending->number);
  return completion;
}

// It has moved nothing, and what it could have moved is for whoever asks next.
bool SimNetwork::fails_while_pending(SimPending* pending) {
  if (pending->submitting || !chance(faults_.pending_no_buffer_space)) return false;
  settle(pending, shortage(), 0);
  return true;
}

// False: it would block.
bool SimNetwork::try_read(SimPending* pending, SimEndpoint* endpoint) {
  PortCounters& counters = pending->port->counters;
  if (endpoint->readable() && fails_while_pending(pending)) return true;
  if (!endpoint->received.empty()) {
    pending->staged = consume(endpoint, pending->target.size());
    ++counters.reads;
    settle(pending, Status::ok, static_cast<std::uint32_t>(pending->staged.size()));
    on_room(endpoint->other);
    return true;
  }
  if (!endpoint->reset && !endpoint->fin_arrived) return false;
  ++counters.reads;
  settle(pending, endpoint->reset ? Status::connection_reset : Status::ok, 0);
  return true;
}

// Tells everybody who waits on this end what it has to tell by now.
void SimNetwork::try_reads(SimEndpoint* endpoint) {
  Socket* socket = endpoint->socket;
  if (socket == nullptr) return;
  while (!socket->reads.empty() && try_read(socket->reads.front(), endpoint)) continue;
  while (!socket->zero_byte_reads.empty() && endpoint->readable()) {
    if (fails_while_pending(socket->zero_byte_reads.front())) continue;
    const bool tells = endpoint->reset && endpoint->received.empty() && chance(faults_.zero_byte_read_tells_reset);
    settle(socket->zero_byte_reads.front(), tells ? Status::connection_reset : Status::ok, 0);
  }
  if (socket->hang_up != nullptr && !socket->hang_up->settled && (endpoint->fin_arrived || endpoint->reset)) {
    settle(socket->hang_up, endpoint->reset ? Status::connection_reset : Status::ok, 0);
  }
}

// Settled before anything moves: what the bytes set off at once may come back to this socket.
void SimNetwork::send_pending(SimPending* pending, std::vector<std::uint8_t> bytes) {
  SimEndpoint* endpoint = pending->socket->endpoint.get();
  settle(pending, Status::ok, static_cast<std::uint32_t>(bytes.size()));
  transmit(endpoint, std::move(bytes));
}

void SimNetwork::try_transmit(SimPending* pending) {
  SimEndpoint* endpoint = pending->socket->endpoint.get();
  PortCounters& counters = pending->port->counters;
  if (const Status failure = write_failure(endpoint); failure != Status::ok) return settle(pending, failure, 0);
  check_memory_untouched(*pending);
  const ConstBytes head = pending->slices.front();
  std::size_t count = room(*endpoint);
  if (count == 0) {
    ++counters.blocked_writes;
    return;
  }
  count = std::min<std::size_t>(count, head.size() + pending->file_length);
  if (chance(faults_.partial_write)) count = pick(1, count);
  std::vector<std::uint8_t> bytes(head.begin(),
                                  head.begin() + static_cast<std::ptrdiff_t>(std::min(count, head.size())));
  const std::size_t wanted = std::min<std::size_t>(count - bytes.size(), pending->file_length);
  if (wanted != 0) {
    sim_meddle(*pending->file);
    if (!chance(faults_.file_io_error)) {
      std::vector<std::uint8_t> range(wanted);
      range.resize(disk_.read(*pending->file->node, pending->file_offset, range));
      if (range.empty() && bytes.empty()) return settle(pending, Status::file_shrank, 0);
      bytes.insert(bytes.end(), range.begin(), range.end());
    } else if (bytes.empty()) {
      return settle(pending, Status::io_error, 0);
    }
  }
  ++counters.transmits;
  counters.transmit_bytes += bytes.size();
  send_pending(pending, std::move(bytes));
}

void SimNetwork::try_write(SimPending* pending) {
  if (pending->kind == OperationKind::transmit) return try_transmit(pending);
  SimEndpoint* endpoint = pending->socket->endpoint.get();
  PortCounters& counters = pending->port->counters;
  if (const Status failure = write_failure(endpoint); failure != Status::ok) return settle(pending, failure, 0);
  check_memory_untouched(*pending);
  std::size_t total = 0;
  for (const ConstBytes slice : pending->slices) total += slice.size();
  if (total == 0) return settle(pending, Status::ok, 0);
  std::size_t count = std::min({total, room(*endpoint), std::size_t{UINT32_MAX}});
  if (count == 0) {
    ++counters.blocked_writes;
    return;
  }
  if (fails_while_pending(pending)) return;
  if (chance(faults_.partial_write)) count = pick(1, count);
  ++counters.writes;
  send_pending(pending, gather(pending->slices, count));
}

Status SimNetwork::write_now(SimPort* port, SimEndpoint* endpoint, std::span<const ConstBytes> slices,
                             std::uint32_t* bytes) {
  PortCounters& counters = port->counters;
  if (const Status failure = write_failure(endpoint); failure != Status::ok) return failure;
  std::size_t total = 0;
  for (const ConstBytes slice : slices) total += slice.size();
  std::size_t count = std::min({total, room(*endpoint), std::size_t{UINT32_MAX}});
  if (count == 0) {
    ++counters.blocked_writes;
    return Status::would_block;
  }
  if (chance(faults_.partial_write)) count = pick(1, count);
  ++counters.writes;
  *bytes = static_cast<std::uint32_t>(count);
  transmit(endpoint, gather(slices, count));
  return Status::ok;
}

void SimNetwork::expect_spurious(SimPending* pending) {
  if (!chance(faults_.spurious_zero_byte_read)) return;
  const std::uint64_t latest = std::max<std::uint64_t>(faults_.delivery_delay_max_ms, 1);
  schedule(pick(1, latest), [this, number = pending->number] {
    SimPending* found = find_pending(number);
    if (found == nullptr || found->settled) return;
    note("spurious", number);
    settle(found, Status::ok, 0);
  });
}

Socket* SimNetwork::make_socket(SimPort* port, Family family) {
  auto socket = std::make_unique<Socket>();
  socket->port = port;
  socket->family = family;
  ++port->sockets;
  Socket* raw = socket.get();
  sockets_.emplace(raw, std::move(socket));
  return raw;
}

void SimNetwork::free_socket(Socket* socket) {
  unbind_local(socket);
  --socket->port->sockets;
  sockets_.erase(socket);
}

void SimNetwork::check_socket(const SimPort* port, const Socket* socket) const {
  const bool socket_is_open_and_of_this_port = sockets_.contains(socket) && socket->port == port;
  IOCP_CHECK(socket_is_open_and_of_this_port);
}

}  // namespace iocp
