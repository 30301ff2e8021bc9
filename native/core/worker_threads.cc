// The loop of an I/O thread.
#include "core/worker_threads.h"

#include <chrono>
#include <system_error>

#include "core/worker.h"

namespace iocp {

std::uint64_t monotonic_ms() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

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

}  // namespace iocp
