// class Port on top of the simulated network: the same contract as every other backend, in virtual time.
// Single-threaded whatever port.h allows. Never asks the operating system for anything.
#include "port/port.h"

#include <algorithm>

#include "port/check.h"
#include "port/sim/sim_names.h"
#include "port/sim/sim_network.h"
#include "port/sim/sim_world.h"

namespace iocp {

struct Port::State : SimPort {};

const bool Port::kSharedByWorkers = false;
const bool Port::kPendingReadsSaveCalls = false;
const std::uint32_t Port::kBestTransmitBytes = 1024 * 1024;

const char* Port::name() noexcept { return "sim"; }

namespace {

// Connected, or else the status a system would answer with.
Status check_connected(const Socket* socket) {
  IOCP_CHECK(socket->listener == nullptr);
  return socket->endpoint != nullptr && socket->endpoint->established ? Status::ok : Status::not_connected;
}

Status check_target(const Socket* socket, const Address& to, const std::string& path) {
  if (to.family != socket->family) return Status::address_family_not_supported;
  return to.family == Family::local ? sim_check_path(path) : Status::ok;
}

// Sleeping is letting virtual time pass, event by event, until this port has something to tell.
void sleep_until_ready(const SimPort& port, std::int32_t timeout_ms) {
  SimNetwork& network = *port.network;
  const std::uint64_t deadline =
      timeout_ms < 0 ? SimWorld::kNever : network.now_ms() + static_cast<std::uint64_t>(timeout_ms);
  while (port.ready.empty()) {
    const std::uint64_t due = network.next_due_ms();
    if (due == SimWorld::kNever || due > deadline) {
      const bool simulation_is_stuck = timeout_ms < 0;
      IOCP_CHECK(!simulation_is_stuck);
      return network.advance_to(deadline);
    }
    network.advance_to(due);
  }
}

SimPending* take_ready(SimPort* port) {
  SimNetwork& network = *port->network;
  std::size_t index = 0;
  if (port->ready.size() > 1 && network.chance(network.faults().reorder_completions)) {
    index = network.pick(0, port->ready.size() - 1);
  }
  SimPending* pending = port->ready[index];
  port->ready.erase(port->ready.begin() + static_cast<std::ptrdiff_t>(index));
  return pending;
}

}  // namespace

Port::Port() : state_(std::make_unique<State>()) {}

Port::~Port() { IOCP_CHECK(state_->network == nullptr); }

Status Port::open() noexcept {
  IOCP_CHECK(state_->network == nullptr);
  state_->network = SimWorld::current().network().shared_from_this();
  ++state_->network->open_ports;
  return Status::ok;
}

void Port::close() noexcept {
  if (state_->network == nullptr) return;
  IOCP_CHECK(state_->sockets == 0 && state_->operations == 0);
  --state_->network->open_ports;
  state_->network = nullptr;
}

std::size_t Port::wait(std::span<Completion> out, std::int32_t timeout_ms) noexcept {
  IOCP_CHECK(state_->network != nullptr && !out.empty());
  ++state_->counters.waits;
  if (state_->ready.empty() && timeout_ms != 0) sleep_until_ready(*state_, timeout_ms);
  SimNetwork& network = *state_->network;
  std::size_t count = std::min(out.size(), state_->ready.size());
  if (count > 1 && network.chance(network.faults().short_batch)) count = network.pick(1, count);
  for (std::size_t index = 0; index < count; ++index) out[index] = network.retire(take_ready(state_.get()));
  state_->counters.completions += count;
  return count;
}

void Port::post(Operation* operation) noexcept {
  SimNetwork& network = *state_->network;
  SimPending* pending = network.begin(operation, OperationKind::post, state_.get(), nullptr);
  network.settle(pending, Status::ok, 0);
  pending->submitting = false;
  // With nothing queued a thread could have been asleep; the same guess the other backends make.
  if (state_->ready.empty()) ++state_->counters.wakes;
  state_->ready.push_back(pending);
  ++state_->counters.posts;
}

bool Port::has_queued() const noexcept { return !state_->ready.empty(); }

int Port::host_descriptor() const noexcept { return -1; }

PortCounters Port::counters() const noexcept { return state_->counters; }

Status Port::listen(const ListenOptions& options, Socket** listener, Address* bound) noexcept {
  std::shared_ptr<SimListener> made;
  const Status status = state_->network->make_listener(options, &made);
  if (status != Status::ok) return status;
  *bound = made->address;
  *listener = state_->network->make_socket(state_.get(), options.address.family);
  (*listener)->listener = std::move(made);
  return Status::ok;
}

Status Port::attach(RawSocket raw, const SocketOptions&, Socket** out) noexcept {
  SimNetwork& network = *state_->network;
  IOCP_CHECK(SimNetwork::network_of(raw) == &network);
  std::shared_ptr<SimEndpoint> endpoint = network.take_raw(raw);
  if (network.chance(network.faults().attach_fails)) {
    network.close_endpoint(endpoint.get(), CloseMode::reset);
    return Status::invalid_argument;
  }
  Socket* socket = network.make_socket(state_.get(), endpoint->local.family);
  endpoint->socket = socket;
  socket->endpoint = std::move(endpoint);
  *out = socket;
  return Status::ok;
}

void Port::discard(RawSocket raw) noexcept {
  SimNetwork* network = SimNetwork::network_of(raw);
  network->close_endpoint(network->take_raw(raw).get(), CloseMode::reset);
}

Status Port::open_stream(Family family, const SocketOptions&, const Address* local, Socket** out) noexcept {
  SimNetwork& network = *state_->network;
  if (family == Family::none) return Status::address_family_not_supported;
  if (network.chance(network.faults().open_too_many_open_files)) return Status::too_many_open_files;
  Socket* socket = network.make_socket(state_.get(), family);
  if (local != nullptr) {
    if (const Status status = network.bind_local(socket, *local); status != Status::ok) {
      network.free_socket(socket);
      return status;
    }
  }
  *out = socket;
  return Status::ok;
}

Status Port::shutdown_write(Socket* socket) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), socket);
  if (const Status status = check_connected(socket); status != Status::ok) return status;
  SimEndpoint* endpoint = socket->endpoint.get();
  if (endpoint->reset) return Status::not_connected;
  network.send_fin(endpoint);
  // A write that is still waiting for room has missed its time.
  network.on_room(endpoint);
  return Status::ok;
}

