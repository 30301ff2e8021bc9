// Arenas as long as a test wants them, whose memory is never used again: a sanitizer sees what outlives its arena.
#pragma once

#include <cstddef>

#include "core/limits.h"
#include "core/payload_allocator.h"
#include "core/payload_arena.h"

namespace unit {

struct Arenas {
  explicit Arenas(std::size_t arena_bytes = iocp::kArenaBytes) : arenas(arena_bytes, 0), allocator(arenas) {}

  // Those that something is still in.
  std::size_t in_use() {
    allocator.give_back();
    return arenas.counts().in_use;
  }
  std::size_t begun() const { return arenas.counts().allocated; }

  iocp::PayloadArenas arenas;
  iocp::PayloadAllocator allocator;
};

}  // namespace unit
