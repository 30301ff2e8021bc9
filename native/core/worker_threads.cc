// The loops of I/O threads.
#include "core/worker_threads.h"

#include <chrono>
#include <system_error>

#include "core/worker.h"
#include "port/check.h"
#include "port/mutex.h"

namespace iocp {

std::uint64_t monotonic_ns() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

std::uint64_t monotonic_ms() noexcept { return monotonic_ns() / 1'000'000; }

bool WorkerThreads::start(Engine& engine) {
  engine_ = &engine;
  stopping_.store(false);
  threads_.reserve(engine.worker_count());
  for (std::size_t i = 0; i < engine.worker_count(); ++i) {
    // std::thread reports exhaustion by an exception; it ends here (this file alone is compiled with exceptions).
    try {
      threads_.emplace_back([this, i] { run(i); });
    } catch (const std::system_error&) {
      stop();
      return false;
    }
  }
  return true;
}

void WorkerThreads::run(std::size_t worker_index) {
  Worker& worker = engine_->worker(worker_index);
  while (!stopping_.load(std::memory_order_acquire)) {
    worker.collect(worker.sleep_limit_ms(monotonic_ms()));
    worker.step(monotonic_ms());
  }
  // One wake rouses one of the threads that may sleep in a lane; each passes it on as it leaves.
  worker.lane().wake();
}

void WorkerThreads::stop() {
  stopping_.store(true, std::memory_order_release);
  // Without threads there is nobody to wake, and the lanes may be closed already.
  if (!threads_.empty()) {
    for (std::size_t i = 0; i < engine_->lane_count(); ++i) engine_->lane(i).wake();
    for (std::thread& thread : threads_) thread.join();
  }
  threads_.clear();
}

bool DiskThread::start(DiskQueue& queue) {
  if (thread_.joinable()) return true;
  stopping_.store(false);
  queue_ = &queue;
  try {
    thread_ = std::thread([this, &queue] { run(queue); });
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

void DiskThread::run(DiskQueue& queue) {
  for (;;) {
    const std::uint32_t seen = queue.bell.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_acquire)) return;
    if (!queue.step()) wait_on_word(queue.bell, seen);
  }
}

void DiskThread::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  queue_->bell.fetch_add(1, std::memory_order_release);
  wake_word(queue_->bell);
  thread_.join();
}

bool StandbyThread::take_over() {
  IOCP_CHECK(owner_steps_ && engine_.worker_count() == 1);
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error&) {
      return false;
    }
  }
  owner_steps_ = false;
  engine_.hand_over(0, true);
  // The token passes here, and with it all that this thread did to the lane.
  state_.store(kStepping, std::memory_order_release);
  wake_word(state_);
  return true;
}

void StandbyThread::recall() {
  std::uint32_t expected = kStepping;
  if (!state_.compare_exchange_strong(expected, kRecalled, std::memory_order_acq_rel)) return;
  // After the state: a thread that this wakes, or that was about to sleep, sees it.
  engine_.lane(0).wake();
}

bool StandbyThread::reclaim() {
  if (owner_steps_ || state_.load(std::memory_order_acquire) != kResting) return false;
  owner_steps_ = true;
  engine_.hand_over(0, false);
  return true;
}

void StandbyThread::stop() {
  if (!thread_.joinable()) return;
  const std::uint32_t before = state_.exchange(kEnding, std::memory_order_acq_rel);
  wake_word(state_);
  if (before != kResting) engine_.lane(0).wake();
  thread_.join();
  owner_steps_ = true;
  engine_.hand_over(0, false);
  state_.store(kResting, std::memory_order_relaxed);
}

void StandbyThread::run() {
  for (;;) {
    switch (state_.load(std::memory_order_acquire)) {
      case kResting:
        wait_on_word(state_, kResting);
        break;
      case kStepping:
        step_until_recalled();
        break;
      case kRecalled: {
        // The token is put down here, unless stop() was quicker; the lane must not be touched afterwards.
        std::uint32_t expected = kRecalled;
        if (state_.compare_exchange_strong(expected, kResting, std::memory_order_acq_rel)) {
          put_down_.ring(put_down_.context);
        }
        break;
      }
      case kEnding:
        return;
      default:
        IOCP_UNREACHABLE("a state of no name");
    }
  }
}

void StandbyThread::step_until_recalled() {
  Worker& worker = engine_.worker(0);
  std::uint64_t now_ns = monotonic_ns();
  while (state_.load(std::memory_order_acquire) == kStepping) {
    worker.collect(worker.sleep_limit_ms(now_ns / 1'000'000));
    const std::uint64_t begin_ns = monotonic_ns();
    worker.step(begin_ns / 1'000'000);
    now_ns = monotonic_ns();
    stepping_ns_.fetch_add(now_ns - begin_ns, std::memory_order_relaxed);
  }
}

}  // namespace iocp
