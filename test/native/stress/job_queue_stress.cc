// The job queue with real threads: workers that come, die and retire while an owner adds and cancels. Every job ends
// once, and nobody sleeps while there is work.
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/job_queue.h"
#include "core/worker_threads.h"
#include "support/test.h"

using iocp::Bell;
using iocp::JobId;
using iocp::JobOutcome;
using iocp::JobQueue;
using iocp::JobResult;
using iocp::TakenJob;
using Take = iocp::JobQueue::Take;

namespace {

constexpr std::size_t kJobs = 40'000;

class SleepingBell : public Bell {
 public:
  void ring() noexcept override {
    const std::lock_guard guard(mutex_);
    rung_ = true;
    condition_.notify_one();
  }
  void sleep() {
    std::unique_lock guard(mutex_);
    condition_.wait(guard, [&] { return rung_; });
    rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool rung_ = false;
};

std::uint64_t now_us() { return iocp::monotonic_ms() * 1000; }

// Takes jobs until it is told to retire, or dies with one in its hands.
void work(JobQueue& queue, std::uint32_t worker, std::shared_ptr<SleepingBell> bell, std::size_t dies_after) {
  for (std::size_t taken = 0;;) {
    TakenJob job;
    switch (queue.take(worker, now_us(), &job)) {
      case Take::none:
        bell->sleep();
        continue;
      case Take::retire:
        queue.detach(worker);
        return;
      case Take::job:
        break;
    }
    if (++taken == dies_after) {
      queue.detach(worker);
      return;
    }
    std::vector<JobId> cancelled;
    queue.take_cancelled(worker, &cancelled);
    queue.finish(worker, job.id, JobOutcome::done, std::move(job.payload), now_us());
  }
}

}  // namespace

TEST_WITHIN("job queue: with threads that come, die and retire, each job ends once", 60) {
  JobQueue queue(500);
  auto owner = std::make_shared<SleepingBell>();
  queue.set_owner_bell(owner);
  std::vector<std::thread> threads;
  std::uint32_t next_worker = 1;
  const auto hire = [&](std::size_t dies_after) {
    auto bell = std::make_shared<SleepingBell>();
    queue.attach(next_worker, bell);
    threads.emplace_back(work, std::ref(queue), next_worker, bell, dies_after);
    ++next_worker;
  };
  for (int i = 0; i < 3; ++i) hire(0);

  std::map<JobId, int> ended;
  std::vector<JobResult> results;
  std::size_t added = 0;
  std::size_t died = 0;
  while (ended.size() < kJobs) {
    bool full = false;
    while (added < kJobs && !full) {
      const JobId id = queue.add({}, static_cast<std::int32_t>(added % 3), now_us());
      full = id == 0;
      if (full) break;
      ++added;
      if (added % 97 == 0 && queue.cancel(id) == JobQueue::Cancelled::removed) ++ended[id];
      if (added % 4'000 == 0) {
        hire(50);
        hire(0);
        queue.retire(next_worker - 3);
      }
    }
    if (ended.size() == kJobs) break;
    owner->sleep();
    results.clear();
    queue.take_results(&results);
    for (const JobResult& result : results) {
      ++ended[result.id];
      if (result.outcome == JobOutcome::worker_died) ++died;
    }
  }
  for (std::uint32_t worker = 1; worker < next_worker; ++worker) queue.retire(worker);
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(ended.size(), kJobs);
  for (const auto& [id, times] : ended) CHECK_EQ(times, 1);
  CHECK(died > 0);
  CHECK_EQ(queue.figures().waiting + queue.figures().running, 0U);
}
