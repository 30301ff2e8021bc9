// JavaScript values in and out of job payloads. The forms are those of binding.d.ts; what a form means beyond that is
// TypeScript's business.
#pragma once

#include <napi.h>

#include "core/job_queue.h"

namespace iocp {

enum class JobForm : std::uint32_t {
  nothing = 0,     // undefined
  serialized = 1,  // bytes that JavaScript serialised
  buffer = 2,      // a Buffer
  text = 3,        // a string, in UTF-8
  number = 4,
  posted = 5,  // travels by a message port; no bytes here
  held = 6,    // stays with whoever added the job; no bytes here
};

// Copies the value. False when memory is exhausted.
bool read_payload(std::uint32_t form, const Napi::Value& value, JobPayload* out);
// A value of its own.
Napi::Value payload_value(Napi::Env env, const JobPayload& payload);

}  // namespace iocp
