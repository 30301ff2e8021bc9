// Sleeping on a word with Windows' own futex.
#include <winsock2.h>
// Needs the types above.
#include <windows.h>

#include "port/check.h"
#include "port/mutex.h"

namespace iocp {

void wait_on_word(const std::atomic<std::uint32_t>& word, std::uint32_t while_it_is) noexcept {
  static_assert(sizeof(word) == sizeof(while_it_is) && std::atomic<std::uint32_t>::is_always_lock_free);
  // The system only reads the word; its declaration says volatile and not const.
  auto* const address = const_cast<std::atomic<std::uint32_t>*>(&word);
  IOCP_CHECK(WaitOnAddress(address, &while_it_is, sizeof(while_it_is), INFINITE) != 0);
}

void wake_word(std::atomic<std::uint32_t>& word) noexcept { WakeByAddressSingle(&word); }

}  // namespace iocp
