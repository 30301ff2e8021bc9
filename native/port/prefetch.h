// A hint to the processor: these bytes will be written soon. Between two connections the kernel has presumably used the
// caches for itself, so what belongs to the next one is asked for while the kernel serves this one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace iocp {

// Any address will do: nothing is read or written, and nothing can fail.
inline void prefetch(const void* object, std::size_t bytes) noexcept {
#if defined(__GNUC__)
  constexpr std::size_t kLineBytes = 64;
  const auto begin = reinterpret_cast<std::uintptr_t>(object);
  for (std::size_t at = 0; at < bytes; at += kLineBytes)
    __builtin_prefetch(reinterpret_cast<const void*>(begin + at), 1);
#else
  static_cast<void>(object);
  static_cast<void>(bytes);
#endif
}

}  // namespace iocp
