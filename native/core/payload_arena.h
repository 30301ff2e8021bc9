// Memory that large payloads are received into behind each other, and stay in: whoever hands them on makes one object
// of an arena and not one of each payload. An arena ends when nothing in it is needed any more; its memory goes back to
// a pool when nobody else shares in it either.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/limits.h"
#include "core/pooled_memory.h"
#include "port/mutex.h"

namespace iocp {

class PayloadArenas;

class PayloadArena {
 public:
  static constexpr std::uint32_t kNoNumber = UINT32_MAX;

  // With one reference, which is the caller's.
  PayloadArena(PayloadArenas& arenas, std::shared_ptr<PooledMemory> memory) noexcept
      : arenas_(arenas), memory_(std::move(memory)) {}
  PayloadArena(const PayloadArena&) = delete;
  PayloadArena& operator=(const PayloadArena&) = delete;

  std::uint8_t* start() const noexcept { return memory_->start(); }
  std::size_t bytes() const noexcept { return memory_->bytes(); }
  std::uint32_t offset_of(const std::uint8_t* at) const noexcept { return static_cast<std::uint32_t>(at - start()); }
  // For who still needs it after the arena's end.
  const std::shared_ptr<PooledMemory>& memory() const noexcept { return memory_; }

  // ANY_THREAD. Every payload in it holds a reference, and whoever puts payloads into it.
  void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;

  // What the owner knows it by, if it wants to be told of its end. For the owner's thread, while a payload is in it.
  std::uint32_t number = kNoNumber;
  // How much of it is given away. For whoever puts payloads into it.
  std::size_t used = 0;

 private:
  PayloadArenas& arenas_;
  const std::shared_ptr<PooledMemory> memory_;
  std::atomic<std::uint32_t> references_{1};
};

// Where arenas begin and end. Thread-safe.
class PayloadArenas {
 public:
  // `shared_bytes`: of an arena for several payloads. `idle_bytes`: how much memory of ended arenas is kept for new
  // ones of about their size; 0 = none.
  explicit PayloadArenas(std::size_t shared_bytes = kArenaBytes, std::size_t idle_bytes = kIdleArenaBytes);
  ~PayloadArenas();  // no reference to an arena may be left
  PayloadArenas(const PayloadArenas&) = delete;
  PayloadArenas& operator=(const PayloadArenas&) = delete;

  // For several payloads, with one reference, the caller's. Null: there is no memory, or there are to be no arenas.
  PayloadArena* begin() noexcept { return begin_in(shared_); }
  // For one payload of so many bytes. Null as above, or because it is larger than any arena.
  PayloadArena* begin_own(std::size_t bytes) noexcept;
  // Whether there are to be any from now on; true at first.
  void admit(bool any) noexcept { admitted_.store(any, std::memory_order_relaxed); }

  // Takes those that have a number and ended, for the owner to forget that; the owner's thread.
  std::vector<std::unique_ptr<PayloadArena>> take_ended() noexcept IOCP_EXCLUDES(mutex_);
  // Frees the memory that lay idle since the last call.
  void trim() noexcept;
  // There are to be no more of them, and no memory is kept for any.
  void retire() noexcept;

  std::size_t shared_bytes() const noexcept { return shared_->buffer_bytes(); }
  BufferPool::Counts counts() const noexcept;

 private:
  friend class PayloadArena;
  using Pool = std::shared_ptr<BufferPool>;

  PayloadArena* begin_in(const Pool& pool) noexcept;
  void ended(PayloadArena* arena) noexcept IOCP_EXCLUDES(mutex_);

  const Pool shared_;
  std::vector<Pool> own_;  // by size, each twice the one before
  std::atomic<bool> admitted_{true};
  std::atomic<bool> any_ended_{false};
  Mutex mutex_;
  std::vector<std::unique_ptr<PayloadArena>> ended_ IOCP_GUARDED_BY(mutex_);
};

}  // namespace iocp
