// Listening and connecting in the simulated world: names, ports, dual stack, scripted servers, refusals.
#include <array>
#include <string>

#include "sim_port/sim_fixture.h"
#include "support/test.h"

using iocp::Address;
using iocp::Family;
using iocp::Operation;
using iocp::SimFaults;
using iocp::SimPeer;
using iocp::SimPeerListener;
using iocp::Socket;
using iocp::Status;
using sim_test::address_of;
using sim_test::Fixture;
using sim_test::kOptions;

namespace {

Status listen_status(Fixture* test, const Address& address, bool ipv6_only = false, bool reuse_port = false) {
  iocp::ListenOptions options;
  options.address = address;
  options.ipv6_only = ipv6_only;
  options.reuse_port = reuse_port;
  Socket* listener = nullptr;
  Address bound;
  const Status status = test->port.listen(options, &listener, &bound);
  if (status == Status::ok) test->close(listener);
  return status;
}

Status connect_status(Fixture* test, const Address& to, const std::string& path = "") {
  Socket* socket = nullptr;
  REQUIRE(test->port.open_stream(to.family, kOptions, nullptr, &socket) == Status::ok);
  Operation operation;
  const Status status = test->finish(test->port.submit_connect(&operation, socket, to, path), operation).status;
  test->close(socket);
  return status;
}

Address local_family() {
  Address address;
  address.family = Family::local;
  return address;
}

}  // namespace

TEST("sim: ports are given out in the same order in every run") {
  std::array<std::uint16_t, 2> ports = {};
  for (std::uint16_t& port : ports) {
    Fixture test;
    Socket* listener = test.listen();
    port = test.bound.port;
    test.close(listener);
  }
  CHECK(ports[0] != 0);
  CHECK_EQ(ports[0], ports[1]);
}

TEST("sim: a taken address is in use, its neighbours are not") {
  Fixture test;
  Socket* listener = test.listen("127.0.0.1");
  const std::uint16_t port = test.bound.port;
  CHECK(listen_status(&test, address_of("127.0.0.1", port)) == Status::address_in_use);
  CHECK(listen_status(&test, address_of("0.0.0.0", port)) == Status::address_in_use);
  CHECK(listen_status(&test, address_of("::", port)) == Status::address_in_use);
  CHECK(listen_status(&test, address_of("::", port), true) == Status::ok);
  CHECK(listen_status(&test, address_of("127.0.0.2", port)) == Status::ok);
  CHECK(listen_status(&test, address_of("127.0.0.1", port), false, true) == Status::address_in_use);
  test.close(listener);
  CHECK(listen_status(&test, address_of("127.0.0.1", port)) == Status::ok);
}

TEST("sim: an address of another host is not available for listening") {
  Fixture test;
  CHECK(listen_status(&test, address_of("192.0.2.1", 1)) == Status::address_not_available);
}

TEST("sim: a dual-stack listener sees IPv4 peers as mapped addresses") {
  Fixture test;
  Socket* listener = test.listen("::");
  SimPeer peer = test.world.connect_peer(address_of("127.0.0.1", test.bound.port), address_of("10.1.2.3", 4567));
  Socket* socket = test.accept(listener);
  CHECK_EQ(iocp::format_ip(test.port.peer_address(socket)), "::ffff:10.1.2.3");
  CHECK_EQ(test.port.peer_address(socket).port, 4567U);
  CHECK_EQ(iocp::format_ip(test.port.local_address(socket)), "::ffff:127.0.0.1");
  test.close(socket);
  test.close(listener);
}

TEST("sim: an IPv6-only listener does not hear IPv4") {
  Fixture test;
  iocp::ListenOptions options;
  options.address = address_of("::");
  options.ipv6_only = true;
  Socket* listener = nullptr;
  REQUIRE(test.port.listen(options, &listener, &test.bound) == Status::ok);
  CHECK(test.world.connect_peer(address_of("127.0.0.1", test.bound.port)).status() == Status::connection_refused);
  CHECK(test.world.connect_peer(address_of("::1", test.bound.port)).connected());
  test.close(listener);
}

TEST("sim: connecting to nobody is refused; to a path that does not exist, not found; to outside, timed out") {
  Fixture test;
  CHECK(connect_status(&test, address_of("127.0.0.1", 9)) == Status::connection_refused);
  CHECK(connect_status(&test, local_family(), "/nobody") == Status::not_found);
  const std::uint64_t before = test.world.now_ms();
  CHECK(connect_status(&test, address_of("192.0.2.1", 9)) == Status::timed_out);
  CHECK_EQ(test.world.now_ms() - before, test.world.faults().connect_timeout_ms);
}

TEST("sim: a scripted server answers an outgoing connection") {
  Fixture test;
  SimPeerListener server = test.world.listen_peer(address_of("127.0.0.1"));
  REQUIRE(server.status() == Status::ok);
  CHECK(!server.accept().has_value());
  Socket* socket = nullptr;
  REQUIRE(test.port.open_stream(Family::ipv4, kOptions, nullptr, &socket) == Status::ok);
  Operation operation;
  CHECK(test.finish(test.port.submit_connect(&operation, socket, server.address(), ""), operation).status ==
        Status::ok);
  std::optional<SimPeer> peer = server.accept();
  REQUIRE(peer.has_value());
  CHECK(peer->peer_address() == test.port.local_address(socket));
  CHECK(test.port.peer_address(socket) == server.address());
  CHECK(test.write(socket, "hello").status == Status::ok);
  CHECK_EQ(peer->receive_text(), "hello");
  test.close(socket);
  CHECK(peer->ended());
}

