// Finds contexts by slot and generation, and hands out slots. A slot is reused, a (slot, generation) pair never is:
// a stale one finds nothing, ever.
//
// Threads: acquire() and publish() by any worker. withdraw() and recycle() by the owner's thread only: because contexts
// are freed there and nowhere else, what find() and for_each() give the owner stays valid until it recycles it. A
// logical worker may use both inside of its gate (logical_worker.h), which the owner passes between withdraw() and
// recycle().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/buffer_pool.h"
#include "core/client_context.h"
#include "core/limits.h"
#include "port/mutex.h"

namespace iocp {

class ContextTable {
 public:
  // `lanes`: slot % lanes is the lane of a context, for ever. `free_max`: as BufferPool.
  ContextTable(std::uint32_t lanes, std::int64_t free_max);
  ~ContextTable();  // every context must have been recycled
  ContextTable(const ContextTable&) = delete;
  ContextTable& operator=(const ContextTable&) = delete;

  // A new context in that lane, which nobody can find yet; null when memory or slots are exhausted.
  ClientContext* acquire(Lane& lane, std::uint32_t lane_index) noexcept IOCP_EXCLUDES(mutex_);
  // Makes it findable, once it is complete.
  void publish(ClientContext* context) noexcept IOCP_EXCLUDES(mutex_);
  // Nobody finds it from now on.
  void withdraw(ClientContext* context) noexcept;
  // Frees it, withdrawn or not.
  void recycle(ClientContext* context) noexcept IOCP_EXCLUDES(mutex_);

  ClientContext* find(std::uint32_t slot, std::uint32_t generation) const noexcept;

  template <typename Visitor>
  void for_each(Visitor&& visit) const {
    const std::uint32_t end = slots_used_.load(std::memory_order_seq_cst);
    for (std::uint32_t slot = 0; slot < end; ++slot) {
      ClientContext* context = at(slot);
      if (context != nullptr) visit(*context);
    }
  }

  std::uint64_t live() const noexcept { return live_.load(std::memory_order_relaxed); }
  BufferPool::Counts pool_counts() const noexcept { return memory_.counts(); }

 private:
  static constexpr std::uint32_t kChunkSlots = 1024;
  struct Entry {
    std::atomic<ClientContext*> context{nullptr};
    std::uint32_t generation = 0;  // of the last context here; guarded by mutex_
  };
  struct Chunk {
    std::array<Entry, kChunkSlots> entries;
  };
  struct LaneSlots {
    std::vector<std::uint32_t> free;
    std::uint32_t next = 0;  // the lane's n-th slot that was never used
  };

  ClientContext* at(std::uint32_t slot) const noexcept;
  Entry* entry(std::uint32_t slot) noexcept IOCP_REQUIRES(mutex_);
  bool take_slot(std::uint32_t lane_index, std::uint32_t* slot) noexcept IOCP_REQUIRES(mutex_);

  const std::uint32_t lanes_;
  BufferPool memory_;
  mutable Mutex mutex_;
  std::vector<LaneSlots> lane_slots_ IOCP_GUARDED_BY(mutex_);
  std::unique_ptr<std::atomic<Chunk*>[]> chunks_;
  std::atomic<std::uint32_t> slots_used_{0};  // every slot in use is below
  std::atomic<std::uint64_t> live_{0};
};

}  // namespace iocp
