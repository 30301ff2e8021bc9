// The whole engine on real sockets with real threads: one engine that serves and one that connects, in one process.
// Nothing is lost, repeated or reordered, every context ends once, and nothing is left over, whatever the number of
// lanes and pending reads, whoever aborts, and at whatever moment an engine is shut down.
#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <thread>

#include "core/limits.h"
#include "stress/engines.h"
#include "stress/owner.h"
#include "stress/traffic.h"
#include "support/test.h"

using iocp::EngineOptions;
using stress::close;
using stress::connect;
using stress::description;
using stress::EchoClient;
using stress::EchoServer;
using stress::options_for;
using stress::Owner;
using stress::stop_and_check;

namespace {

// One lane, stepped by its owner's thread and by a standby thread in turns.
void echo_by_turns(std::uint32_t pending_reads, bool zero_byte_reads) {
  constexpr std::uint32_t kConnections = 6;
  constexpr std::uint32_t kMessages = 300;
  EngineOptions options = options_for(1, pending_reads, zero_byte_reads);
  options.wake_workers = false;
  EchoServer serving(true);
  EchoClient connecting(kMessages, true);
  Owner server(options, serving, Owner::Slabs{}, Owner::Stepping::turns);
  Owner client(options, connecting, Owner::Slabs{}, Owner::Stepping::turns);
  connect(client, server.listen(), kConnections);
  connecting.ended_connections.wait_for(kConnections);
  close(client);
  close(server);
  double hand_overs = 0;
  server.run([&] { hand_overs = server.figure("handOvers"); });
  CHECK(hand_overs > 20);
  stop_and_check(client);
  stop_and_check(server);
}

void echo_with_every_way_to_read(std::uint32_t lanes) {
  constexpr std::uint32_t kMessages = 300;
  for (const std::uint32_t pending_reads : {1U, 4U, 16U}) {
    for (const bool zero_byte_reads : {true, false}) {
      const EngineOptions options = options_for(lanes, pending_reads, zero_byte_reads);
      test::context(description(options));
      stress::echo(options, kMessages);
    }
  }
}

EngineOptions random_options(std::mt19937_64& random) {
  const std::uint32_t lanes[] = {1, 2, 4};
  const std::uint32_t pending[] = {1, 4, 16};
  const std::uint32_t lane_count = lanes[random() % 3];
  return options_for(lane_count, pending[random() % 3], random() % 2 == 0);
}

struct Flood {
  std::uint32_t connections;
  std::uint32_t messages;
  std::size_t bytes;
};

std::uint64_t stalls_of(Owner& owner) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < owner.engine().lane_count(); ++i) sum += owner.engine().lane(i).counters.stalls.load();
  return sum;
}

std::uint64_t received_by(Owner& owner) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < owner.engine().lane_count(); ++i) {
    sum += owner.engine().lane(i).counters.bytes_received.load();
  }
  return sum;
}

void flood_a_blocked_owner(const EngineOptions& options, const Flood& flood) {
  constexpr Owner::Slabs kSlabs = {2, 64 * 1024};
  stress::FloodServer serving(flood.messages, flood.bytes);
  stress::FloodClient flooding(flood.messages, flood.bytes);
  Owner server(options, serving, kSlabs);
  Owner client(options, flooding);
  const iocp::Address address = server.listen();
  server.hold(true);
  connect(client, address, flood.connections);
  // Held, the owner makes no room, so that every connection stalls once and stays.
  while (stalls_of(server) < flood.connections) std::this_thread::yield();

  const std::uint64_t lent = options.lanes * kSlabs.per_lane * kSlabs.bytes;
  const std::uint64_t large = options.lanes * (iocp::kLargeWaitingBytesMax + flood.bytes);
  const std::uint64_t on_the_way = flood.connections * (flood.bytes + iocp::kReadBudgetBytes);
  CHECK(received_by(server) <= lent + (flood.bytes > iocp::kInlinePayloadMax ? large : 0) + on_the_way);
  CHECK(received_by(server) < std::uint64_t{flood.connections} * flood.messages * flood.bytes);

  server.hold(false);
  serving.packages.wait_for(std::uint64_t{flood.connections} * flood.messages);
  close(client);
  close(server);
  stop_and_check(client);
  stop_and_check(server);
}

}  // namespace

TEST_WITHIN("stress: echoes on 1 lane, with every way to read, come back once and in order", 60) {
  echo_with_every_way_to_read(1);
}

TEST_WITHIN("stress: echoes on 2 lanes, with every way to read, come back once and in order", 60) {
  echo_with_every_way_to_read(2);
}

TEST_WITHIN("stress: echoes on 4 lanes, with every way to read, come back once and in order", 60) {
  echo_with_every_way_to_read(4);
}

TEST_WITHIN("stress: echoes come back once and in order while the engine goes from thread to thread", 40) {
  echo_by_turns(1, true);
  echo_by_turns(4, false);
}

