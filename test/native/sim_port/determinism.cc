// One seed, one run: a busy echo exchange under every fault must leave the same trace each time, lose no byte that
// was not reset away, and leave nothing behind.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim_port/sim_fixture.h"
#include "support/test.h"

using iocp::Completion;
using iocp::Operation;
using iocp::SimFaults;
using iocp::SimPeer;
using iocp::Socket;
using iocp::Status;
using sim_test::Fixture;
using sim_test::kOptions;

namespace {

constexpr std::size_t kPeers = 4;
constexpr std::size_t kBytesPerPeer = 20'000;

// A server connection that sends back what it reads, one operation at a time.
struct Echo {
  Socket* socket = nullptr;
  Operation operation;
  std::array<std::uint8_t, 1500> buffer = {};
  std::size_t filled = 0;
  std::size_t written = 0;
  iocp::ConstBytes slice;
};

class EchoServer {
 public:
  explicit EchoServer(Fixture* test) : test_(test), listener_(test->listen()) { accept(); }

  void step(std::int32_t timeout_ms) {
    std::array<Completion, 3> batch;
    const std::size_t count = test_->port.wait(batch, timeout_ms);
    for (std::size_t index = 0; index < count; ++index) {
      if (batch[index].operation == &accept_) {
        on_accept(batch[index].status);
        if (listener_ != nullptr) accept();
      } else {
        on_io(static_cast<Echo*>(batch[index].operation->owner), batch[index].status, batch[index].bytes);
      }
    }
  }

  void close() {
    test_->port.close_socket(std::exchange(listener_, nullptr), iocp::CloseMode::normal);
    for (const auto& echo : echoes_) {
      if (echo->socket != nullptr)
        test_->port.close_socket(std::exchange(echo->socket, nullptr), iocp::CloseMode::reset);
    }
    while (test_->world.audit().operations != 0) step(-1);
  }

 private:
  void accept() {
    for (;;) {
      const iocp::Submission submission = test_->port.submit_accept(&accept_, listener_);
      if (submission.pending) return;
      on_accept(submission.status);
    }
  }

  void on_accept(Status status) {
    if (status != Status::ok) return;
    auto echo = std::make_unique<Echo>();
    echo->operation.owner = echo.get();
    if (test_->port.attach(accept_.accepted, kOptions, &echo->socket) != Status::ok) return;
    echoes_.push_back(std::move(echo));
    proceed(echoes_.back().get());
  }

  // Submits until something is pending or the connection is over.
  void proceed(Echo* echo) {
    while (echo->socket != nullptr) {
      const bool writing = echo->written < echo->filled;
      echo->slice = iocp::ConstBytes(echo->buffer).subspan(echo->written, echo->filled - echo->written);
      const iocp::Submission submission =
          writing ? test_->port.submit_write(&echo->operation, echo->socket, std::span(&echo->slice, 1))
                  : test_->port.submit_read(&echo->operation, echo->socket, echo->buffer);
      if (submission.pending) return;
      take(echo, submission.status, submission.bytes);
    }
  }

  void on_io(Echo* echo, Status status, std::uint32_t bytes) {
    take(echo, status, bytes);
    proceed(echo);
  }

  void take(Echo* echo, Status status, std::uint32_t bytes) {
    if (echo->socket == nullptr || status == Status::no_buffer_space) return;
    const bool wrote = echo->operation.kind == iocp::OperationKind::write;
    if (status != Status::ok || (!wrote && bytes == 0)) {
      return test_->port.close_socket(std::exchange(echo->socket, nullptr), iocp::CloseMode::normal);
    }
    if (wrote) {
      echo->written += bytes;
    } else {
      echo->filled = bytes;
      echo->written = 0;
    }
  }

  Fixture* test_;
  Socket* listener_;
  iocp::AcceptOperation accept_;
  std::vector<std::unique_ptr<Echo>> echoes_;
};

std::string stream_of(std::size_t peer) {
  std::string text(kBytesPerPeer, '\0');
  for (std::size_t index = 0; index < text.size(); ++index) text[index] = static_cast<char>('a' + (index + peer) % 26);
  return text;
}

struct Outcome {
  std::uint64_t trace_hash = 0;
  std::uint64_t virtual_ms = 0;
  std::size_t complete = 0;   // peers that got every byte back
  std::size_t corrupted = 0;  // peers that got a byte that is not theirs
  iocp::SimAudit audit;
};

Outcome run_echo(const SimFaults& faults, std::uint64_t seed) {
  Fixture test(faults, seed);
  Outcome outcome;
  {
    EchoServer server(&test);
    std::vector<SimPeer> peers;
    std::array<std::string, kPeers> received;
    for (std::size_t index = 0; index < kPeers; ++index) {
      peers.push_back(test.world.connect_peer(test.bound));
      peers.back().send(stream_of(index));
      peers.back().finish();
    }
    const std::uint64_t deadline = test.world.now_ms() + 600'000;
    for (bool over = false; !over && test.world.now_ms() < deadline;) {
      server.step(1);
      over = true;
      for (std::size_t index = 0; index < kPeers; ++index) {
        received[index] += peers[index].receive_text(700);
        over = over && (peers[index].status() != Status::ok || peers[index].ended());
      }
    }
    for (std::size_t index = 0; index < kPeers; ++index) {
      outcome.complete += received[index].size() == kBytesPerPeer ? 1 : 0;
      outcome.corrupted += stream_of(index).starts_with(received[index]) ? 0 : 1;
    }
    server.close();
  }
  CHECK(test.world.advance_until_idle());
  outcome.trace_hash = test.world.trace_hash();
  outcome.virtual_ms = test.world.now_ms();
  outcome.audit = test.world.audit();
  return outcome;
}

}  // namespace

TEST("sim: the same seed gives the same run, byte for byte") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Outcome first = run_echo(SimFaults::hostile(), seed);
    const Outcome second = run_echo(SimFaults::hostile(), seed);
    CHECK_EQ(first.trace_hash, second.trace_hash);
    CHECK_EQ(first.virtual_ms, second.virtual_ms);
  }
}

TEST("sim: another seed gives another run") {
  CHECK(run_echo(SimFaults::gentle(), 1).trace_hash != run_echo(SimFaults::gentle(), 2).trace_hash);
}

TEST("sim: on a boring network every byte comes back, without a seed mattering") {
  const Outcome first = run_echo({}, 1);
  CHECK_EQ(first.complete, kPeers);
  CHECK_EQ(first.trace_hash, run_echo({}, 2).trace_hash);
}

TEST("sim: gentle faults lose nothing and leave nothing behind") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome outcome = run_echo(SimFaults::gentle(), seed);
    CHECK_EQ(outcome.complete, kPeers);
    CHECK_EQ(outcome.corrupted, 0U);
    CHECK(outcome.audit == iocp::SimAudit());
  }
}

TEST("sim: hostile faults break connections, never bytes, and leave nothing behind") {
  std::size_t broken = 0;
  const std::uint64_t start = test::seed();
  for (std::uint64_t seed = start; seed < start + 20; ++seed) {
    const Outcome outcome = run_echo(SimFaults::hostile(), seed);
    broken += kPeers - outcome.complete;
    CHECK_EQ(outcome.corrupted, 0U);
    CHECK(outcome.audit == iocp::SimAudit());
  }
  CHECK(broken > 0);
}
