// The free list behind BufferPool.
#include "core/buffer_pool.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "core/poison.h"
#include "port/check.h"

namespace iocp {

BufferPool::~BufferPool() {
  IOCP_CHECK(counts_.in_use == 0);
  free_all(free_);
}

void BufferPool::free_all(FreeBuffer* first) noexcept {
  while (first != nullptr) std::free(std::exchange(first, first->next));
}

void* BufferPool::acquire() noexcept {
  {
    ScopedLock guard(mutex_);
    ++counts_.in_use;
    if (free_ != nullptr) {
      FreeBuffer* buffer = free_;
      unpoison(buffer, buffer_bytes_);
      free_ = buffer->next;
      --counts_.free;
      least_free_ = std::min(least_free_, counts_.free);
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
  unpoison(buffer, buffer_bytes_);  // whoever had it may have poisoned parts
  {
    ScopedLock guard(mutex_);
    IOCP_CHECK(counts_.in_use > 0);
    --counts_.in_use;
    const bool keep = free_max_ == 0 || (free_max_ > 0 && counts_.free < static_cast<std::uint64_t>(free_max_));
    if (keep) {
      free_ = new (buffer) FreeBuffer{free_};
      ++counts_.free;
      if (buffer_bytes_ > sizeof(FreeBuffer)) poison(free_ + 1, buffer_bytes_ - sizeof(FreeBuffer));
      return;
    }
  }
  std::free(buffer);
}

void BufferPool::trim_unused() noexcept {
  FreeBuffer* idle = nullptr;
  {
    ScopedLock guard(mutex_);
    for (; least_free_ > 0; --least_free_, --counts_.free) {
      FreeBuffer* const buffer = std::exchange(free_, free_->next);
      buffer->next = std::exchange(idle, buffer);
    }
    least_free_ = counts_.free;
  }
  free_all(idle);
}

void BufferPool::retire() noexcept {
  FreeBuffer* idle = nullptr;
  {
    ScopedLock guard(mutex_);
    free_max_ = -1;
    idle = std::exchange(free_, nullptr);
    counts_.free = least_free_ = 0;
  }
  free_all(idle);
}

BufferPool::Counts BufferPool::counts() const noexcept {
  ScopedLock guard(mutex_);
  return counts_;
}

}  // namespace iocp
