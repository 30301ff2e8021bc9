// What the two ends of a job queue share: the clock, and lists of ids.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

#include "core/job_queue.h"

namespace iocp {

// Microseconds of a clock that never goes back; the same for all threads.
std::uint64_t job_clock_us() noexcept;

Napi::Array id_array(Napi::Env env, const std::vector<JobId>& ids);

}  // namespace iocp