TEST_WITHIN("stress: an engine that goes from thread to thread can be shut down at any moment", 40) {
  std::mt19937_64 random(test::seed());
  EngineOptions options = options_for(1, 1, true);
  options.wake_workers = false;
  for (int turn = 0; turn < 20; ++turn) {
    EchoServer serving(false);
    EchoClient connecting(UINT32_MAX, false);
    Owner server(options, serving, Owner::Slabs{}, Owner::Stepping::turns);
    Owner client(options, connecting, Owner::Slabs{}, Owner::Stepping::turns);
    const std::uint32_t connections = 1 + static_cast<std::uint32_t>(random() % 8);
    connect(client, server.listen(), connections);
    serving.packages.wait_for(random() % 1'000);
    stop_and_check(client);
    stop_and_check(server);
  }
}

TEST_WITHIN("stress: an engine can be shut down in the middle of its traffic, at any moment", 40) {
  std::mt19937_64 random(test::seed());
  for (int turn = 0; turn < 20; ++turn) {
    EchoServer serving(false);
    EchoClient connecting(UINT32_MAX, false);
    Owner server(random_options(random), serving);
    Owner client(random_options(random), connecting);
    const std::uint32_t connections = 1 + static_cast<std::uint32_t>(random() % 8);
    connect(client, server.listen(), connections);
    serving.packages.wait_for(random() % 1'000);
    if (random() % 2 == 0) {
      stop_and_check(client);
      stop_and_check(server);
    } else {
      stop_and_check(server);
      connecting.ended_connections.wait_for(connections);
      close(client);
      stop_and_check(client);
    }
  }
}

TEST_WITHIN("stress: close() in the middle of traffic ends every context and tells so once", 40) {
  std::mt19937_64 random(test::seed());
  for (int turn = 0; turn < 10; ++turn) {
    EchoServer serving(false);
    EchoClient connecting(UINT32_MAX, false);
    Owner server(random_options(random), serving);
    Owner client(random_options(random), connecting);
    connect(client, server.listen(), 1 + static_cast<std::uint32_t>(random() % 8));
    serving.packages.wait_for(random() % 1'000);
    const bool client_first = random() % 2 == 0;
    close(client_first ? client : server);
    close(client_first ? server : client);
    stop_and_check(client);
    stop_and_check(server);
  }
}

TEST_WITHIN("stress: a storm of connects and aborts leaves nothing behind", 40) {
  std::mt19937_64 random(test::seed());
  for (const std::uint32_t lanes : {1U, 2U, 4U}) {
    constexpr std::uint32_t kConnections = 800;
    const std::uint32_t pending_reads = lanes == 1 ? 1 : 4;
    stress::StormServer serving(random());
    Owner server(options_for(lanes, pending_reads, true), serving);
    stress::StormClient storming(random(), server.listen(), kConnections);
    Owner client(options_for(lanes, pending_reads, lanes != 4), storming);
    client.run([&] { storming.begin(client, 24); });
    storming.answered.wait_for(kConnections);
    close(client);
    close(server);
    stop_and_check(client);
    stop_and_check(server);
    CHECK(storming.made() > 0);
  }
}

TEST_WITHIN("stress: the lanes share a thousand connections evenly", 40) {
  for (const std::uint32_t lanes : {2U, 4U}) {
    constexpr std::uint32_t kConnections = 1'000;
    stress::EchoServer serving(false);
    Owner server(options_for(lanes, 1, true), serving);
    EchoClient connecting(1, false);
    Owner client(options_for(1, 1, true), connecting);
    const iocp::Address address = server.listen();
    // In portions, so that no limit on open descriptors is met.
    for (std::uint32_t made = 0; made < kConnections; made += 100) {
      connect(client, address, 100);
      connecting.ended_connections.wait_for(made + 100);
    }
    std::uint64_t worst = UINT64_MAX;
    std::uint64_t best = 0;
    for (std::size_t i = 0; i < server.engine().lane_count(); ++i) {
      const std::uint64_t share = server.engine().lane(i).counters.connected.load();
      worst = std::min(worst, share);
      best = std::max(best, share);
    }
    CHECK(best * 10 <= worst * 12);
    close(client);
    close(server);
    stop_and_check(client);
    stop_and_check(server);
  }
}

TEST_WITHIN("stress: a blocked owner bounds the memory of a flood of small packages, and loses none", 40) {
  for (const bool zero_byte_reads : {true, false}) {
    flood_a_blocked_owner(options_for(1, 1, zero_byte_reads), {4, 4'000, 1'000});
    flood_a_blocked_owner(options_for(2, 4, zero_byte_reads), {4, 4'000, 1'000});
  }
}

TEST_WITHIN("stress: a blocked owner bounds the memory of a flood of large packages, and loses none", 40) {
  flood_a_blocked_owner(options_for(1, 1, true), {2, 120, 100 * 1024});
  flood_a_blocked_owner(options_for(1, 4, true), {2, 120, 100 * 1024});
}
