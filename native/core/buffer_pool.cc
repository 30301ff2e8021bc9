// The free list behind BufferPool.
#include "core/buffer_pool.h"

#include <cstdlib>
#include <new>

#include "port/check.h"

namespace iocp {

BufferPool::~BufferPool() {
  IOCP_CHECK(counts_.in_use == 0);
  while (free_ != nullptr) {
    FreeBuffer* buffer = free_;
    free_ = buffer->next;
    std::free(buffer);
  }
}

void* BufferPool::acquire() noexcept {
  {
    ScopedLock guard(mutex_);
    ++counts_.in_use;
    if (free_ != nullptr) {
      FreeBuffer* buffer = free_;
      free_ = buffer->next;
      --counts_.free;
      ++counts_.reused;
      return buffer;
    }
    ++counts_.allocated;
  }
  void* memory = std::malloc(buffer_bytes_);
  if (memory == nullptr) {
    ScopedLock guard(mutex_);
    --counts_.in_use;
    --counts_.allocated;
  }
  return memory;
}

void BufferPool::release(void* buffer) noexcept {
  if (buffer == nullptr) return;
  {
    ScopedLock guard(mutex_);
    IOCP_CHECK(counts_.in_use > 0);
    --counts_.in_use;
    const bool keep = free_max_ == 0 || (free_max_ > 0 && counts_.free < static_cast<std::uint64_t>(free_max_));
    if (keep) {
      free_ = new (buffer) FreeBuffer{free_};
      ++counts_.free;
      return;
    }
  }
  std::free(buffer);
}

BufferPool::Counts BufferPool::counts() const noexcept {
  ScopedLock guard(mutex_);
  return counts_;
}

}  // namespace iocp
