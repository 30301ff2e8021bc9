// Bytes on their way to one peer, in order. Small packages are collected in pooled buffers, so that many leave in
// one write; large and shared ones are referred to. Not thread-safe: guarded by its context's lock. It frames
// nothing and decides nothing (limits are the caller's).
//
// While a write is in flight its slices point into the queue: append_*() never moves or changes queued bytes, and
// only consume() and clear(), which the caller must not use meanwhile, give memory back.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "core/buffer_pool.h"
#include "core/shared_bytes.h"
#include "port/port.h"

namespace iocp {

class SendQueue {
 public:
  SendQueue() = default;
  ~SendQueue();  // must be empty
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;

  bool empty() const noexcept { return head_ == nullptr; }
  std::uint64_t queued_bytes() const noexcept { return queued_bytes_; }

  // Copies the parts, one after the other, into pooled buffers. False (and nothing queued) without memory.
  bool append_copy(BufferPool& pool, std::initializer_list<ConstBytes> parts) noexcept;
  // Queues all of `bytes`, taking a reference of its own. False without memory.
  bool append_shared(SharedBytes* bytes) noexcept;

  // Fills `slices` with the front of the queue; returns how many.
  std::size_t gather(std::span<ConstBytes> slices) const noexcept;
  // Removes `bytes` from the front, after they were written.
  void consume(BufferPool& pool, std::uint64_t bytes) noexcept;
  void clear(BufferPool& pool) noexcept;

 private:
  // A stretch of queued bytes: in the pooled buffer that this header begins, or in shared bytes.
  struct Segment {
    Segment* next = nullptr;
    SharedBytes* shared = nullptr;  // null = pooled
    const std::uint8_t* begin = nullptr;
    std::size_t length = 0;
    std::size_t room = 0;  // pooled: bytes free behind begin + length

    std::uint8_t* storage() noexcept { return reinterpret_cast<std::uint8_t*>(this + 1); }
  };

  static Segment* make_pooled(BufferPool& pool) noexcept;
  static void release(BufferPool& pool, Segment* segment) noexcept;
  void push(Segment* segment) noexcept;

  Segment* head_ = nullptr;
  Segment* tail_ = nullptr;
  std::uint64_t queued_bytes_ = 0;
};

}  // namespace iocp
