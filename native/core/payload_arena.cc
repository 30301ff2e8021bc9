// The end of an arena: at once, or when the owner has forgotten its number.
#include "core/payload_arena.h"

#include <new>
#include <utility>

namespace iocp {

void PayloadArena::release() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) arenas_.ended(this);
}

PayloadArenas::PayloadArenas(std::size_t arena_bytes, std::int64_t idle_max)
    : pool_(std::make_shared<BufferPool>(arena_bytes, idle_max)) {}

PayloadArenas::~PayloadArenas() = default;

PayloadArena* PayloadArenas::begin() noexcept {
  if (!admitted_.load(std::memory_order_relaxed)) return nullptr;
  auto memory = std::make_shared<PooledMemory>(pool_);
  if (memory->start() == nullptr) return nullptr;
  return new (std::nothrow) PayloadArena(*this, std::move(memory));
}

void PayloadArenas::ended(PayloadArena* arena) noexcept {
  std::unique_ptr<PayloadArena> ended(arena);
  if (ended->number == PayloadArena::kNoNumber) return;
  const ScopedLock guard(mutex_);
  ended_.push_back(std::move(ended));
  any_ended_.store(true, std::memory_order_relaxed);
}

std::vector<std::unique_ptr<PayloadArena>> PayloadArenas::take_ended() noexcept {
  if (!any_ended_.load(std::memory_order_relaxed)) return {};
  const ScopedLock guard(mutex_);
  any_ended_.store(false, std::memory_order_relaxed);
  return std::exchange(ended_, {});
}

}  // namespace iocp
