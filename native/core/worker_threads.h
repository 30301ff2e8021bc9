// I/O threads: those that step an engine's workers all the time, and one that steps in when the owner has no time for
// it. The only place that starts threads or reads a clock; the workers themselves know neither.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/engine.h"

namespace iocp {

// Nanoseconds and milliseconds of one clock that never goes back.
std::uint64_t monotonic_ns() noexcept;
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

// A thread that does what may sleep for the disk. Started by the owner when there is something to do for it.
class DiskThread {
 public:
  DiskThread() = default;
  ~DiskThread() { stop(); }
  DiskThread(const DiskThread&) = delete;
  DiskThread& operator=(const DiskThread&) = delete;

  // The queue outlives stop(). False when the system has no more threads. Idempotent.
  bool start(DiskQueue& queue);
  // After the job it is at; others stay queued. Idempotent.
  void stop();

 private:
  void run(DiskQueue& queue);

  std::atomic<bool> stopping_{false};
  DiskQueue* queue_ = nullptr;
  std::thread thread_;
};

// An I/O thread that steps the one worker of the one lane of an engine while its owner has no time to, and rests
// otherwise. Who steps is a token with one holder:
//
//   owner --take_over()--> thread --recall()--> thread, for one more step --> nobody --reclaim()--> owner
//
// Only the owner moves it, but for the thread's putting it down. A step never begins without holding it, so no two are
// under way at once, and whoever takes it up sees all that the other did.
class StandbyThread {
 public:
  explicit StandbyThread(Engine& engine, Doorbell put_down) : engine_(engine), put_down_(put_down) {}
  ~StandbyThread() { stop(); }
  StandbyThread(const StandbyThread&) = delete;
  StandbyThread& operator=(const StandbyThread&) = delete;

  // --- owner ---------------------------------------------------------------------------------------------------

  // From here the thread steps. The owner holds the token and is not inside a step. False when the system has no more
  // threads: nothing changed then.
  bool take_over();
  // Asks for the token. The thread rings `put_down` when it has finished its step. Idempotent.
  void recall();
  // True when the owner may step again, at once: there may be something to do. False when it has to wait.
  bool reclaim();
  bool owner_steps() const noexcept { return owner_steps_; }
  bool recalled() const noexcept { return state_.load(std::memory_order_relaxed) == kRecalled; }
  // Ends the thread, wherever the token is; the owner holds it afterwards. take_over() starts another.
  void stop();
  // Time the thread has spent stepping so far, the current step not included.
  std::uint64_t stepping_ns() const noexcept { return stepping_ns_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t kResting = 0;
  static constexpr std::uint32_t kStepping = 1;
  static constexpr std::uint32_t kRecalled = 2;
  static constexpr std::uint32_t kEnding = 3;

  void run();
  void step_until_recalled();

  Engine& engine_;
  const Doorbell put_down_;
  std::atomic<std::uint32_t> state_{kResting};
  std::atomic<std::uint64_t> stepping_ns_{0};
  bool owner_steps_ = true;
  std::thread thread_;
};

}  // namespace iocp
