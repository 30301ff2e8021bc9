// I/O threads: one per worker of an engine. The only place that starts threads or reads a clock; the workers
// themselves know neither.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/engine.h"

namespace iocp {

// Milliseconds of a clock that never goes back.
std::uint64_t monotonic_ms() noexcept;

class WorkerThreads {
 public:
  WorkerThreads() = default;
  ~WorkerThreads() { stop(); }
  WorkerThreads(const WorkerThreads&) = delete;
  WorkerThreads& operator=(const WorkerThreads&) = delete;

  // The engine was started with wake_workers and outlives stop(). False when the system has no more threads; none
  // runs then.
  bool start(Engine& engine);
  // Wakes and joins all. Idempotent.
  void stop();
  std::size_t count() const noexcept { return threads_.size(); }

 private:
  void run(std::size_t worker_index);

  Engine* engine_ = nullptr;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace iocp
