// The world around the ports: virtual time, several ports stepped in turn, the current world, the audit.
#include <array>
#include <cstdio>
#include <memory>
#include <string>

#include "sim_port/sim_fixture.h"
#include "support/test.h"

using iocp::Completion;
using iocp::Operation;
using iocp::Port;
using iocp::SimFaults;
using iocp::SimPeer;
using iocp::SimWorld;
using iocp::Socket;
using iocp::Status;
using sim_test::Fixture;
using sim_test::Pair;

TEST("sim: a wait with nothing to tell lets exactly its timeout pass") {
  Fixture test;
  CHECK(!test.step(0));
  CHECK_EQ(test.world.now_ms(), 0U);
  CHECK(!test.step(250));
  CHECK_EQ(test.world.now_ms(), 250U);
}

TEST("sim: a wait lets no more time pass than the next completion needs") {
  SimFaults faults;
  faults.delivery_delay_min_ms = faults.delivery_delay_max_ms = 40;
  Fixture test(faults);
  Pair pair(&test);
  const std::uint64_t before = test.world.now_ms();
  Operation operation;
  REQUIRE(test.port.submit_zero_byte_read(&operation, pair.socket).pending);
  pair.peer.send("x");
  CHECK_EQ(test.world.next_due_ms(), before + 40);
  CHECK(test.step(10'000));
  CHECK_EQ(test.world.now_ms(), before + 40);
  CHECK_EQ(test.world.next_due_ms(), SimWorld::kNever);
}

TEST("sim: a wait never sleeps while completions are queued") {
  Fixture test;
  Operation post;
  test.port.post(&post);
  CHECK(test.port.has_queued());
  CHECK(test.step(1000));
  CHECK_EQ(test.world.now_ms(), 0U);
  CHECK(!test.port.has_queued());
}

TEST("sim: several ports live in one world, and time passes only when the driver says so") {
  SimFaults faults;
  faults.delivery_delay_min_ms = faults.delivery_delay_max_ms = 10;
  Fixture server(faults);
  Port client;
  REQUIRE(client.open() == Status::ok);
  Socket* listener = server.listen();
  Socket* socket = nullptr;
  REQUIRE(client.open_stream(iocp::Family::ipv4, sim_test::kOptions, nullptr, &socket) == Status::ok);
  Operation connect;
  iocp::AcceptOperation accept;
  REQUIRE(client.submit_connect(&connect, socket, server.bound, "").pending);
  REQUIRE(server.port.submit_accept(&accept, listener).pending);
  std::array<Completion, 4> batch;
  CHECK_EQ(client.wait(batch, 0) + server.port.wait(batch, 0), 0U);
  server.world.advance(10);
  CHECK_EQ(client.wait(batch, 0), 0U);
  CHECK_EQ(server.port.wait(batch, 0), 1U);
  server.world.advance(10);
  CHECK_EQ(client.wait(batch, 0), 1U);
  CHECK(batch[0].status == Status::ok);
  Port::discard(accept.accepted);
  client.close_socket(socket, iocp::CloseMode::normal);
  server.close(listener);
  client.close();
}

TEST("sim: scopes nest, and a default world is there without any") {
  SimWorld& outside = SimWorld::current();
  {
    Fixture outer;
    CHECK(&SimWorld::current() == &outer.world);
    {
      Fixture inner;
      CHECK(&SimWorld::current() == &inner.world);
    }
    CHECK(&SimWorld::current() == &outer.world);
  }
  CHECK(&SimWorld::current() == &outside);
  CHECK_EQ(outside.faults().partial_read, 0U);
}

TEST("sim audit: counts sockets, operations, raw sockets, peers and undelivered bytes, and is clean at the end") {
  SimFaults faults;
  faults.delivery_delay_min_ms = faults.delivery_delay_max_ms = 10;
  Fixture test(faults);
  CHECK(test.world.audit() == iocp::SimAudit());
  {
    Pair pair(&test);
    CHECK_EQ(test.world.audit().sockets, 2U);
    CHECK_EQ(test.world.audit().peers, 1U);
    pair.peer.send("12345");
    CHECK_EQ(test.world.audit().undelivered_bytes, 5U);
    test.world.advance(10);
    CHECK_EQ(test.world.audit().undelivered_bytes, 5U);
    std::string text;
    CHECK_EQ(test.read(pair.socket, &text).bytes, 5U);
    CHECK_EQ(test.world.audit().undelivered_bytes, 0U);
    Operation hang_up;
    REQUIRE(test.port.submit_hang_up(&hang_up, pair.socket).pending);
    CHECK_EQ(test.world.audit().operations, 1U);
    CHECK(!test.world.audit().clean());
    pair.close(iocp::CloseMode::normal);
    CHECK_EQ(test.world.audit().operations, 0U);
  }
  CHECK(test.world.audit().clean());
  CHECK(test.world.audit() == iocp::SimAudit());
}

TEST("sim audit: bytes nobody can read any more do not count for ever") {
  SimFaults faults;
  faults.delivery_delay_min_ms = faults.delivery_delay_max_ms = 10;
  Fixture test(faults);
  Pair pair(&test);
  CHECK(test.write(pair.socket, "to nobody").status == Status::ok);
  pair.peer.close();
  CHECK_EQ(test.world.audit().undelivered_bytes, 9U);
  CHECK(test.world.advance_until_idle());
  CHECK_EQ(test.world.audit().undelivered_bytes, 0U);
}

TEST("sim: counters tell what the port did") {
  Fixture test;
  Pair pair(&test);
  pair.peer.send("x");
  std::string text;
  CHECK(test.read_now(pair.socket, &text) == Status::ok);
  CHECK(test.read_now(pair.socket, &text) == Status::would_block);
  test.write(pair.socket, "y");
  const iocp::PortCounters counters = test.port.counters();
  CHECK_EQ(counters.accepts, 1U);
  CHECK_EQ(counters.reads, 1U);
  CHECK_EQ(counters.empty_reads, 1U);
  CHECK_EQ(counters.writes, 1U);
}

TEST("sim: a peer handle closes its connection when it goes") {
  Fixture test;
  Pair pair(&test);
  Operation hang_up;
  REQUIRE(test.port.submit_hang_up(&hang_up, pair.socket).pending);
  pair.peer = SimPeer();
  CHECK(test.await(hang_up).status == Status::ok);
}

TEST("sim: the log tells each step in a line, and does not change the run") {
  const auto run = [](std::FILE* log) {
    Fixture test(SimFaults::gentle());
    test.world.log_to(log);
    Pair pair(&test);
    CHECK(test.write(pair.socket, "x").status == Status::ok);
    return test.world.trace_hash();
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> log(std::tmpfile(), &std::fclose);
  REQUIRE(log != nullptr);
  CHECK_EQ(run(log.get()), run(nullptr));
  std::rewind(log.get());
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), log.get()));
  CHECK(text.find("transmit") != std::string::npos);
}
