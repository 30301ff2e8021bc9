// The host's loop, the clock and the threads of the simulated addon, in place of host_loop_posix.cc and
// worker_threads.cc: nothing here runs by itself, and time is the simulated world's.
#include "simulated/host.h"

#include <algorithm>

#include "binding/host_loop.h"
#include "core/worker_threads.h"
#include "port/check.h"
#include "port/sim/sim_world.h"

namespace simulated {

Host& host() {
  static Host the_host;
  return the_host;
}

}  // namespace simulated

namespace iocp {

using simulated::host;
using simulated::kNever;

// --- the loop ------------------------------------------------------------------------------------------------------

struct HostLoop::Handles : simulated::Loop {};

bool HostLoop::available(napi_env) noexcept { return true; }

HostLoop::~HostLoop() { IOCP_CHECK(handles_ == nullptr); }

bool HostLoop::open(napi_env, int, Callback on_ready, void* context) {
  handles_ = new Handles;
  handles_->number = ++host().loops_opened;
  handles_->on_ready = on_ready;
  handles_->ready_context = context;
  host().loops.push_back(handles_);
  return true;
}

void HostLoop::plan(std::int32_t delay_ms) {
  if (handles_ == nullptr) return;
  const std::uint64_t now_ms = SimWorld::current().now_ms();
  handles_->planned_ms = delay_ms < 0 ? kNever : now_ms + static_cast<std::uint64_t>(delay_ms);
}

void HostLoop::pause() {}

bool HostLoop::resume() { return true; }

bool HostLoop::may_wait() const noexcept { return true; }

std::uint64_t HostLoop::idle_ns() const noexcept { return 0; }

void HostLoop::ref() {}

void HostLoop::unref() {}

void HostLoop::close(Callback on_closed, void* context) {
  handles_->on_closed = on_closed;
  handles_->closed_context = context;
  std::erase(host().loops, handles_);
  host().closing.push_back(handles_);
  handles_ = nullptr;
}

// --- the clock and the threads -------------------------------------------------------------------------------------

std::uint64_t monotonic_ns() noexcept { return SimWorld::current().now_ms() * 1'000'000; }

std::uint64_t monotonic_ms() noexcept { return SimWorld::current().now_ms(); }

bool DiskThread::start(DiskQueue& queue) {
  if (queue_ != nullptr) return true;
  queue_ = &queue;
  host().disks.push_back(&queue);
  return true;
}

void DiskThread::stop() {
  std::erase(host().disks, queue_);
  queue_ = nullptr;
}

// An engine that would have threads is no engine for a simulation.
bool WorkerThreads::start(Engine&) { return false; }

void WorkerThreads::stop() {}

bool StandbyThread::take_over() { return false; }

void StandbyThread::recall() {}

bool StandbyThread::reclaim() { return false; }

void StandbyThread::stop() {}

}  // namespace iocp
