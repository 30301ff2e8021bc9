// The end of an arena: at once, or when the owner has forgotten its number.
#include "core/payload_arena.h"

#include <algorithm>
#include <new>
#include <utility>

namespace iocp {
namespace {

std::shared_ptr<BufferPool> make_pool(std::size_t bytes, std::size_t idle_bytes) {
  return std::make_shared<BufferPool>(bytes, idle_bytes < bytes ? -1 : static_cast<std::int64_t>(idle_bytes / bytes));
}

}  // namespace

void PayloadArena::release() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) arenas_.ended(this);
}

PayloadArenas::PayloadArenas(std::size_t shared_bytes, std::size_t idle_bytes)
    : shared_(make_pool(shared_bytes, idle_bytes)) {
  for (std::size_t bytes = kOwnArenaBytesMin; bytes <= kOwnArenaBytesMax; bytes *= 2) {
    own_.push_back(make_pool(bytes + kOwnArenaExtraBytes, idle_bytes));
  }
}

PayloadArenas::~PayloadArenas() = default;

PayloadArena* PayloadArenas::begin_own(std::size_t bytes) noexcept {
  const auto fits = [bytes](const Pool& pool) { return pool->buffer_bytes() >= bytes; };
  const auto pool = std::find_if(own_.begin(), own_.end(), fits);
  return pool == own_.end() ? nullptr : begin_in(*pool);
}

void PayloadArenas::trim() noexcept {
  shared_->trim_unused();
  for (const Pool& pool : own_) pool->trim_unused();
}

void PayloadArenas::retire() noexcept {
  admit(false);
  shared_->retire();
  for (const Pool& pool : own_) pool->retire();
}

BufferPool::Counts PayloadArenas::counts() const noexcept {
  BufferPool::Counts all = shared_->counts();
  for (const Pool& pool : own_) all += pool->counts();
  return all;
}

PayloadArena* PayloadArenas::begin_in(const Pool& pool) noexcept {
  if (!admitted_.load(std::memory_order_relaxed)) return nullptr;
  auto memory = std::make_shared<PooledMemory>(pool);
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
