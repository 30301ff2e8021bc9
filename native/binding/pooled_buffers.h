// Buffers around memory of a pool, which goes back there when V8 has collected what the Buffer's memory has become (a
// listener may have transferred it) and nobody else shares in it any more. JavaScript thread, in a handle scope.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/pooled_memory.h"

namespace iocp {

// A Buffer around all of it, which shares in it. Null: `status` says why, and no exception is left pending;
// napi_no_external_buffers_allowed means that this host admits no memory but V8's own.
napi_value make_pooled_buffer(napi_env env, const std::shared_ptr<PooledMemory>& memory, napi_status* status) noexcept;

// A Buffer of V8's own memory, uninitialised; null when there is none, without an exception.
napi_value make_own_buffer(napi_env env, std::size_t bytes, std::uint8_t** start) noexcept;

}  // namespace iocp
