// How those who fill a mailbox wait for room in it without missing that it is made. The reader moves the epoch whenever
// it makes room, then looks whether it is wanted; a writer says that it wants room, then looks whether the epoch moved
// since it was refused. So one of them sees the other.
#pragma once

#include <atomic>
#include <cstdint>

namespace iocp {

class Room {
 public:
  // --- writers -------------------------------------------------------------------------------------------------

  // To be read before the attempt that may be refused.
  std::uint32_t epoch() const noexcept { return epoch_.load(std::memory_order_seq_cst); }
  // True when room was made since that epoch: try again at once.
  bool want(std::uint32_t epoch_when_refused) noexcept {
    wanted_.store(true, std::memory_order_seq_cst);
    return epoch() != epoch_when_refused;
  }
  // A package was refused and no room was made since: reading more would be in vain.
  bool full() const noexcept { return full_.load(std::memory_order_relaxed); }
  void set_full(bool full) noexcept { full_.store(full, std::memory_order_relaxed); }

  // --- the reader ------------------------------------------------------------------------------------------------

  // True: somebody waits, and must be told.
  bool make() noexcept {
    set_full(false);
    epoch_.fetch_add(1, std::memory_order_seq_cst);
    return wanted_.exchange(false, std::memory_order_seq_cst);
  }

 private:
  std::atomic<std::uint32_t> epoch_{0};
  std::atomic<bool> wanted_{false};
  std::atomic<bool> full_{false};
};

}  // namespace iocp
