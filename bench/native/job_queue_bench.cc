// What a job costs in the queue alone: added by its owner, taken and finished by a worker, its result taken back. One
// thread plays both, so no wake-up is in the figures.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "core/bell.h"
#include "core/job_queue.h"
#include "counted.h"

namespace {

using iocp::JobOutcome;
using iocp::JobPayload;
using iocp::JobQueue;

constexpr std::uint32_t kWorker = 1;
constexpr std::uint32_t kPayloadBytes = 64;

class SilentBell final : public iocp::Bell {
 public:
  void ring() noexcept override {}
};

JobPayload payload() {
  JobPayload made;
  made.length = kPayloadBytes;
  made.bytes.reset(new std::uint8_t[kPayloadBytes]);
  std::memset(made.bytes.get(), 'x', kPayloadBytes);
  return made;
}

// `waiting`: jobs that wait at once; `priorities`: how many different ones they have.
void job_queue(benchmark::State& state) {
  const auto waiting = state.range(0);
  const auto priorities = state.range(1);
  JobQueue queue(JobQueue::kCapacityMax);
  queue.set_owner_bell(std::make_shared<SilentBell>());
  queue.attach(kWorker, std::make_shared<SilentBell>());
  std::vector<iocp::JobResult> results;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < waiting; ++i) {
      benchmark::DoNotOptimize(queue.add(payload(), static_cast<std::int32_t>(i % priorities), 0));
    }
    iocp::TakenJob job;
    while (queue.take(kWorker, 0, &job) == JobQueue::Take::job) {
      benchmark::DoNotOptimize(queue.finish(kWorker, job.id, JobOutcome::done, std::move(job.payload), 0));
    }
    results.clear();
    queue.take_results(&results);
  }
  queue.detach(kWorker);
  state.SetItemsProcessed(state.iterations() * waiting);
}
BENCHMARK(job_queue)->ArgNames({"waiting", "priorities"})->Args({1, 1})->Args({256, 1})->Args({256, 8})->Apply(counted);

}  // namespace
