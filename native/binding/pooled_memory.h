// Memory of a pool that one Buffer wraps. It goes back to the pool when V8 has collected what the Buffer's memory has
// become (a listener may have transferred it) and nobody here may write to it any more.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "core/buffer_pool.h"

namespace iocp {

class PooledMemory {
 public:
  // A buffer of the pool, or, when memory is exhausted, none.
  explicit PooledMemory(std::shared_ptr<BufferPool> pool) : pool_(std::move(pool)), start_(pool_->acquire()) {}
  ~PooledMemory() { pool_->release(start_); }
  PooledMemory(const PooledMemory&) = delete;
  PooledMemory& operator=(const PooledMemory&) = delete;

  std::uint8_t* start() const noexcept { return static_cast<std::uint8_t*>(start_); }  // null: there was none
  std::size_t bytes() const noexcept { return pool_->buffer_bytes(); }

 private:
  const std::shared_ptr<BufferPool> pool_;
  void* const start_;
};

// A Buffer around all of it, which shares in it. Null: `status` says why, and no exception is left pending;
// napi_no_external_buffers_allowed means that this host admits no memory but V8's own. JavaScript thread, in a handle
// scope.
napi_value make_pooled_buffer(napi_env env, const std::shared_ptr<PooledMemory>& memory, napi_status* status) noexcept;

// A Buffer of V8's own memory, uninitialised; null when there is none, without an exception.
napi_value make_own_buffer(napi_env env, std::size_t bytes, std::uint8_t** start) noexcept;

}  // namespace iocp
