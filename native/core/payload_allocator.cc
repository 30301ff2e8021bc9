// Lending an allocator's current arena to one block or run at a time.
#include "core/payload_allocator.h"

#include "core/limits.h"
#include "core/poison.h"

namespace iocp {

PayloadAllocator::Block PayloadAllocator::acquire(std::size_t bytes) noexcept {
  if (bytes > kSharedBlockMax) {
    PayloadArena* const own = arenas_.begin_own(bytes);
    return own == nullptr ? Block{} : Block{own->start(), own};
  }
  PayloadArena* const arena = borrow(bytes);
  if (arena == nullptr) return {};
  const Block block = {arena->start() + arena->used, arena};
  unpoison(block.memory, bytes);
  arena->used += bytes;
  arena->add_reference();
  put_back(arena);
  return block;
}

ReceivingRun PayloadAllocator::open(std::size_t least, const std::uint8_t* behind) noexcept {
  PayloadArena* const arena = behind == nullptr ? borrow(least) : begun_.exchange(nullptr, std::memory_order_acquire);
  if (arena == nullptr) return {};
  const std::size_t room = arena->bytes() - arena->used;
  if (behind == nullptr || (arena->start() + arena->used == behind && room >= least)) {
    unpoison(arena->start() + arena->used, room);
    return {this, arena};
  }
  put_back(arena);
  return {};
}

void PayloadAllocator::give_back() noexcept {
  PayloadArena* const arena = begun_.exchange(nullptr, std::memory_order_acquire);
  if (arena != nullptr) arena->release();
}

PayloadArena* PayloadAllocator::borrow(std::size_t bytes) noexcept {
  PayloadArena* const arena = begun_.exchange(nullptr, std::memory_order_acquire);
  if (arena == nullptr) return arenas_.begin();
  arena->used = std::min(arena->bytes(), (arena->used + kAlignment - 1) / kAlignment * kAlignment);
  if (arena->bytes() - arena->used >= bytes) return arena;
  arena->release();
  return arenas_.begin();
}

// Another may have been begun meanwhile, for a payload that this one had no room for.
void PayloadAllocator::put_back(PayloadArena* arena) noexcept {
  poison(arena->start() + arena->used, arena->bytes() - arena->used);
  PayloadArena* none = nullptr;
  if (!begun_.compare_exchange_strong(none, arena, std::memory_order_acq_rel)) arena->release();
}

}  // namespace iocp
