// Bytes on their way to one peer, in order. Small packages are collected in pooled buffers, so that many leave in
// one write; large and shared ones are referred to. Not thread-safe: guarded by its context's lock. It frames
// nothing and decides nothing (limits are the caller's).
//
// While a write is in flight its slices point into the queue: append_*() never moves or changes queued bytes, and
// only consume() and clear(), which the caller must not use meanwhile, give memory back.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>

#include "core/buffer_pool.h"
#include "core/file_transfer.h"
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
  // In memory: what limits and marks count. Files are on the disk and wait there.
  std::uint64_t queued_bytes() const noexcept { return queued_bytes_; }
  // All that is still to be written, files included.
  std::uint64_t stream_bytes() const noexcept { return stream_bytes_; }

  // Copies the parts, one after the other, into pooled buffers. False (and nothing queued) without memory.
  bool append_copy(BufferPool& pool, std::initializer_list<ConstBytes> parts) noexcept;
  // Queues all of `bytes`, taking a reference of its own. False without memory.
  bool append_shared(SharedBytes* bytes) noexcept;

  // Queues a stretch of a file. False without memory.
  bool append_file(std::unique_ptr<FilePiece> piece) noexcept;

  // What is to be transmitted next; null when the front of the queue is in memory.
  FilePiece* front_file() const noexcept {
    return head_ == nullptr || head_->file == nullptr || head_->file->zeros ? nullptr : head_->file;
  }
  // The rest of the front's file goes out as zeros.
  void front_file_failed() noexcept { head_->file->zeros = true; }
  // Fills `slices` with the front of the queue, up to the next file; returns how many.
  std::size_t gather(std::span<ConstBytes> slices) const noexcept;
  // Removes `bytes` from the front, after they were written. The piece of a file that they ended, if they did.
  std::unique_ptr<FilePiece> consume(BufferPool& pool, std::uint64_t bytes) noexcept;
  void clear(BufferPool& pool) noexcept;

 private:
  // A stretch of queued bytes: in the pooled buffer that this header begins, in shared bytes, or in a file.
  struct Segment {
    Segment* next = nullptr;
    SharedBytes* shared = nullptr;  // null = pooled, unless `file`
    FilePiece* file = nullptr;
    const std::uint8_t* begin = nullptr;
    std::size_t length = 0;
    std::size_t room = 0;  // pooled: bytes free behind begin + length

    std::uint8_t* storage() noexcept { return reinterpret_cast<std::uint8_t*>(this + 1); }
  };

  static Segment* make_pooled(BufferPool& pool) noexcept;
  static void release(BufferPool& pool, Segment* segment) noexcept;
  void push(Segment* segment) noexcept;
  void pop_front() noexcept;
  // Moves a piece's front; by how many of `bytes`.
  static std::uint64_t advance(FilePiece& piece, std::uint64_t bytes) noexcept;

  Segment* head_ = nullptr;
  Segment* tail_ = nullptr;
  std::uint64_t queued_bytes_ = 0;
  std::uint64_t stream_bytes_ = 0;
};

}  // namespace iocp
