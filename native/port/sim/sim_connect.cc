// How connections come to be: the handshake, the backlog, accepting, and raw sockets between accept and attach.
// It moves no stream bytes.
#include <algorithm>
#include <utility>

#include "port/check.h"
#include "port/sim/sim_names.h"
#include "port/sim/sim_network.h"

namespace iocp {

namespace {

constexpr std::uint64_t kHandshakeRetryMs = 1000;  // a full backlog drops the request; the client asks again
constexpr std::uint32_t kMostHandshakes = 7;

// Raw sockets are plain numbers and discard() is static, so the number alone must lead to its network. Numbers
// are never reused: a second attach() or discard() is always caught.
std::map<RawSocket, SimNetwork*>& raw_socket_owners() {
  static auto* owners = new std::map<RawSocket, SimNetwork*>;
  return *owners;
}

std::uintptr_t raw_socket_count = 0;

// Where "any address" as a target leads, as on Linux.
Address resolve_target(Address to) {
  if (to.family != Family::local && sim_is_wildcard(to)) {
    if (to.family == Family::ipv4) to.ip[0] = 127;
    to.ip[to.family == Family::ipv4 ? 3 : 15] = 1;
  }
  return to;
}

Address choose_source_ip(const Address& target) {
  Address source = sim_canonical(target);
  if (source.family == Family::ipv4 && sim_is_loopback(source)) source.ip = {127, 0, 0, 1};
  source.port = 0;
  return source;
}

}  // namespace

std::shared_ptr<SimEndpoint> SimNetwork::make_client(const Address& to, const std::string& path, const Address& from) {
  if (++connection_count_ % 256 == 0) forget_connections();
  auto connection = std::make_shared<SimConnection>();
  connection->number = connection_count_;
  connection->target = resolve_target(to);
  connection->path = path;
  SimEndpoint& client = connection->client;
  client.connection = connection->server.connection = connection.get();
  client.other = &connection->server;
  connection->server.other = &client;
  client.open = true;
  client.remote = connection->target;
  if (to.family == Family::local) {
    client.local.family = Family::local;
  } else {
    const bool chosen = from.family == Family::none || sim_is_wildcard(from);
    Address source = chosen ? choose_source_ip(connection->target) : sim_canonical(from);
    source.port = from.port != 0 ? from.port : ephemeral_port();
    client.local = to.family == Family::ipv6 ? sim_mapped(source) : source;
  }
  connections_.emplace(connection->number, connection);
  return share(&client);
}

void SimNetwork::start_connect(const std::shared_ptr<SimEndpoint>& client) {
  note("connect", client->connection->number, client->remote.port);
  const bool outside = client->remote.family != Family::local && !sim_is_inside(client->remote);
  const bool refused = chance(faults_.connect_refused);
  if (outside || (!refused && chance(faults_.connect_times_out))) {
    return schedule(std::max<std::uint64_t>(faults_.connect_timeout_ms, 1),
                    [this, client] { fail_connect(client.get(), Status::timed_out); });
  }
  if (refused) {
    return schedule(delivery_delay(), [this, client] { fail_connect(client.get(), Status::connection_refused); });
  }
  schedule(delivery_delay(), [this, client] { arrive_at_listener(client); });
}

void SimNetwork::arrive_at_listener(const std::shared_ptr<SimEndpoint>& client) {
  if (!client->open) return;
  SimConnection& connection = *client->connection;
  const std::shared_ptr<SimListener> listener = find_listener(connection);
  if (listener == nullptr) {
    const Status status = connection.target.family == Family::local ? Status::not_found : Status::connection_refused;
    return schedule(delivery_delay(), [this, client, status] { fail_connect(client.get(), status); });
  }
  if (listener->waiting.size() >= listener->backlog) {
    const bool again = ++connection.attempts < kMostHandshakes;
    return schedule(kHandshakeRetryMs << (connection.attempts - 1), [this, client, again] {
      if (again) return arrive_at_listener(client);
      fail_connect(client.get(), Status::timed_out);
    });
  }
  SimEndpoint& server = connection.server;
  const bool mapped = listener->address.family == Family::ipv6;
  server.local = mapped ? sim_mapped(sim_canonical(connection.target)) : sim_canonical(connection.target);
  server.remote = mapped ? sim_mapped(sim_canonical(client->local)) : sim_canonical(client->local);
  server.open = server.established = true;
  const std::uint64_t delay = delivery_delay();
  // Nothing the server says may overtake its consent.
  client->last_due_ms = now_ms_ + delay;
  schedule(delay, [this, client] { establish(client.get()); });
  listener->waiting.push_back(share(&server));
  pump_accepts(listener.get());
}

void SimNetwork::establish(SimEndpoint* client) {
  if (!client->open || client->reset) return;
  note("established", client->connection->number);
  client->established = true;
  if (client->scripted) return pump_outbox(client);
  SimPending* connect = client->socket->connect;
  IOCP_CHECK(connect != nullptr);
  // A settled one was cancelled after all; its completion closes this end.
  if (!connect->settled) settle(connect, Status::ok, 0);
}

void SimNetwork::fail_connect(SimEndpoint* client, Status status) {
  if (!client->open || client->established || client->failure != Status::ok) return;
  note("connect failed", client->connection->number, static_cast<std::uint64_t>(status));
  client->failure = status;
  if (client->scripted) {
    client->outbox.clear();
    return;
  }
  SimPending* connect = client->socket->connect;
  if (connect != nullptr && !connect->settled) settle(connect, status, 0);
}

void SimNetwork::close_listener(SimListener* listener) {
  if (!listener->open) return;
  listener->open = false;
  note("close listener", listener->address.port);
  std::erase_if(listeners_, [listener](const auto& entry) { return entry.get() == listener; });
  const auto waiting = std::exchange(listener->waiting, {});
  for (const auto& endpoint : waiting) close_endpoint(endpoint.get(), CloseMode::reset);
}

void SimNetwork::pump_accepts(SimListener* listener) {
  while (!listener->accepts.empty() && !listener->waiting.empty()) accept_one(listener);
}

void SimNetwork::accept_one(SimListener* listener) {
  SimPending* accept = listener->accepts.front();
  if (!accept->submitting && chance(faults_.accept_no_buffer_space)) {
    return settle(accept, shortage(), 0);
  }
  std::shared_ptr<SimEndpoint> endpoint = std::move(listener->waiting.front());
  listener->waiting.pop_front();
  accept->peer = endpoint->remote;
  Status status = Status::ok;
  if (chance(faults_.accept_too_many_open_files)) status = Status::too_many_open_files;
  if (status == Status::ok && chance(faults_.accept_fails)) status = Status::connection_aborted;
  if (status == Status::ok) {
    ++accept->port->counters.accepts;
    accept->accepted = keep_raw(std::move(endpoint));
  }
  // settle() takes the operation off the listener, so a reset that comes back at once finds nothing half done.
  settle(accept, status, 0);
  if (status != Status::ok) close_endpoint(endpoint.get(), CloseMode::reset);
}

RawSocket SimNetwork::keep_raw(std::shared_ptr<SimEndpoint> endpoint) {
  const RawSocket raw{++raw_socket_count};
  raw_socket_owners().emplace(raw, this);
  raw_sockets_.emplace(raw, std::move(endpoint));
  return raw;
}

std::shared_ptr<SimEndpoint> SimNetwork::take_raw(RawSocket raw) {
  const auto found = raw_sockets_.find(raw);
  IOCP_CHECK(found != raw_sockets_.end());
  std::shared_ptr<SimEndpoint> endpoint = std::move(found->second);
  raw_sockets_.erase(found);
  raw_socket_owners().erase(raw);
  return endpoint;
}

SimNetwork* SimNetwork::network_of(RawSocket raw) {
  const auto found = raw_socket_owners().find(raw);
  IOCP_CHECK(found != raw_socket_owners().end());
  return found->second;
}

SimNetwork::~SimNetwork() {
  for (const auto& entry : raw_sockets_) raw_socket_owners().erase(entry.first);
}

}  // namespace iocp
