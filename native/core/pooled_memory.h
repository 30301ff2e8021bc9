// Memory of a pool in which several share: it goes back to the pool when the last one lets go.
#pragma once

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

}  // namespace iocp