void Port::close_socket(Socket* socket, CloseMode mode) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), socket);
  network.note("close socket", static_cast<std::uint64_t>(mode));
  network.cancel_all(socket);
  if (socket->listener != nullptr) network.close_listener(socket->listener.get());
  if (socket->endpoint != nullptr) network.close_endpoint(socket->endpoint.get(), mode);
  network.free_socket(socket);
}

Address Port::local_address(const Socket* socket) const noexcept {
  state_->network->check_socket(state_.get(), socket);
  if (socket->listener != nullptr) return socket->listener->address;
  return socket->endpoint != nullptr ? socket->endpoint->local : socket->bound;
}

Address Port::peer_address(const Socket* socket) const noexcept {
  state_->network->check_socket(state_.get(), socket);
  return socket->endpoint != nullptr ? socket->endpoint->remote : Address{};
}

TcpInfo Port::tcp_info(const Socket* socket) const noexcept {
  state_->network->check_socket(state_.get(), socket);
  TcpInfo info;
  if (socket->endpoint == nullptr || !socket->endpoint->established) return info;
  if (socket->family == Family::local) return info;
  const SimFaults& faults = state_->network->faults();
  info.rtt_us = 1000 * (faults.delivery_delay_min_ms + faults.delivery_delay_max_ms) + 1;
  info.rtt_variance_us = 500 * (faults.delivery_delay_max_ms - faults.delivery_delay_min_ms);
  info.congestion_window_segments = 10;
  info.unacknowledged_segments = static_cast<std::uint32_t>(socket->endpoint->other->in_flight.size());
  return info;
}

Submission Port::submit_accept(AcceptOperation* operation, Socket* listener) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), listener);
  IOCP_CHECK(listener->listener != nullptr);
  SimPending* pending = network.begin(operation, OperationKind::accept, state_.get(), listener);
  if (network.chance(network.faults().accept_no_buffer_space)) {
    network.settle(pending, network.shortage(), 0);
  } else {
    listener->listener->accepts.push_back(pending);
    network.pump_accepts(listener->listener.get());
  }
  return network.finish_submit(pending);
}

Submission Port::submit_connect(Operation* operation, Socket* socket, const Address& to,
                                const std::string& path) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), socket);
  IOCP_CHECK(socket->listener == nullptr && socket->endpoint == nullptr && !socket->connect_submitted);
  socket->connect_submitted = true;
  ++state_->counters.connects;
  SimPending* pending = network.begin(operation, OperationKind::connect, state_.get(), socket);
  socket->connect = pending;
  if (const Status status = check_target(socket, to, path); status != Status::ok) {
    network.settle(pending, status, 0);
    return network.finish_submit(pending);
  }
  const std::shared_ptr<SimEndpoint> client = network.make_client(to, path, socket->bound);
  client->socket = socket;
  socket->endpoint = client;
  network.start_connect(client);
  return network.finish_submit(pending);
}

Submission Port::submit_zero_byte_read(Operation* operation, Socket* socket) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), socket);
  ++state_->counters.zero_byte_reads;
  SimPending* pending = network.begin(operation, OperationKind::zero_byte_read, state_.get(), socket);
  if (const Status status = check_connected(socket); status != Status::ok) {
    network.settle(pending, status, 0);
  } else if (!network.meets_shortage(pending)) {
    socket->zero_byte_reads.push_back(pending);
    network.try_reads(socket->endpoint.get());
    if (!pending->settled) network.expect_spurious(pending);
  }
  return network.finish_submit(pending);
}

