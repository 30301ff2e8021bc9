// Deadlines of many objects, cheap to set and to cancel. A hashed wheel of 512 slots of 4 ms with exact
// deadlines kept in the nodes: a node whose round has not come stays in its slot. Time is an argument, in
// milliseconds of whatever clock the caller has; nothing here reads one. Not thread-safe: guarded by its shard.
#pragma once

#include <array>
#include <cstdint>

namespace iocp {

// Embedded in whatever waits. Must outlive its stay in the wheel.
struct TimerNode {
  TimerNode* previous = nullptr;
  TimerNode* next = nullptr;
  std::uint64_t deadline_ms = 0;

  bool scheduled() const noexcept { return next != nullptr; }
};

class TimerWheel {
 public:
  TimerWheel();
  ~TimerWheel();  // must be empty
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // (Re)schedules. A deadline in the past is due at the next expire().
  void schedule(TimerNode* node, std::uint64_t deadline_ms) noexcept;
  void cancel(TimerNode* node) noexcept;

  // Removes and returns one node whose deadline is <= now_ms, or null. Call until null.
  TimerNode* expire(std::uint64_t now_ms) noexcept;

  // Milliseconds until something may be due, 0 if it already is, -1 if nothing is scheduled. May be early (the
  // earliest timer was cancelled, or is more than one round away), never late.
  std::int32_t next_due_in(std::uint64_t now_ms) noexcept;

  std::uint32_t size() const noexcept { return size_; }

 private:
  static constexpr std::uint32_t kSlots = 512;
  static constexpr std::uint64_t kTickMs = 4;

  static std::uint64_t tick_of(std::uint64_t ms) noexcept { return ms / kTickMs; }
  void unlink(TimerNode* node) noexcept;
  std::uint64_t find_earliest() const noexcept;

  std::array<TimerNode, kSlots> slots_;  // circular list heads
  std::uint64_t cursor_tick_ = 0;        // every slot before this tick has been looked at
  std::uint64_t not_before_ms_ = 0;      // no deadline is earlier than this; spares most steps a look at the slots
  std::uint32_t size_ = 0;
};

}  // namespace iocp
