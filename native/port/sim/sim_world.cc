// The test-side face of the simulator: SimWorld, scripted peers, presets of faults. Only forwards; the behaviour
// lives in SimNetwork.
#include "port/sim/sim_world.h"

#include <algorithm>
#include <utility>

#include "port/check.h"
#include "port/sim/sim_network.h"

namespace iocp {

namespace {

SimWorld* current_world = nullptr;

// A handle without a connection behaves as a closed one.
const SimEndpoint& closed_endpoint() {
  static const auto* endpoint = new SimEndpoint;
  return *endpoint;
}

}  // namespace

SimFaults SimFaults::gentle() {
  SimFaults faults;
  faults.partial_read = 200;
  faults.partial_write = 200;
  faults.delivery_delay_max_ms = 5;
  faults.completion_delay_max_ms = 2;
  faults.reorder_completions = 300;
  faults.pending_when_ready = 300;
  faults.short_batch = 200;
  faults.spurious_zero_byte_read = 50;
  faults.send_buffer_bytes = 65'536;
  faults.file_short_read = 200;
  faults.file_short_write = 200;
  faults.reserve_not_supported = 200;
  return faults;
}

SimFaults SimFaults::hostile() {
  SimFaults faults = gentle();
  faults.delivery_delay_max_ms = 50;
  faults.completion_delay_max_ms = 10;
  faults.spurious_zero_byte_read = 150;
  faults.send_buffer_bytes = 4096;
  faults.connection_reset = 10;
  faults.reset_discards_received = 500;
  faults.broken_pipe_after_reset = 500;
  faults.zero_byte_read_tells_reset = 500;
  faults.no_buffer_space = 10;
  faults.pending_no_buffer_space = 10;
  faults.read_now_no_buffer_space = 10;
  faults.accept_no_buffer_space = 30;
  faults.accept_too_many_open_files = 30;
  faults.accept_fails = 30;
  faults.attach_fails = 30;
  faults.open_too_many_open_files = 30;
  faults.connect_refused = 30;
  faults.connect_times_out = 30;
  faults.file_io_error = 2;
  faults.file_open_fails = 20;
  faults.disk_full = 2;
  faults.file_shrinks = 2;
  faults.file_grows = 5;
  return faults;
}

// --- SimPeer ---------------------------------------------------------------------------------------------------

SimPeer::SimPeer() = default;

SimPeer::SimPeer(std::weak_ptr<SimNetwork> network, std::shared_ptr<SimEndpoint> endpoint)
    : network_(std::move(network)), endpoint_(std::move(endpoint)) {}

SimPeer::SimPeer(SimPeer&&) noexcept = default;

SimPeer& SimPeer::operator=(SimPeer&& other) noexcept {
  if (this == &other) return *this;
  close();
  network_ = std::move(other.network_);
  endpoint_ = std::move(other.endpoint_);
  return *this;
}

SimPeer::~SimPeer() { close(); }

void SimPeer::send(ConstBytes bytes) {
  const auto network = network_.lock();
  if (network == nullptr || endpoint_ == nullptr || bytes.empty()) return;
  SimEndpoint& endpoint = *endpoint_;
  const bool deaf = endpoint.reset || endpoint.reset_sent || endpoint.failure != Status::ok;
  if (!endpoint.open || endpoint.finish_wanted || deaf) return;
  endpoint.outbox.push(bytes);
  network->pump_outbox(&endpoint);
}

void SimPeer::send(std::string_view text) {
  send(ConstBytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

std::vector<std::uint8_t> SimPeer::receive(std::size_t max) {
  const auto network = network_.lock();
  if (network == nullptr || max == 0 || readable() == 0) return {};
  std::vector<std::uint8_t> bytes = network->consume(endpoint_.get(), max);
  network->on_room(endpoint_->other);
  return bytes;
}

std::string SimPeer::receive_text(std::size_t max) {
  const std::vector<std::uint8_t> bytes = receive(max);
  return std::string(bytes.begin(), bytes.end());
}

void SimPeer::finish() {
  const auto network = network_.lock();
  if (network == nullptr || endpoint_ == nullptr || !endpoint_->open) return;
  endpoint_->finish_wanted = true;
  network->pump_outbox(endpoint_.get());
}

void SimPeer::reset() {
  const auto network = network_.lock();
  if (network != nullptr && endpoint_ != nullptr) network->close_endpoint(endpoint_.get(), CloseMode::reset);
}

void SimPeer::close() {
  const auto network = network_.lock();
  if (network != nullptr && endpoint_ != nullptr) network->close_endpoint(endpoint_.get(), CloseMode::normal);
}

bool SimPeer::connected() const {
  return endpoint_ != nullptr && endpoint_->open && endpoint_->established && !endpoint_->reset;
}

bool SimPeer::ended() const { return endpoint_ != nullptr && endpoint_->fin_arrived && readable() == 0; }

bool SimPeer::was_reset() const { return endpoint_ != nullptr && endpoint_->reset; }

Status SimPeer::status() const {
  if (endpoint_ == nullptr) return Status::not_connected;
  return endpoint_->reset ? Status::connection_reset : endpoint_->failure;
}

std::size_t SimPeer::readable() const {
  return endpoint_ != nullptr && endpoint_->open ? endpoint_->received.size() : 0;
}

std::size_t SimPeer::unsent() const { return endpoint_ != nullptr ? endpoint_->outbox.size() : 0; }

Address SimPeer::local_address() const { return (endpoint_ != nullptr ? *endpoint_ : closed_endpoint()).local; }

Address SimPeer::peer_address() const { return (endpoint_ != nullptr ? *endpoint_ : closed_endpoint()).remote; }

// --- SimPeerListener -------------------------------------------------------------------------------------------

SimPeerListener::SimPeerListener() = default;
SimPeerListener::SimPeerListener(SimPeerListener&&) noexcept = default;

SimPeerListener& SimPeerListener::operator=(SimPeerListener&& other) noexcept {
  if (this == &other) return *this;
  close();
  network_ = std::move(other.network_);
  listener_ = std::move(other.listener_);
  status_ = other.status_;
  return *this;
}

SimPeerListener::~SimPeerListener() { close(); }

Status SimPeerListener::status() const { return status_; }

Address SimPeerListener::address() const { return listener_ != nullptr ? listener_->address : Address{}; }

std::optional<SimPeer> SimPeerListener::accept() {
  if (network_.expired() || listener_ == nullptr || listener_->waiting.empty()) return std::nullopt;
  std::shared_ptr<SimEndpoint> endpoint = std::move(listener_->waiting.front());
  listener_->waiting.pop_front();
  endpoint->scripted = true;
  return SimPeer(network_, std::move(endpoint));
}

void SimPeerListener::close() {
  const auto network = network_.lock();
  if (network != nullptr && listener_ != nullptr) network->close_listener(listener_.get());
}

// --- SimWorld --------------------------------------------------------------------------------------------------

SimWorld::SimWorld(std::uint64_t seed, const SimFaults& faults)
    : network_(std::make_shared<SimNetwork>(seed, faults)) {}

SimWorld::~SimWorld() {
  IOCP_CHECK(network_->open_ports == 0);
  IOCP_CHECK(current_world != this);
}

SimWorld& SimWorld::current() {
  static auto* boring = new SimWorld(0);
  return current_world != nullptr ? *current_world : *boring;
}

std::uint64_t SimWorld::seed() const { return network_->seed(); }
const SimFaults& SimWorld::faults() const { return network_->faults(); }
void SimWorld::set_faults(const SimFaults& faults) { network_->set_faults(faults); }
std::uint64_t SimWorld::now_ms() const { return network_->now_ms(); }
std::uint64_t SimWorld::next_due_ms() const { return network_->next_due_ms(); }
void SimWorld::advance(std::uint64_t ms) { network_->advance_to(network_->now_ms() + ms); }

bool SimWorld::advance_until_idle(std::uint64_t limit_ms) {
  const std::uint64_t deadline = now_ms() + limit_ms;
  while (next_due_ms() <= deadline && next_due_ms() != kNever) network_->advance_to(next_due_ms());
  return next_due_ms() == kNever;
}

SimPeer SimWorld::connect_peer(const Address& listener, const Address& from) {
  std::shared_ptr<SimEndpoint> client = network_->make_client(listener, std::string(), from);
  client->scripted = true;
  network_->start_connect(client);
  return SimPeer(network_, std::move(client));
}

SimPeer SimWorld::connect_peer_path(const std::string& path) {
  Address local;
  local.family = Family::local;
  std::shared_ptr<SimEndpoint> client = network_->make_client(local, path, {});
  client->scripted = true;
  network_->start_connect(client);
  return SimPeer(network_, std::move(client));
}

SimPeerListener SimWorld::listen_peer(const Address& address, std::uint32_t backlog) {
  ListenOptions options;
  options.address = address;
  options.backlog = backlog;
  SimPeerListener listener;
  listener.network_ = network_;
  listener.status_ = network_->make_listener(options, &listener.listener_);
  return listener;
}

SimPeerListener SimWorld::listen_peer_path(const std::string& path, std::uint32_t backlog) {
  ListenOptions options;
  options.address.family = Family::local;
  options.path = path;
  options.backlog = backlog;
  SimPeerListener listener;
  listener.network_ = network_;
  listener.status_ = network_->make_listener(options, &listener.listener_);
  return listener;
}

SimDisk& SimWorld::disk() { return network_->disk(); }
SimAudit SimWorld::audit() const { return network_->audit(); }
std::uint64_t SimWorld::shortages() const { return network_->shortages(); }
std::uint64_t SimWorld::trace_hash() const { return network_->trace_hash(); }
void SimWorld::log_to(std::FILE* file) { network_->log_to(file); }

SimWorldScope::SimWorldScope(SimWorld& world) : previous_(std::exchange(current_world, &world)) {}
SimWorldScope::~SimWorldScope() { current_world = previous_; }

}  // namespace iocp