Submission Port::submit_read(Operation* operation, Socket* socket, MutableBytes target) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), socket);
  IOCP_CHECK(!target.empty());
  SimPending* pending = network.begin(operation, OperationKind::read, state_.get(), socket);
  network.lend_memory(pending, target, {});
  if (const Status status = check_connected(socket); status != Status::ok) {
    network.settle(pending, status, 0);
  } else if (!network.meets_shortage(pending)) {
    socket->reads.push_back(pending);
    network.try_reads(socket->endpoint.get());
  }
  return network.finish_submit(pending);
}

Submission Port::submit_write(Operation* operation, Socket* socket, std::span<const ConstBytes> slices) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), socket);
  IOCP_CHECK(socket->write == nullptr);
  IOCP_CHECK(!slices.empty() && slices.size() <= kMaxSlices);
  SimPending* pending = network.begin(operation, OperationKind::write, state_.get(), socket);
  network.lend_memory(pending, {}, slices);
  socket->write = pending;
  if (const Status status = check_connected(socket); status != Status::ok) {
    network.settle(pending, status, 0);
  } else if (!network.meets_shortage(pending)) {
    network.try_write(pending);
  }
  return network.finish_submit(pending);
}

Submission Port::submit_transmit(TransmitOperation* operation, Socket* socket, const File& file, std::uint64_t offset,
                                 std::uint32_t length, ConstBytes head) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), socket);
  IOCP_CHECK(socket->write == nullptr && file.is_open());
  IOCP_CHECK((length != 0 || !head.empty()) && length <= kMostTransmitBytes && head.size() <= kMostTransmitBytes);
  SimPending* pending = network.begin(operation, OperationKind::transmit, state_.get(), socket);
  operation->head = head;
  pending->file = &sim_file_of(file.raw());
  pending->file_offset = offset;
  pending->file_length = length;
  network.lend_memory(pending, {}, std::span(&operation->head, 1));
  socket->write = pending;
  if (const Status status = check_connected(socket); status != Status::ok) {
    network.settle(pending, status, 0);
  } else if (offset > static_cast<std::uint64_t>(INT64_MAX) - length) {
    network.settle(pending, Status::file_too_large, 0);
  } else if (!network.meets_shortage(pending)) {
    network.try_write(pending);
  }
  return network.finish_submit(pending);
}

Submission Port::submit_hang_up(Operation* operation, Socket* socket) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), socket);
  IOCP_CHECK(socket->hang_up == nullptr);
  SimPending* pending = network.begin(operation, OperationKind::hang_up, state_.get(), socket);
  socket->hang_up = pending;
  if (const Status status = check_connected(socket); status != Status::ok) {
    network.settle(pending, status, 0);
  } else if (!network.meets_shortage(pending)) {
    network.try_reads(socket->endpoint.get());
  }
  return network.finish_submit(pending);
}

void Port::cancel(Operation* operation, Socket* socket) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), socket);
  // Its completion was handed out already: the request came too late, which is no error.
  if (operation->phase == OperationPhase::idle) return;
  SimPending* pending = SimNetwork::pending_of(operation);
  IOCP_CHECK(pending->socket == socket);
  if (!pending->settled) network.cancel(pending);
}

Status Port::read_now(Socket* socket, MutableBytes target, std::uint32_t* bytes) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), socket);
  IOCP_CHECK(!target.empty());
  *bytes = 0;
  if (const Status status = check_connected(socket); status != Status::ok) return status;
  if (network.chance(network.faults().read_now_no_buffer_space)) return network.shortage();
  SimEndpoint* endpoint = socket->endpoint.get();
  if (!endpoint->received.empty()) {
    const std::vector<std::uint8_t> taken = network.consume(endpoint, target.size());
    std::copy(taken.begin(), taken.end(), target.begin());
    *bytes = static_cast<std::uint32_t>(taken.size());
    network.note_bytes(taken);
    network.on_room(endpoint->other);
  }
  if (*bytes != 0 || endpoint->reset || endpoint->fin_arrived) {
    ++state_->counters.reads;
    return *bytes == 0 && endpoint->reset ? Status::connection_reset : Status::ok;
  }
  ++state_->counters.empty_reads;
  return Status::would_block;
}

Status Port::write_now(Socket* socket, std::span<const ConstBytes> slices, std::uint32_t* bytes) noexcept {
  SimNetwork& network = *state_->network;
  network.check_socket(state_.get(), socket);
  IOCP_CHECK(socket->write == nullptr && !slices.empty() && slices.size() <= kMaxSlices);
  *bytes = 0;
  if (const Status status = check_connected(socket); status != Status::ok) return status;
  if (network.chance(network.faults().no_buffer_space)) return Status::no_buffer_space;
  return network.write_now(state_.get(), socket->endpoint.get(), slices, bytes);
}

}  // namespace iocp
