// What the completion port itself costs: one program per backend, so that the system's share can be told from ours.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "counted.h"
#include "port/check.h"
#include "port/port.h"

namespace {

using iocp::Completion;
using iocp::ConstBytes;
using iocp::Operation;
using iocp::Port;
using iocp::Socket;
using iocp::Status;
using iocp::Submission;

constexpr std::int32_t kPatienceMs = 5'000;

// A port with one connection to itself.
class Loop {
 public:
  Loop() {
    IOCP_CHECK(port.open() == Status::ok);
    iocp::ListenOptions where;
    iocp::Address bound;
    IOCP_CHECK(iocp::parse_ip("127.0.0.1", 0, &where.address));
    IOCP_CHECK(port.listen(where, &listener_, &bound) == Status::ok);
    iocp::AcceptOperation accept;
    Operation connect;
    const iocp::SocketOptions options;
    IOCP_CHECK(port.open_stream(bound.family, options, nullptr, &client) == Status::ok);
    finish(port.submit_accept(&accept, listener_), port.submit_connect(&connect, client, bound, ""));
    IOCP_CHECK(accept.accepted != iocp::RawSocket::none);
    IOCP_CHECK(port.attach(accept.accepted, options, &server) == Status::ok);
  }

  ~Loop() {
    port.close_socket(client, iocp::CloseMode::reset);
    port.close_socket(server, iocp::CloseMode::reset);
    port.close_socket(listener_, iocp::CloseMode::reset);
    port.close();
  }

  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Waits until the operation of every pending submission has completed with ok.
  template <typename... Submissions>
  void finish(const Submissions&... submissions) {
    std::size_t pending = (... + (submissions.pending ? 1 : 0));
    while (pending > 0) {
      const std::size_t count = port.wait(completions_, kPatienceMs);
      IOCP_CHECK(count > 0);
      for (std::size_t i = 0; i < count; ++i) IOCP_CHECK(completions_[i].status == Status::ok);
      pending -= count;
    }
  }

  // `from` writes, `to` waits without a buffer and reads what came.
  void send(Socket* from, Socket* to, ConstBytes bytes, iocp::MutableBytes target) {
    Operation read;
    Operation write;
    const Submission ready = port.submit_zero_byte_read(&read, to);
    const std::array<ConstBytes, 1> slices = {bytes};
    finish(ready, port.submit_write(&write, from, slices));
    std::uint32_t received = 0;
    while (received < bytes.size()) {
      std::uint32_t count = 0;
      const Status status = port.read_now(to, target.subspan(received), &count);
      if (status == Status::would_block) continue;
      IOCP_CHECK(status == Status::ok && count > 0);
      received += count;
    }
  }

  Port port;
  Socket* client = nullptr;
  Socket* server = nullptr;

 private:
  Socket* listener_ = nullptr;
  std::array<Completion, 16> completions_;
};

void post(benchmark::State& state) {
  Loop loop;
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<Operation> operations(count);
  std::array<Completion, 256> completions;
  for (auto _ : state) {
    for (Operation& operation : operations) loop.port.post(&operation);
    for (std::size_t seen = 0; seen < count;) seen += loop.port.wait(completions, kPatienceMs);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(post)->ArgName("at once")->Arg(1)->Arg(64)->Apply(counted);

void round_trip(benchmark::State& state) {
  Loop loop;
  const std::vector<std::uint8_t> bytes(static_cast<std::size_t>(state.range(0)), 'x');
  std::vector<std::uint8_t> target(bytes.size());
  for (auto _ : state) {
    loop.send(loop.client, loop.server, bytes, target);
    loop.send(loop.server, loop.client, bytes, target);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(round_trip)->ArgName("bytes")->Arg(64)->Arg(4096)->Apply(counted);

void read_now_that_finds_nothing(benchmark::State& state) {
  Loop loop;
  std::array<std::uint8_t, 64> target;
  std::uint32_t count = 0;
  for (auto _ : state) benchmark::DoNotOptimize(loop.port.read_now(loop.server, target, &count));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(read_now_that_finds_nothing)->Apply(counted);

}  // namespace
