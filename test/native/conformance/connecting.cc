// Listening, connecting, accepting, and the addresses of it all.
#include <algorithm>
#include <array>

#include "conformance/world.h"

namespace conformance {
namespace {

Status try_listen(World& world, const iocp::ListenOptions& options) {
  Socket* listener = nullptr;
  Address bound;
  const Status status = world.port.listen(options, &listener, &bound);
  if (status == Status::ok) world.port.close_socket(listener, CloseMode::normal);
  return status;
}

// A machine without IPv6 has nothing to prove about it; which answers mean that is part of the contract.
bool has_ipv6(World& world) {
  iocp::ListenOptions options;
  options.address = loopback_ipv6();
  const Status status = try_listen(world, options);
  REQUIRE(status == Status::ok || status == Status::address_family_not_supported ||
          status == Status::address_not_available);
  return status == Status::ok;
}

Result connect_to(World& world, const Address& to) {
  Socket* const client = world.open_stream(to.family);
  Operation& connecting = world.operation();
  world.connect(connecting, client, to);
  return world.result(connecting);
}

// A port that was just free.
Address unused_address(World& world) {
  const Listener listener = world.listen();
  world.close(listener.socket);
  return listener.address;
}

}  // namespace

TEST("a listener on port 0 is told the port the system chose") {
  World world;
  const Listener listener = world.listen();
  CHECK_EQ(listener.address.family, Family::ipv4);
  CHECK(listener.address.port != 0);
  CHECK_EQ(iocp::format_ip(listener.address), "127.0.0.1");
  CHECK(world.port.local_address(listener.socket) == listener.address);
}

TEST("both ends of a connection know both addresses") {
  World world;
  const Listener listener = world.listen();
  AcceptOperation& accepting = world.accept_operation();
  Operation& connecting = world.operation();
  Socket* const client = world.open_stream();
  world.accept(accepting, listener.socket);
  world.connect(connecting, client, listener.address);
  REQUIRE(world.result(connecting).status == Status::ok);
  REQUIRE(world.result(accepting).status == Status::ok);
  Socket* const server = world.attach(accepting);
  CHECK(accepting.peer == world.port.local_address(client));
  CHECK(world.port.peer_address(server) == world.port.local_address(client));
  CHECK(world.port.peer_address(client) == listener.address);
  CHECK(world.port.local_address(server) == listener.address);
}

TEST("a stream can be bound to a local address before it connects") {
  World world;
  const Listener listener = world.listen();
  const Address local = loopback();
  Socket* const client = world.open_stream(Family::ipv4, &local);
  Operation& connecting = world.operation();
  world.connect(connecting, client, listener.address);
  CHECK_EQ(world.result(connecting).status, Status::ok);
  CHECK_EQ(iocp::format_ip(world.port.local_address(client)), "127.0.0.1");
}

TEST("connecting where nobody listens is refused") {
  World world;
  CHECK_EQ(connect_to(world, unused_address(world)).status, Status::connection_refused);
}

TEST("an address in use is refused to a second listener") {
  World world;
  const Listener first = world.listen();
  iocp::ListenOptions options;
  options.address = first.address;
  CHECK_EQ(try_listen(world, options), Status::address_in_use);
}

TEST("an address of another machine cannot be listened on") {
  World world;
  iocp::ListenOptions options;
  REQUIRE(iocp::parse_ip("192.0.2.1", 0, &options.address));
  CHECK_EQ(try_listen(world, options), Status::address_not_available);
}

TEST("listening without an address is an invalid argument") {
  World world;
  CHECK_EQ(try_listen(world, {}), Status::invalid_argument);
}

TEST("a port is free again once its listener is closed") {
  World world;
  const Listener first = world.listen();
  const Pair pair = world.connected_pair(first);
  world.close(first.socket);
  world.close(pair.server);
  world.close(pair.client);
  CHECK_EQ(world.listen(first.address).address.port, first.address.port);
}

TEST("several listeners share an address when each asks for reuse_port, where the system can") {
  World world;
  iocp::ListenOptions options;
  options.address = loopback();
  options.reuse_port = true;
  Socket* first = nullptr;
  Address bound;
  const Status status = world.port.listen(options, &first, &bound);
  CHECK(status == Status::ok || status == Status::not_supported);
  if (status != Status::ok) return;
  options.address = bound;
  CHECK_EQ(try_listen(world, options), Status::ok);
  world.port.close_socket(first, CloseMode::normal);
}

TEST("a listener on :: takes IPv4 and IPv6 peers") {
  World world;
  if (!has_ipv6(world)) return;
  const Listener listener = world.listen(any_ipv6());
  for (const Address& to : {loopback(listener.address.port), loopback_ipv6(listener.address.port)}) {
    AcceptOperation& accepting = world.accept_operation();
    world.accept(accepting, listener.socket);
    CHECK_EQ(connect_to(world, to).status, Status::ok);
    CHECK_EQ(world.result(accepting).status, Status::ok);
    CHECK_EQ(accepting.peer.family, Family::ipv6);
    CHECK_EQ(iocp::format_ip(accepting.peer), to.family == Family::ipv4 ? "::ffff:127.0.0.1" : "::1");
  }
}

TEST("an IPv6-only listener refuses IPv4 peers") {
  World world;
  if (!has_ipv6(world)) return;
  iocp::ListenOptions options;
  options.address = any_ipv6();
  options.ipv6_only = true;
  const Listener listener = world.listen(options);
  CHECK_EQ(connect_to(world, loopback(listener.address.port)).status, Status::connection_refused);
  CHECK_EQ(connect_to(world, loopback_ipv6(listener.address.port)).status, Status::ok);
}

TEST("bytes travel over IPv6") {
  World world;
  if (!has_ipv6(world)) return;
  const Pair pair = world.connected_pair(loopback_ipv6());
  world.send_all(pair.client, text("six"));
  CHECK(world.receive(pair.server, 3) == text("six"));
}

TEST("several accepts are filled by several connects, whichever comes first") {
  for (const bool accepts_first : {true, false}) {
    World world;
    const Listener listener = world.listen();
    std::array<AcceptOperation*, 5> accepts = {};
    std::array<Operation*, 5> connects = {};
    std::array<Socket*, 5> clients = {};
    for (AcceptOperation*& each : accepts) each = &world.accept_operation();
    for (std::size_t i = 0; i < connects.size(); ++i) {
      connects[i] = &world.operation();
      clients[i] = world.open_stream();
    }
    for (const bool accepting : {accepts_first, !accepts_first}) {
      for (std::size_t i = 0; i < connects.size(); ++i) {
        if (accepting) {
          world.accept(*accepts[i], listener.socket);
        } else {
          world.connect(*connects[i], clients[i], listener.address);
        }
      }
    }
    std::array<std::uint16_t, 5> wanted = {};
    std::array<std::uint16_t, 5> seen = {};
    for (std::size_t i = 0; i < connects.size(); ++i) {
      CHECK_EQ(world.result(*connects[i]).status, Status::ok);
      CHECK_EQ(world.result(*accepts[i]).status, Status::ok);
      wanted[i] = world.port.local_address(clients[i]).port;
      seen[i] = accepts[i]->peer.port;
    }
    std::sort(wanted.begin(), wanted.end());
    std::sort(seen.begin(), seen.end());
    CHECK(wanted == seen);
  }
}

TEST("a discarded connection is reset") {
  World world;
  const Listener listener = world.listen();
  AcceptOperation& accepting = world.accept_operation();
  world.accept(accepting, listener.socket);
  Socket* const client = world.open_stream();
  Operation& connecting = world.operation();
  world.connect(connecting, client, listener.address);
  REQUIRE(world.result(connecting).status == Status::ok);
  REQUIRE(world.result(accepting).status == Status::ok);
  Port::discard(accepting.accepted);
  accepting.accepted = RawSocket::none;
  Operation& hanging_up = world.operation();
  world.hang_up(hanging_up, client);
  CHECK_EQ(world.result(hanging_up).status, Status::connection_reset);
}

TEST_WITHIN("five hundred connections at once each carry their own bytes", 30) {
  constexpr std::size_t kConnections = 500;
  World world;
  const Listener listener = world.listen();
  std::vector<AcceptOperation*> accepts;
  std::vector<Operation*> connects;
  std::vector<Socket*> clients;
  for (std::size_t i = 0; i < kConnections; ++i) {
    accepts.push_back(&world.accept_operation());
    world.accept(*accepts.back(), listener.socket);
    clients.push_back(world.open_stream());
    connects.push_back(&world.operation());
    world.connect(*connects.back(), clients.back(), listener.address);
  }
  for (Operation* each : connects) REQUIRE(world.result(*each).status == Status::ok);
  for (std::size_t i = 0; i < kConnections; ++i) world.send_all(clients[i], pattern(8, i));
  // Which accept got which connect is not told, so the bytes are compared as a set.
  std::multiset<std::string> expected;
  std::multiset<std::string> received;
  for (std::size_t i = 0; i < kConnections; ++i) {
    REQUIRE(world.result(*accepts[i]).status == Status::ok);
    const Bytes got = world.receive(world.attach(*accepts[i]), 8);
    const Bytes wanted = pattern(8, i);
    received.emplace(got.begin(), got.end());
    expected.emplace(wanted.begin(), wanted.end());
  }
  CHECK(expected == received);
}

TEST("TCP's own figures can be asked for at any time") {
  World world;
  const Listener listener = world.listen();
  const Pair pair = world.connected_pair(listener);
  world.send_all(pair.client, text("x"));
  CHECK(world.receive(pair.server, 1) == text("x"));
  CHECK(world.port.tcp_info(pair.client).rtt_us < 60'000'000U);
  CHECK_EQ(world.port.tcp_info(listener.socket).retransmits_total, 0U);
}

TEST("addresses survive the way through text") {
  for (const char* ip : {"127.0.0.1", "0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::7", "::ffff:10.0.0.1",
                         "fe80::1%7", "fe80::1%4294967295"}) {
    Address address;
    REQUIRE(iocp::parse_ip(ip, 80, &address));
    CHECK_EQ(iocp::format_ip(address), ip);
    CHECK_EQ(address.port, 80);
  }
}

TEST("what is no address is refused and changes nothing") {
  const Address before = loopback(7);
  for (const char* ip : {"", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", ":::", "::1%", "%1", "127.0.0.1%1",
                         "fe80::1%no-such-interface", "127.0.0.1 ", " ::1"}) {
    Address address = before;
    CHECK(!iocp::parse_ip(ip, 80, &address));
    CHECK(address == before);
  }
  Address address = before;
  CHECK(!iocp::parse_ip(std::string_view("1.2.3.4\0", 8), 80, &address));
  CHECK(!iocp::parse_ip(std::string(1000, '1'), 80, &address));
}

}  // namespace conformance
