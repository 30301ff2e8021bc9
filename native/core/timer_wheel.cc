// The hashed wheel behind TimerWheel (G. Varghese, A. Lauck, "Hashed and hierarchical timing wheels", 1987,
// scheme 6: one wheel, several rounds share a slot).
#include "core/timer_wheel.h"

#include <algorithm>

#include "port/check.h"

namespace iocp {

TimerWheel::TimerWheel() {
  for (TimerNode& head : slots_) head.previous = head.next = &head;
}

TimerWheel::~TimerWheel() { IOCP_CHECK(size_ == 0); }

void TimerWheel::unlink(TimerNode* node) noexcept {
  node->previous->next = node->next;
  node->next->previous = node->previous;
  node->previous = node->next = nullptr;
  --size_;
}

void TimerWheel::schedule(TimerNode* node, std::uint64_t deadline_ms) noexcept {
  if (node->scheduled()) unlink(node);
  node->deadline_ms = deadline_ms;
  // The cursor's slot is looked at again by every expire(), so the past goes there.
  const std::uint64_t tick = std::max(tick_of(deadline_ms), cursor_tick_);
  TimerNode& head = slots_[tick % kSlots];
  node->previous = head.previous;
  node->next = &head;
  head.previous->next = node;
  head.previous = node;
  not_before_ms_ = size_ == 0 ? deadline_ms : std::min(not_before_ms_, deadline_ms);
  ++size_;
}

void TimerWheel::cancel(TimerNode* node) noexcept {
  if (node->scheduled()) unlink(node);
}

TimerNode* TimerWheel::expire(std::uint64_t now_ms) noexcept {
  if (size_ == 0 || now_ms < not_before_ms_) return nullptr;
  const std::uint64_t now_tick = tick_of(now_ms);
  // A jump over more than one round looks at every slot once, not once per tick.
  if (now_tick > cursor_tick_ + kSlots) cursor_tick_ = now_tick - kSlots;
  for (;;) {
    TimerNode& head = slots_[cursor_tick_ % kSlots];
    for (TimerNode* node = head.next; node != &head; node = node->next) {
      if (node->deadline_ms > now_ms) continue;
      unlink(node);
      return node;
    }
    if (cursor_tick_ >= now_tick) return nullptr;
    ++cursor_tick_;
  }
}

std::uint64_t TimerWheel::find_earliest() const noexcept {
  for (std::uint32_t ahead = 0; ahead < kSlots; ++ahead) {
    const TimerNode& head = slots_[(cursor_tick_ + ahead) % kSlots];
    std::uint64_t earliest = UINT64_MAX;
    for (const TimerNode* node = head.next; node != &head; node = node->next) {
      if (tick_of(node->deadline_ms) <= cursor_tick_ + ahead) earliest = std::min(earliest, node->deadline_ms);
    }
    if (earliest != UINT64_MAX) return earliest;
  }
  // Everything is more than a round away: look again when this round is over.
  return (cursor_tick_ + kSlots) * kTickMs;
}

std::int32_t TimerWheel::next_due_in(std::uint64_t now_ms) noexcept {
  if (size_ == 0) return -1;
  if (not_before_ms_ <= now_ms) not_before_ms_ = find_earliest();
  if (not_before_ms_ <= now_ms) return 0;
  return static_cast<std::int32_t>(std::min<std::uint64_t>(not_before_ms_ - now_ms, INT32_MAX));
}

}  // namespace iocp
