// What the engine's queues, pools, timers and the sequencer cost per item.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/buffer_pool.h"
#include "core/limits.h"
#include "core/mailbox.h"
#include "core/send_queue.h"
#include "core/sequencer.h"
#include "core/shared_bytes.h"
#include "core/timer_wheel.h"
#include "counted.h"

namespace {

using iocp::ConstBytes;

void buffer_pool(benchmark::State& state) {
  iocp::BufferPool pool(iocp::kSendBufferBytes, 1024);
  for (auto _ : state) {
    void* buffer = pool.acquire();
    benchmark::DoNotOptimize(buffer);
    pool.release(buffer);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(buffer_pool)->Apply(counted);

// One turn of a connection: `packages` small ones in, gathered, written.
void send_queue_copies(benchmark::State& state) {
  iocp::BufferPool pool(iocp::kSendBufferBytes, 1024);
  iocp::SendQueue queue;
  const auto packages = state.range(0);
  const std::array<std::uint8_t, 4> header = {64, 0, 0, 0};
  const std::vector<std::uint8_t> payload(64, 'x');
  std::array<ConstBytes, iocp::Port::kMaxSlices> slices;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < packages; ++i) benchmark::DoNotOptimize(queue.append_copy(pool, {header, payload}));
    benchmark::DoNotOptimize(queue.gather(slices));
    queue.consume(pool, queue.queued_bytes());
  }
  state.SetItemsProcessed(state.iterations() * packages);
}
BENCHMARK(send_queue_copies)->ArgName("packages")->Arg(1)->Arg(16)->Arg(256)->Apply(counted);

// The same package to one connection of a broadcast.
void send_queue_shared(benchmark::State& state) {
  iocp::BufferPool pool(iocp::kSendBufferBytes, 1024);
  iocp::SendQueue queue;
  iocp::SharedBytes* bytes = iocp::SharedBytes::create(68);
  std::array<ConstBytes, iocp::Port::kMaxSlices> slices;
  for (auto _ : state) {
    benchmark::DoNotOptimize(queue.append_shared(bytes));
    benchmark::DoNotOptimize(queue.gather(slices));
    queue.consume(pool, queue.queued_bytes());
  }
  bytes->release();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(send_queue_shared)->Apply(counted);

// Records in, batch out, a new slab when one is used up: what one package costs between worker and owner.
void mailbox(benchmark::State& state) {
  const auto per_batch = state.range(0);
  constexpr std::size_t kSlabBytes = std::size_t{64} * 1024;
  iocp::Mailbox mailbox;
  std::vector<std::unique_ptr<std::uint64_t[]>> slabs;
  const auto supply = [&](std::uint32_t index) {
    mailbox.supply(index, reinterpret_cast<std::uint8_t*>(slabs[index].get()), kSlabBytes);
  };
  for (std::uint32_t i = 0; i < 4; ++i) {
    slabs.push_back(std::make_unique<std::uint64_t[]>(kSlabBytes / sizeof(std::uint64_t)));
    supply(i);
  }
  const std::vector<std::uint8_t> payload(64, 'x');
  iocp::Mailbox::Batch batch;
  for (auto _ : state) {
    {
      iocp::Mailbox::Writer writer(mailbox);
      for (std::int64_t i = 0; i < per_batch; ++i) benchmark::DoNotOptimize(writer.package(1, payload));
    }
    benchmark::DoNotOptimize(mailbox.wants_ring());
    mailbox.take(&batch);
    for (const iocp::Mailbox::Range& range : batch.ranges) {
      if (range.retired) supply(range.slab_index);
    }
  }
  state.SetItemsProcessed(state.iterations() * per_batch);
}
BENCHMARK(mailbox)->ArgName("packages")->Arg(1)->Arg(16)->Arg(256)->Apply(counted);

// Numbers issued in order and completed in reverse, the worst case.
void sequencer(benchmark::State& state) {
  const auto pending = static_cast<std::uint32_t>(state.range(0));
  iocp::Sequencer<int> sequencer(pending);
  std::vector<int> items(pending);
  std::vector<std::uint64_t> numbers(pending);
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < pending; ++i) numbers[i] = sequencer.issue();
    for (std::uint32_t i = pending; i-- > 0;) sequencer.park(numbers[i], &items[i]);
    while (sequencer.take() != nullptr) {
    }
  }
  state.SetItemsProcessed(state.iterations() * pending);
}
BENCHMARK(sequencer)->ArgName("pending")->Arg(1)->Arg(4)->Arg(16)->Apply(counted);

// What an idle time-out costs a connection that receives: set again, thousands of others waiting.
void timer_wheel_reschedule(benchmark::State& state) {
  iocp::TimerWheel wheel;
  std::vector<iocp::TimerNode> nodes(10'000);
  std::uint64_t now = 1'000;
  for (std::size_t i = 0; i < nodes.size(); ++i) wheel.schedule(&nodes[i], now + 30'000 + i);
  std::size_t next = 0;
  for (auto _ : state) {
    wheel.schedule(&nodes[next], ++now + 30'000);
    next = (next + 7) % nodes.size();
  }
  for (iocp::TimerNode& node : nodes) wheel.cancel(&node);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(timer_wheel_reschedule)->Apply(counted);

}  // namespace
