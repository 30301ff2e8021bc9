// Puts completions that were numbered when they were issued back into that order. One per context that keeps
// several reads pending. Bounded: at most `capacity` numbers may be outstanding, so a fixed ring is enough.
// Not thread-safe: guarded by its context's lock. A parked item keeps its own byte count and status (losing it
// was a defect of the original).
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "port/check.h"

namespace iocp {

template <typename Item>
class Sequencer {
 public:
  explicit Sequencer(std::uint32_t capacity) : capacity_(capacity), ring_(new Item*[capacity]()) {}

  std::uint32_t capacity() const noexcept { return capacity_; }
  // Numbers issued and not yet taken: pending in the kernel, or parked here.
  std::uint32_t outstanding() const noexcept { return static_cast<std::uint32_t>(next_issue_ - next_take_); }

  // The number that issue() will give next.
  std::uint64_t next() const noexcept { return next_issue_; }

  // The number of the operation about to be submitted. Issue and submit under one lock.
  std::uint64_t issue() noexcept {
    IOCP_CHECK(outstanding() < capacity_);
    return next_issue_++;
  }

  // Parks the completed item of that number.
  void park(std::uint64_t number, Item* item) noexcept {
    IOCP_CHECK(number >= next_take_ && number < next_issue_);
    Item*& place = ring_[number % capacity_];
    IOCP_CHECK(place == nullptr);
    place = item;
  }

  // The next item in order, without taking it; null while it is still pending.
  Item* peek() const noexcept { return outstanding() == 0 ? nullptr : ring_[next_take_ % capacity_]; }

  // Takes what peek() showed.
  Item* take() noexcept {
    Item* item = peek();
    if (item == nullptr) return nullptr;
    ring_[next_take_ % capacity_] = nullptr;
    ++next_take_;
    return item;
  }

  // Any parked item, in no particular order, or null: for giving everything up, after which nothing may be parked.
  Item* take_any() noexcept {
    for (std::uint32_t i = 0; i < capacity_; ++i) {
      if (ring_[i] != nullptr) return std::exchange(ring_[i], nullptr);
    }
    return nullptr;
  }

 private:
  const std::uint32_t capacity_;
  const std::unique_ptr<Item*[]> ring_;
  std::uint64_t next_issue_ = 0;
  std::uint64_t next_take_ = 0;
};

}  // namespace iocp
