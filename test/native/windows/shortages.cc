// The engine on a Windows that is short of buffers: WSAENOBUFS loses no byte, disturbs no order and leaves no
// connection behind, and when the shortage is over everything is as it was before.
#include <string>
#include <thread>

#include "core/limits.h"
#include "stress/engines.h"
#include "stress/traffic.h"
#include "support/test.h"
#include "windows/winsock_faults.h"

using iocp::EngineOptions;
using stress::EchoClient;
using stress::EchoServer;
using stress::Owner;
using windows_test::Request;
using windows_test::ScopedFaults;
using windows_test::WinsockCalls;
using windows_test::WinsockFaults;

namespace {

constexpr std::uint32_t kAlways = 1'000;

std::uint64_t made(const WinsockCalls& calls, Request request) { return calls.made[static_cast<std::size_t>(request)]; }

std::uint64_t refused(const WinsockCalls& calls, Request request) {
  return calls.refused[static_cast<std::size_t>(request)];
}

WinsockFaults now_and_then() {
  WinsockFaults faults;
  faults.at_once.fill(60);
  faults.later.fill(60);
  faults.largest_write_bytes = 64 * 1024;
  return faults;
}

WinsockFaults no_locked_reads() {
  WinsockFaults faults;
  faults.at_once[static_cast<std::size_t>(Request::read)] = kAlways;
  return faults;
}

std::uint64_t shortages_of(Owner& owner) {
  double figure = 0;
  owner.run([&] { figure = owner.figure("bufferShortages"); });
  return static_cast<std::uint64_t>(figure);
}

void every_way_to_read(std::uint32_t workers) {
  WinsockCalls calls;
  {
    const ScopedFaults faults(now_and_then(), test::seed());
    for (const std::uint32_t pending_reads : {1U, 4U, 16U}) {
      for (const bool zero_byte_reads : {true, false}) {
        const EngineOptions options = stress::options_for(workers, pending_reads, zero_byte_reads);
        test::context(stress::description(options));
        stress::echo(options, 60);
      }
    }
    calls = windows_test::winsock_calls();
  }
  for (std::size_t i = 0; i < windows_test::kRequests; ++i) CHECK(calls.refused[i] > 0);
}

// Sends one package there and back, again and again, until `done`.
template <typename Done>
void until(Owner& client, EchoServer& serving, Done done) {
  std::uint64_t seen = 0;
  for (;;) {
    bool over = false;
    client.run([&] { over = done(); });
    if (over) return;
    serving.packages.wait_for(seen += 50);
  }
}

}  // namespace

TEST_WITHIN("windows: short of buffers now and then, one worker loses nothing, whatever way it reads", 60) {
  every_way_to_read(1);
}

TEST_WITHIN("windows: short of buffers now and then, two workers lose nothing, whatever way they read", 60) {
  every_way_to_read(2);
}

TEST_WITHIN("windows: short of buffers now and then, four workers lose nothing, whatever way they read", 60) {
  every_way_to_read(4);
}

TEST_WITHIN("windows: where no read buffer can be locked, zero-byte reads serve, and few calls are wasted", 60) {
  for (const std::uint32_t pending_reads : {1U, 4U, 16U}) {
    for (const bool zero_byte_reads : {true, false}) {
      const EngineOptions options = stress::options_for(2, pending_reads, zero_byte_reads);
      test::context(stress::description(options));
      const ScopedFaults faults(no_locked_reads(), test::seed());
      stress::echo(options, 150);
      const WinsockCalls calls = windows_test::winsock_calls();
      CHECK(refused(calls, Request::read) > 0);
      CHECK_EQ(refused(calls, Request::read), made(calls, Request::read));
      CHECK(made(calls, Request::zero_byte_read) > 0);
      // 12 ends of connections: a few refusals each to learn it, then one in kTurnsToGrow turns.
      const std::uint64_t turns = made(calls, Request::read_now);
      CHECK(refused(calls, Request::read) <= 12 * 8 + turns / iocp::kTurnsToGrow);
    }
  }
}

TEST_WITHIN("windows: when the shortage is over, as many reads are pending as before it", 60) {
  constexpr std::uint32_t kPendingReads = 4;
  const EngineOptions options = stress::options_for(2, kPendingReads, false);
  EchoServer serving(false);
  EchoClient connecting(UINT32_MAX, false);
  Owner server(options, serving);
  Owner client(options, connecting);
  {
    const ScopedFaults faults(no_locked_reads(), test::seed());
    stress::connect(client, server.listen(), 1);
    serving.packages.wait_for(500);
    CHECK_EQ(server.engine().read_buffers().counts().in_use, 0U);
  }
  const std::uint64_t met = shortages_of(server);
  CHECK(met > 0);
  until(client, serving, [&] { return server.engine().read_buffers().counts().in_use == kPendingReads; });
  CHECK_EQ(shortages_of(server), met);
  stress::close(client);
  stress::close(server);
  stress::stop_and_check(client);
  stress::stop_and_check(server);
}

TEST_WITHIN("windows: a write that the system cannot lock is made smaller until it can", 60) {
  WinsockFaults only_small_writes;
  only_small_writes.largest_write_bytes = iocp::kLeastWriteBytes;
  const ScopedFaults faults(only_small_writes, test::seed());
  stress::echo(stress::options_for(2, 1, true), 60);
  const WinsockCalls calls = windows_test::winsock_calls();
  CHECK(refused(calls, Request::write) > 0);
  CHECK(made(calls, Request::write) > refused(calls, Request::write));
}
