// What a package costs in calls of the kernel, counted by the port itself: the echo of small packages by a whole
// engine, with so many connections and so many packages in flight on each. Counts, not times, so that they hold on any
// machine.
#include <array>
#include <cstdint>
#include <cstdio>
#include <string>

#include "stress/engines.h"
#include "stress/traffic.h"
#include "support/test.h"

using iocp::ConstBytes;
using iocp::EngineOptions;
using stress::Owner;
using stress::Peer;

namespace {

constexpr std::size_t kPayloadBytes = 64;

class Echo : public stress::Handler {
 public:
  void package(Owner& owner, Peer peer, ConstBytes payload) override { owner.send(peer, payload); }
};

// Keeps `in_flight` packages on their way on every connection, for ever.
class Pump : public stress::Handler {
 public:
  explicit Pump(std::uint32_t in_flight) : in_flight_(in_flight) {}

  stress::Progress packages;

  void connected(Owner& owner, Peer peer, std::uint32_t) override {
    const std::array<std::uint8_t, kPayloadBytes> payload = {};
    for (std::uint32_t i = 0; i < in_flight_; ++i) owner.send(peer, payload);
  }
  void package(Owner& owner, Peer peer, ConstBytes payload) override {
    packages.add();
    owner.send(peer, payload);
  }

 private:
  const std::uint32_t in_flight_;
};

// Of one server, for one package.
struct Calls {
  double waits, zero_byte_reads, reads, empty_reads, writes, posts, wakes;

  double sum() const { return waits + zero_byte_reads + reads + empty_reads + writes + posts; }
};

iocp::PortCounters counters_of(Owner& server) { return server.engine().lane(0).port.counters(); }

Calls calls_of_an_echo(const EngineOptions& options, std::uint32_t connections, std::uint32_t in_flight) {
  const std::uint64_t packages = std::uint64_t{connections} * in_flight * 4 + 300;
  Echo serving;
  Pump pumping(in_flight);
  Owner server(options, serving);
  Owner client(options, pumping);
  stress::connect(client, server.listen(), connections);
  pumping.packages.wait_for(packages / 4);
  const iocp::PortCounters before = counters_of(server);
  const std::uint64_t from = pumping.packages.count();
  pumping.packages.wait_for(from + packages);
  const iocp::PortCounters after = counters_of(server);
  const auto made = static_cast<double>(pumping.packages.count() - from);
  server.stop();
  client.stop();
  const auto per_package = [made](std::uint64_t now, std::uint64_t then) {
    return static_cast<double>(now - then) / made;
  };
  const Calls calls = {
      per_package(after.waits, before.waits),   per_package(after.zero_byte_reads, before.zero_byte_reads),
      per_package(after.reads, before.reads),   per_package(after.empty_reads, before.empty_reads),
      per_package(after.writes, before.writes), per_package(after.posts, before.posts),
      per_package(after.wakes, before.wakes)};
  std::printf(
      "      %u x %u, %u workers, %s: %.2f calls a package: wait %.2f, zero-byte read %.2f, read %.2f (empty "
      "%.2f), write %.2f, post %.2f (%.2f woke)\n",
      connections, in_flight, options.workers_per_lane,
      options.buffer_when_busy ? "a buffer when busy" : "never a buffer", calls.sum(), calls.waits,
      calls.zero_byte_reads, calls.reads, calls.empty_reads, calls.writes, calls.posts, calls.wakes);
  return calls;
}

EngineOptions with_buffer_when_busy(std::uint32_t workers, bool buffer) {
  EngineOptions options = stress::options_for(workers, 1, true);
  options.buffer_when_busy = buffer;
  return options;
}

}  // namespace

TEST_WITHIN("calls: a busy connection waits with its read, which saves the zero-byte read of every turn", 60) {
  const Calls never = calls_of_an_echo(with_buffer_when_busy(1, false), 1, 1);
  const Calls busy = calls_of_an_echo(with_buffer_when_busy(1, true), 1, 1);
  CHECK(never.zero_byte_reads > 0.9);
  // A pause of the whole machine may make a busy connection look idle for a turn.
  CHECK(busy.zero_byte_reads < 0.3);
  CHECK(busy.reads < 1.1 && busy.empty_reads < 0.3 && busy.writes < 1.1);
  CHECK(busy.sum() < never.sum() - 0.5);
}

TEST_WITHIN("calls: packages that come together share their calls", 60) {
  for (const std::uint32_t workers : {1U, 2U, 4U}) {
    for (const bool buffer : {false, true}) {
      const Calls alone = calls_of_an_echo(with_buffer_when_busy(workers, buffer), 64, 1);
      const Calls together = calls_of_an_echo(with_buffer_when_busy(workers, buffer), 64, 16);
      CHECK(together.sum() < alone.sum() / 4);
    }
  }
}
