// Addresses and ports of the simulated world: who listens where, what is taken, whom a connection meets.
// It moves no bytes and makes no connection.
#include "port/sim/sim_names.h"

#include <algorithm>

#include "port/check.h"
#include "port/sim/sim_network.h"

namespace iocp {

namespace {

constexpr std::size_t kMostPathBytes = 107;  // sun_path without its NUL, on the systems where it is largest

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Whether a listener on `listening` hears connections to `target`. Both canonical.
bool covers(const SimListener& listener, const Address& target) {
  const Address listening = sim_canonical(listener.address);
  if (listening.port != target.port) return false;
  if (sim_same_ip(listening, target)) return true;
  if (!sim_is_wildcard(listening)) return false;
  if (listening.family == target.family) return true;
  return listening.family == Family::ipv6 && !listener.ipv6_only;
}

bool ranges_overlap(const Address& left, bool left_ipv6_only, const Address& right, bool right_ipv6_only) {
  if (left.port != right.port) return false;
  if (left.family == right.family) return sim_same_ip(left, right) || sim_is_wildcard(left) || sim_is_wildcard(right);
  const bool left_is_dual = left.family == Family::ipv6 && sim_is_wildcard(left) && !left_ipv6_only;
  const bool right_is_dual = right.family == Family::ipv6 && sim_is_wildcard(right) && !right_ipv6_only;
  return left_is_dual || right_is_dual;
}

Status check_listen_name(const ListenOptions& options) {
  switch (options.address.family) {
    case Family::none:
      return Status::invalid_argument;
    case Family::local:
      return sim_check_path(options.path);
    case Family::ipv4:
    case Family::ipv6:
      if (sim_is_wildcard(options.address) || sim_is_inside(options.address)) return Status::ok;
      return Status::address_not_available;
  }
  IOCP_UNREACHABLE("a Family outside the list");
}

}  // namespace

Address sim_canonical(const Address& address) {
  const bool mapped =
      address.family == Family::ipv6 && std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.ip.begin());
  if (!mapped) return address;
  Address plain;
  plain.family = Family::ipv4;
  plain.port = address.port;
  std::copy(address.ip.begin() + 12, address.ip.end(), plain.ip.begin());
  return plain;
}

Address sim_mapped(const Address& address) {
  if (address.family != Family::ipv4) return address;
  Address mapped;
  mapped.family = Family::ipv6;
  mapped.port = address.port;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), mapped.ip.begin());
  std::copy(address.ip.begin(), address.ip.begin() + 4, mapped.ip.begin() + 12);
  return mapped;
}

