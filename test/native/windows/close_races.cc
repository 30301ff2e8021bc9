// Sockets that are closed while other threads take their packets, and what is left in the process afterwards.
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <random>
#include <thread>
#include <vector>

#include "port/port.h"
#include "stress/engines.h"
#include "stress/traffic.h"
#include "support/test.h"
#include "windows/winsock_faults.h"

using iocp::AcceptOperation;
using iocp::Address;
using iocp::CloseMode;
using iocp::Completion;
using iocp::ConstBytes;
using iocp::MutableBytes;
using iocp::Operation;
using iocp::Port;
using iocp::Socket;
using iocp::Status;
using iocp::Submission;

namespace {

constexpr std::size_t kThreads = 3;
constexpr int kRounds = 150;
constexpr std::int32_t kLongMs = 60'000;

// Everything that can be pending on one connection, with a count of how often each was told complete.
struct End {
  static constexpr std::size_t kReads = 4;

  Socket* socket = nullptr;
  std::array<Operation, kReads + 3> operations;
  std::array<std::array<std::uint8_t, 32>, kReads> targets = {};
  std::array<std::uint8_t, 512> bytes = {};
  ConstBytes slice = bytes;

  Operation& zero_byte_read() { return operations[kReads]; }
  Operation& write() { return operations[kReads + 1]; }
  Operation& hang_up() { return operations[kReads + 2]; }
};

// Threads that take packets and count, per operation, how often it was told complete.
class Takers {
 public:
  explicit Takers(Port* port) : port_(port) {
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads_[i] = std::thread([this, i] {
        loop();
        // One packet wakes one thread, so each that ends wakes the next.
        port_->post(&wakers_[i]);
      });
    }
  }
  ~Takers() {
    stopping_.store(true);
    port_->post(&wakers_[kThreads]);
    for (std::thread& each : threads_) each.join();
    std::array<Completion, 64> rest;
    while (port_->wait(rest, 0) != 0) continue;
  }
  Takers(const Takers&) = delete;
  Takers& operator=(const Takers&) = delete;

  // The owner of an operation is the count of its completions.
  void submitted(const Operation& operation, const Submission& submission) {
    auto& count = *static_cast<std::atomic<std::uint32_t>*>(operation.owner);
    if (!submission.pending) count.fetch_add(1);
  }

 private:
  void loop() {
    std::array<Completion, 8> batch;
    while (!stopping_.load()) {
      const std::size_t taken = port_->wait(batch, kLongMs);
      for (std::size_t i = 0; i < taken; ++i) {
        auto* const count = static_cast<std::atomic<std::uint32_t>*>(batch[i].operation->owner);
        if (count != nullptr) count->fetch_add(1);
      }
    }
  }

  Port* const port_;
  std::atomic<bool> stopping_{false};
  std::array<Operation, kThreads + 1> wakers_;
  std::array<std::thread, kThreads> threads_;
};

void wait_until(const std::atomic<std::uint32_t>& count) {
  while (count.load() == 0) std::this_thread::yield();
}

// One connection, all its operations pending, closed at a moment of chance while bytes arrive.
void race(Port& port, Takers& takers, Socket* listener, const Address& address, std::mt19937_64& random) {
  std::deque<std::atomic<std::uint32_t>> counts(2 + 2 * 7);
  AcceptOperation accept;
  Operation connect;
  accept.owner = &counts[0];
  connect.owner = &counts[1];
  takers.submitted(accept, port.submit_accept(&accept, listener));
  std::array<End, 2> ends;
  REQUIRE(port.open_stream(iocp::Family::ipv4, {}, nullptr, &ends[0].socket) == Status::ok);
  takers.submitted(connect, port.submit_connect(&connect, ends[0].socket, address, {}));
  wait_until(counts[0]);
  wait_until(counts[1]);
  REQUIRE(accept.accepted != iocp::RawSocket::none);
  REQUIRE(port.attach(accept.accepted, {}, &ends[1].socket) == Status::ok);
  for (std::size_t side = 0; side < ends.size(); ++side) {
    End& end = ends[side];
    for (std::size_t i = 0; i < end.operations.size(); ++i) end.operations[i].owner = &counts[2 + side * 7 + i];
    for (std::size_t i = 0; i < End::kReads; ++i) {
      takers.submitted(end.operations[i], port.submit_read(&end.operations[i], end.socket, end.targets[i]));
    }
    takers.submitted(end.zero_byte_read(), port.submit_zero_byte_read(&end.zero_byte_read(), end.socket));
    takers.submitted(end.hang_up(), port.submit_hang_up(&end.hang_up(), end.socket));
  }
  for (End& end : ends) {
    takers.submitted(end.write(), port.submit_write(&end.write(), end.socket, std::span(&end.slice, 1)));
  }
  for (std::uint64_t spins = random() % 2'000; spins > 0; --spins) std::atomic_signal_fence(std::memory_order_seq_cst);
  const std::size_t first = random() % 2;
  if (random() % 2 == 0) port.cancel(&ends[first].operations[random() % End::kReads], ends[first].socket);
  for (const std::size_t side : {first, 1 - first}) {
    port.close_socket(ends[side].socket, random() % 2 == 0 ? CloseMode::reset : CloseMode::normal);
  }
  for (const auto& count : counts) wait_until(count);
  for (const auto& count : counts) CHECK_EQ(count.load(), 1U);
}

void storm(std::uint32_t workers, std::uint32_t connections) {
  std::mt19937_64 random(test::seed());
  stress::StormServer serving(random());
  stress::Owner server(stress::options_for(workers, 4, true), serving);
  stress::StormClient storming(random(), server.listen(), connections);
  stress::Owner client(stress::options_for(workers, 1, true), storming);
  client.run([&] { storming.begin(client, 16); });
  storming.answered.wait_for(connections);
  stress::close(client);
  stress::close(server);
  // The ports insist on it when they are closed: no socket and no operation is left.
  stress::stop_and_check(client);
  stress::stop_and_check(server);
}

}  // namespace

TEST_WITHIN("windows: a socket closed while three threads take its packets completes each operation once", 60) {
  std::mt19937_64 random(test::seed());
  Port port;
  REQUIRE(port.open() == Status::ok);
  iocp::ListenOptions options;
  REQUIRE(iocp::parse_ip("127.0.0.1", 0, &options.address));
  Socket* listener = nullptr;
  Address address;
  REQUIRE(port.listen(options, &listener, &address) == Status::ok);
  {
    Takers takers(&port);
    for (int round = 0; round < kRounds && !test::case_failed(); ++round) {
      test::context("round " + std::to_string(round));
      race(port, takers, listener, address, random);
    }
  }
  port.close_socket(listener, CloseMode::normal);
  port.close();
}

TEST_WITHIN("windows: a storm of connects and disconnects leaves no socket behind", 60) {
  for (const std::uint32_t workers : {1U, 2U, 4U}) {
    storm(workers, 150);
    CHECK_EQ(windows_test::open_sockets(), 0);
  }
}
