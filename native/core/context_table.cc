// Slots, generations and the recycled memory of contexts.
#include "core/context_table.h"

#include <algorithm>
#include <new>

#include "port/check.h"

namespace iocp {

ContextTable::ContextTable(std::uint32_t lanes, std::int64_t free_max)
    : lanes_(lanes),
      memory_(sizeof(ClientContext), free_max),
      lane_slots_(lanes),
      chunks_(new std::atomic<Chunk*>[kConnectionsMax / kChunkSlots]()) {}

ContextTable::~ContextTable() {
  IOCP_CHECK(live_.load() == 0);
  for (std::uint32_t i = 0; i < kConnectionsMax / kChunkSlots; ++i) delete chunks_[i].load();
}

ClientContext* ContextTable::at(std::uint32_t slot) const noexcept {
  if (slot >= kConnectionsMax) return nullptr;
  const Chunk* chunk = chunks_[slot / kChunkSlots].load(std::memory_order_acquire);
  if (chunk == nullptr) return nullptr;
  return chunk->entries[slot % kChunkSlots].context.load(std::memory_order_seq_cst);
}

ContextTable::Entry* ContextTable::entry(std::uint32_t slot) noexcept {
  std::atomic<Chunk*>& place = chunks_[slot / kChunkSlots];
  Chunk* chunk = place.load(std::memory_order_relaxed);
  if (chunk == nullptr) {
    chunk = new (std::nothrow) Chunk;
    if (chunk == nullptr) return nullptr;
    place.store(chunk, std::memory_order_release);
  }
  return &chunk->entries[slot % kChunkSlots];
}

bool ContextTable::take_slot(std::uint32_t lane_index, std::uint32_t* slot) noexcept {
  LaneSlots& lane = lane_slots_[lane_index];
  if (!lane.free.empty()) {
    *slot = lane.free.back();
    lane.free.pop_back();
    return true;
  }
  const std::uint64_t fresh = std::uint64_t{lane.next} * lanes_ + lane_index;
  if (fresh >= kConnectionsMax) return false;
  ++lane.next;
  *slot = static_cast<std::uint32_t>(fresh);
  return true;
}

ClientContext* ContextTable::acquire(Lane& lane, std::uint32_t lane_index) noexcept {
  void* memory = memory_.acquire();
  if (memory == nullptr) return nullptr;
  ScopedLock guard(mutex_);
  std::uint32_t slot = 0;
  Entry* place = take_slot(lane_index, &slot) ? entry(slot) : nullptr;
  if (place == nullptr) {
    memory_.release(memory);
    return nullptr;
  }
  ++place->generation;
  auto* context = new (memory) ClientContext(lane, slot, place->generation);
  live_.fetch_add(1, std::memory_order_relaxed);
  return context;
}

void ContextTable::publish(ClientContext* context) noexcept {
  ScopedLock guard(mutex_);
  const std::uint32_t slot = context->slot;
  if (slots_used_.load(std::memory_order_relaxed) <= slot) slots_used_.store(slot + 1, std::memory_order_seq_cst);
  entry(slot)->context.store(context, std::memory_order_seq_cst);
}

void ContextTable::withdraw(ClientContext* context) noexcept {
  Chunk* chunk = chunks_[context->slot / kChunkSlots].load(std::memory_order_acquire);
  chunk->entries[context->slot % kChunkSlots].context.store(nullptr, std::memory_order_seq_cst);
}

void ContextTable::recycle(ClientContext* context) noexcept {
  const std::uint32_t slot = context->slot;
  {
    ScopedLock guard(mutex_);
    Entry* place = entry(slot);
    const ClientContext* found = place->context.load(std::memory_order_relaxed);
    IOCP_CHECK(found == context || found == nullptr);
    place->context.store(nullptr, std::memory_order_relaxed);
    // A slot whose generations are used up is never handed out again: ids stay unique.
    if (place->generation != UINT32_MAX) lane_slots_[slot % lanes_].free.push_back(slot);
    live_.fetch_sub(1, std::memory_order_relaxed);
  }
  context->~ClientContext();
  memory_.release(context);
}

ClientContext* ContextTable::find(std::uint32_t slot, std::uint32_t generation) const noexcept {
  ClientContext* context = at(slot);
  return context != nullptr && context->generation == generation ? context : nullptr;
}

}  // namespace iocp
