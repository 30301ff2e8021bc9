// Recycled memory of one size, with the article's limit on how much of it may lie idle. Thread-safe. Knows
// nothing of what the memory is used for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "port/mutex.h"

namespace iocp {

class BufferPool {
 public:
  // `free_max`: how many released buffers are kept for reuse; 0 = all, -1 = none (the article's rule).
  BufferPool(std::size_t buffer_bytes, std::int64_t free_max) : buffer_bytes_(buffer_bytes), free_max_(free_max) {}
  ~BufferPool();  // every buffer must be back
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // buffer_bytes() bytes, uninitialised, aligned for any object. Null when memory is exhausted.
  void* acquire() noexcept IOCP_EXCLUDES(mutex_);
  void release(void* buffer) noexcept IOCP_EXCLUDES(mutex_);

  // Frees the buffers that lay idle all the time since the last call.
  void trim_unused() noexcept IOCP_EXCLUDES(mutex_);
  // Frees the buffers that lie idle, and from now on every one that is released.
  void retire() noexcept IOCP_EXCLUDES(mutex_);

  std::size_t buffer_bytes() const noexcept { return buffer_bytes_; }

  struct Counts {
    std::uint64_t in_use = 0;
    std::uint64_t free = 0;
    std::uint64_t reused = 0;     // acquisitions served from the free list
    std::uint64_t allocated = 0;  // acquisitions served by the system

    Counts& operator+=(const Counts& other) noexcept {
      in_use += other.in_use;
      free += other.free;
      reused += other.reused;
      allocated += other.allocated;
      return *this;
    }
  };
  Counts counts() const noexcept IOCP_EXCLUDES(mutex_);

 private:
  struct FreeBuffer {
    FreeBuffer* next;
  };

  const std::size_t buffer_bytes_;
  mutable Mutex mutex_;
  std::int64_t free_max_ IOCP_GUARDED_BY(mutex_);
  static void free_all(FreeBuffer* first) noexcept;

  FreeBuffer* free_ IOCP_GUARDED_BY(mutex_) = nullptr;
  Counts counts_ IOCP_GUARDED_BY(mutex_);
  std::uint64_t least_free_ IOCP_GUARDED_BY(mutex_) = 0;  // since the last trim_unused()
};

}  // namespace iocp
