// Puts the large payloads that one worker receives behind each other into arenas. Either a payload's size is known
// (acquire), or memory is received into before it is known what comes (open): then large packages that turn out to lie
// there become blocks where they are. For one thread at a time, but for give_back().
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/payload_arena.h"

namespace iocp {

class ReceivingRun;

class PayloadAllocator {
 public:
  // Holds a reference to its arena. No memory: there was none, take the C library's.
  struct Block {
    std::uint8_t* memory = nullptr;
    PayloadArena* arena = nullptr;
  };

  explicit PayloadAllocator(PayloadArenas& arenas) noexcept : arenas_(arenas) {}
  ~PayloadAllocator() { give_back(); }
  PayloadAllocator(const PayloadAllocator&) = delete;
  PayloadAllocator& operator=(const PayloadAllocator&) = delete;

  Block acquire(std::size_t bytes) noexcept;
  // At least so many bytes, or none; with `behind`, those that follow the block that ends there, and none if they are
  // not free.
  ReceivingRun open(std::size_t least, const std::uint8_t* behind = nullptr) noexcept;
  // ANY_THREAD. Lets go of the arena that was begun, unless it is in use at this moment.
  void give_back() noexcept;

 private:
  friend class ReceivingRun;
  static constexpr std::size_t kAlignment = 64;

  // One that has so many bytes left, which begin at a multiple of kAlignment. Null: there is none. It must be returned.
  PayloadArena* borrow(std::size_t bytes) noexcept;
  void put_back(PayloadArena* arena) noexcept;

  PayloadArenas& arenas_;
  std::atomic<PayloadArena*> begun_{nullptr};  // with its reference; null while it is borrowed
};

// What is left of an arena while it is received into. Holds the arena: what was received stays until the run ends,
// block or not.
class ReceivingRun {
 public:
  ReceivingRun() = default;
  ReceivingRun(ReceivingRun&& other) noexcept
      : allocator_(other.allocator_), arena_(std::exchange(other.arena_, nullptr)), begin_(other.begin_) {}
  ReceivingRun& operator=(ReceivingRun&&) = delete;
  ~ReceivingRun() {
    if (arena_ != nullptr) allocator_->put_back(arena_);
  }

  bool empty() const noexcept { return arena_ == nullptr; }
  std::uint8_t* begin() const noexcept { return begin_; }
  const std::uint8_t* end() const noexcept { return arena_->start() + arena_->bytes(); }
  bool has_room(const std::uint8_t* from, std::size_t bytes) const noexcept {
    return static_cast<std::size_t>(end() - from) >= bytes;
  }

  // A block of so many bytes from there on: behind begin(), or in what follows the block that the run was opened
  // behind. All memory up to its end is given away.
  PayloadAllocator::Block claim(const std::uint8_t* from, std::size_t bytes) noexcept {
    arena_->add_reference();
    const std::size_t offset = arena_->offset_of(from);
    arena_->used = std::max(arena_->used, offset + bytes);
    return {arena_->start() + offset, arena_};
  }

 private:
  friend class PayloadAllocator;
  ReceivingRun(PayloadAllocator* allocator, PayloadArena* arena) noexcept
      : allocator_(allocator), arena_(arena), begin_(arena->start() + arena->used) {}

  PayloadAllocator* allocator_ = nullptr;
  PayloadArena* arena_ = nullptr;
  std::uint8_t* begin_ = nullptr;
};

}  // namespace iocp
