// Tells the address sanitizer, where there is one, that memory of a pool is nobody's: whoever touches it is reported as
// if it were freed. Does nothing elsewhere.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define IOCP_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IOCP_ADDRESS_SANITIZER
#endif
#endif

#ifdef IOCP_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace iocp {

inline void poison(void* memory, std::size_t bytes) noexcept {
#ifdef IOCP_ADDRESS_SANITIZER
  __asan_poison_memory_region(memory, bytes);
#else
  static_cast<void>(memory);
  static_cast<void>(bytes);
#endif
}

inline void unpoison(void* memory, std::size_t bytes) noexcept {
#ifdef IOCP_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(memory, bytes);
#else
  static_cast<void>(memory);
  static_cast<void>(bytes);
#endif
}

}  // namespace iocp
