// What the two ends of a job queue share: where a queue is found by its number, the clock, and lists of ids.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/job_queue.h"

namespace iocp {

// Any thread. Null when there is no such queue, or its owner has destroyed it.
std::shared_ptr<JobQueue> find_job_queue(std::uint32_t handle);

// Microseconds of a clock that never goes back; the same for all threads.
std::uint64_t job_clock_us() noexcept;

Napi::Array id_array(Napi::Env env, const std::vector<JobId>& ids);

}  // namespace iocp
