// Sleeping on a word where std::atomic does it with a futex or its like (Linux, macOS, FreeBSD).
#include "port/mutex.h"

namespace iocp {

void wait_on_word(const std::atomic<std::uint32_t>& word, std::uint32_t while_it_is) noexcept {
  word.wait(while_it_is, std::memory_order_relaxed);
}

void wake_word(std::atomic<std::uint32_t>& word) noexcept { word.notify_one(); }

}  // namespace iocp
