// A payload too large for a slab, in memory of its own: a part of an arena, or the C library's. The owner of events
// makes one object of an arena; memory of the C library costs it a wrapper and a finalizer each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/payload_arena.h"

namespace iocp {

// Whoever holds it must free() it, or hand it on.
struct LargePayload {
  std::uint8_t* memory = nullptr;
  std::uint8_t* payload = nullptr;  // inside memory
  std::size_t length = 0;
  PayloadArena* arena = nullptr;  // which it holds a reference to; null: memory is the C library's

  void free() const noexcept {
    if (arena == nullptr) {
      std::free(memory);
    } else {
      arena->release();
    }
  }
};

}  // namespace iocp