TEST("sim: a scripted server on a local path answers, and the path is free again afterwards") {
  Fixture test;
  SimPeerListener server = test.world.listen_peer_path("/run/echo");
  CHECK(test.world.listen_peer_path("/run/echo").status() == Status::address_in_use);
  CHECK(connect_status(&test, local_family(), "/run/echo") == Status::ok);
  CHECK(test.world.connect_peer_path("/run/echo").connected());
  server.close();
  CHECK(test.world.listen_peer_path("/run/echo").status() == Status::ok);
}

TEST("sim: an outgoing socket keeps the local address it was bound to") {
  Fixture test;
  SimPeerListener server = test.world.listen_peer(address_of("127.0.0.1"));
  const Address local = address_of("127.0.0.9", 1234);
  Socket* socket = nullptr;
  REQUIRE(test.port.open_stream(Family::ipv4, kOptions, &local, &socket) == Status::ok);
  Socket* second = nullptr;
  CHECK(test.port.open_stream(Family::ipv4, kOptions, &local, &second) == Status::address_in_use);
  Operation operation;
  test.finish(test.port.submit_connect(&operation, socket, server.address(), ""), operation);
  std::optional<SimPeer> peer = server.accept();
  REQUIRE(peer.has_value());
  CHECK(peer->peer_address() == local);
  test.close(socket);
}

TEST("sim: a full backlog keeps a client waiting until there is room") {
  Fixture test;
  Socket* listener = test.listen("127.0.0.1", 1);
  SimPeer first = test.world.connect_peer(test.bound);
  SimPeer second = test.world.connect_peer(test.bound);
  CHECK(first.connected());
  CHECK(!second.connected());
  Socket* accepted = test.accept(listener);
  test.world.advance(1000);
  CHECK(second.connected());
  test.close(accepted);
  test.close(listener);
  CHECK(second.was_reset());
}

TEST("sim: a backlog that stays full lets the client time out") {
  Fixture test;
  Socket* listener = test.listen("127.0.0.1", 1);
  SimPeer first = test.world.connect_peer(test.bound);
  SimPeer second = test.world.connect_peer(test.bound);
  CHECK(test.world.advance_until_idle());
  CHECK(second.status() == Status::timed_out);
  test.close(listener);
}

TEST("sim: cancelling a connect leaves nothing behind, whichever step it had reached") {
  for (std::uint64_t passed : {0U, 5U, 15U}) {
    SimFaults faults;
    faults.delivery_delay_min_ms = faults.delivery_delay_max_ms = 10;
    Fixture test(faults);
    SimPeerListener server = test.world.listen_peer(address_of("127.0.0.1"));
    Socket* socket = nullptr;
    REQUIRE(test.port.open_stream(Family::ipv4, kOptions, nullptr, &socket) == Status::ok);
    Operation operation;
    REQUIRE(test.port.submit_connect(&operation, socket, server.address(), "").pending);
    test.world.advance(passed);
    test.port.cancel(&operation, socket);
    CHECK(test.await(operation).status == Status::cancelled);
    test.world.advance_until_idle();
    std::optional<SimPeer> peer = server.accept();
    CHECK_EQ(peer.has_value(), passed == 15);
    if (peer.has_value()) CHECK(peer->was_reset());
    test.close(socket);
  }
}

TEST("sim: reuse_port listeners share the connections between them") {
  Fixture test;
  iocp::ListenOptions options;
  options.address = address_of("127.0.0.1", 7000);
  options.reuse_port = true;
  std::array<Socket*, 2> listeners = {};
  std::array<iocp::AcceptOperation, 2> accepts;
  for (std::size_t index = 0; index < 2; ++index) {
    REQUIRE(test.port.listen(options, &listeners[index], &test.bound) == Status::ok);
    REQUIRE(test.port.submit_accept(&accepts[index], listeners[index]).pending);
  }
  std::vector<SimPeer> peers;
  for (int count = 0; count < 32; ++count) peers.push_back(test.world.connect_peer(test.bound));
  for (std::size_t index = 0; index < 2; ++index) {
    CHECK(test.await(accepts[index]).status == Status::ok);
    iocp::Port::discard(accepts[index].accepted);
    test.close(listeners[index]);
  }
}

TEST("sim: ports begin again after the last one, and none is given out twice at a time") {
  Fixture test;
  Socket* listener = test.listen();
  iocp::AcceptOperation accept;
  SimPeer kept = test.world.connect_peer(test.bound);
  REQUIRE(test.finish(test.port.submit_accept(&accept, listener), accept).status == Status::ok);
  const iocp::RawSocket kept_raw = accept.accepted;
  bool begun_again = false;
  std::uint16_t previous = kept.local_address().port;
  for (int count = 0; count < 50'000; ++count) {
    SimPeer peer = test.world.connect_peer(test.bound);
    REQUIRE(test.finish(test.port.submit_accept(&accept, listener), accept).status == Status::ok);
    iocp::Port::discard(accept.accepted);
    const std::uint16_t port = peer.local_address().port;
    begun_again = begun_again || port < previous;
    previous = port;
    REQUIRE(port != test.bound.port && port != kept.local_address().port);
  }
  CHECK(begun_again);
  iocp::Port::discard(kept_raw);
  test.close(listener);
}