bool sim_is_wildcard(const Address& address) {
  return std::all_of(address.ip.begin(), address.ip.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool sim_is_loopback(const Address& address) {
  const Address plain = sim_canonical(address);
  if (plain.family == Family::ipv4) return plain.ip[0] == 127;
  return plain.family == Family::ipv6 && plain.ip[15] == 1 &&
         std::all_of(plain.ip.begin(), plain.ip.end() - 1, [](std::uint8_t byte) { return byte == 0; });
}

bool sim_is_inside(const Address& address) {
  const Address plain = sim_canonical(address);
  if (sim_is_loopback(plain)) return true;
  if (plain.family == Family::ipv4) return plain.ip[0] == 10;
  return plain.ip[0] == 0xfd || (plain.ip[0] == 0xfe && (plain.ip[1] & 0xc0) == 0x80);
}

bool sim_same_ip(const Address& left, const Address& right) {
  const bool zones_agree = left.scope_id == right.scope_id || left.scope_id == 0 || right.scope_id == 0;
  return left.family == right.family && left.ip == right.ip && zones_agree;
}

Status sim_check_path(const std::string& path) {
  // A leading NUL names a socket in the abstract namespace, where further ones count; elsewhere they are no names.
  if (path.empty() || (path.front() != '\0' && path.find('\0') != std::string::npos)) return Status::invalid_argument;
  return path.size() > kMostPathBytes ? Status::name_too_long : Status::ok;
}

bool SimNetwork::name_is_taken(const Address& address, bool ipv6_only, bool reuse_port) const {
  for (const auto& listener : listeners_) {
    if (listener->address.family == Family::local) continue;
    if (reuse_port && listener->reuse_port) continue;
    if (ranges_overlap(address, ipv6_only, sim_canonical(listener->address), listener->ipv6_only)) return true;
  }
  return std::any_of(bound_sockets_.begin(), bound_sockets_.end(), [&](const Socket* socket) {
    return ranges_overlap(address, ipv6_only, sim_canonical(socket->bound), true);
  });
}

bool SimNetwork::port_is_used(std::uint16_t port) const {
  for (const auto& listener : listeners_) {
    if (listener->address.port == port) return true;
  }
  for (const Socket* socket : bound_sockets_) {
    if (socket->bound.port == port) return true;
  }
  // Before the counter has wrapped no connection can hold a port that is still to come.
  if (!ports_wrapped_) return false;
  return std::any_of(connections_.begin(), connections_.end(), [port](const auto& entry) {
    const std::shared_ptr<SimConnection> connection = entry.second.lock();
    return connection != nullptr && connection->client.local.port == port;
  });
}

std::uint16_t SimNetwork::ephemeral_port() {
  for (std::uint32_t tried = kFirstEphemeralPort; tried <= UINT16_MAX; ++tried) {
    const std::uint16_t candidate = next_port_;
    if (candidate == UINT16_MAX) ports_wrapped_ = true;
    next_port_ = candidate == UINT16_MAX ? kFirstEphemeralPort : static_cast<std::uint16_t>(candidate + 1);
    if (!port_is_used(candidate)) return candidate;
  }
  IOCP_UNREACHABLE("every ephemeral port of the simulated world is in use");
}

Status SimNetwork::make_listener(const ListenOptions& options, std::shared_ptr<SimListener>* out) {
  const Status name_status = check_listen_name(options);
  if (name_status != Status::ok) return name_status;
  auto listener = std::make_shared<SimListener>();
  listener->address = options.address;
  listener->backlog = std::max<std::uint32_t>(options.backlog, 1);
  listener->ipv6_only = options.ipv6_only;
  listener->reuse_port = options.reuse_port;
  if (options.address.family == Family::local) {
    const bool taken = std::any_of(listeners_.begin(), listeners_.end(),
                                   [&](const auto& other) { return other->path == options.path; });
    if (taken) return Status::address_in_use;
    listener->path = options.path;
    listener->address.port = 0;
  } else {
    if (options.address.port == 0) listener->address.port = ephemeral_port();
    const Address wanted = sim_canonical(listener->address);
    if (name_is_taken(wanted, options.ipv6_only, options.reuse_port)) return Status::address_in_use;
  }
  note("listen", listener->address.port, options.backlog);
  listeners_.push_back(listener);
  *out = std::move(listener);
  return Status::ok;
}

Status SimNetwork::bind_local(Socket* socket, const Address& local) {
  if (local.family != socket->family || local.family == Family::local) return Status::invalid_argument;
  if (!sim_is_wildcard(local) && !sim_is_inside(local)) return Status::address_not_available;
  Address wanted = local;
  if (wanted.port == 0) wanted.port = ephemeral_port();
  if (name_is_taken(sim_canonical(wanted), true, false)) return Status::address_in_use;
  socket->bound = wanted;
  bound_sockets_.insert(socket);
  return Status::ok;
}

void SimNetwork::unbind_local(Socket* socket) { bound_sockets_.erase(socket); }

// The most exact name wins; among equals (reuse_port) chance decides, as the kernel's hash would.
std::shared_ptr<SimListener> SimNetwork::find_listener(const SimConnection& connection) {
  std::vector<std::shared_ptr<SimListener>> best;
  const Address target = sim_canonical(connection.target);
  int best_rank = 0;
  for (const auto& listener : listeners_) {
    int rank = 0;
    if (target.family == Family::local) {
      rank = listener->path == connection.path && !connection.path.empty() ? 1 : 0;
    } else if (listener->address.family != Family::local && covers(*listener, target)) {
      const Address listening = sim_canonical(listener->address);
      rank = 1 + (listening.family == target.family ? 1 : 0) + (sim_is_wildcard(listening) ? 0 : 1);
    }
    if (rank == 0 || rank < best_rank) continue;
    if (rank > best_rank) best.clear();
    best_rank = rank;
    best.push_back(listener);
  }
  if (best.empty()) return nullptr;
  return best[pick(0, best.size() - 1)];
}

}  // namespace iocp
