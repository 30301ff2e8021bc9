// How many overlapped reads one context may keep pending. As many as its owner asked for, until the system has no
// buffers left (WSAENOBUFS): then half as many, down to none, and one more again for every kTurnsToGrow turns of
// reading that went well. None means that the context waits with a zero-byte read and reads without blocking, neither
// of which locks a buffer. Not thread-safe: guarded by its context's lock.
#pragma once

#include <cstdint>

#include "core/limits.h"

namespace iocp {

class ReadAllowance {
 public:
  explicit ReadAllowance(std::uint32_t most) noexcept : most_(most), now_(most) {}

  std::uint32_t now() const noexcept { return now_; }

  // Read `number` met the shortage; `next` is the number the next read will get. All reads that were issued before a
  // cut and fail after it tell of one and the same shortage, so they cut once.
  void cut(std::uint64_t number, std::uint64_t next) noexcept {
    if (number < cut_at_) return;
    cut_at_ = next;
    now_ /= 2;
    turns_ = 0;
  }

  // A turn of reading brought bytes. A read that fails costs about as much as one that succeeds, so while the
  // shortage lasts, trying for more costs one call in kTurnsToGrow.
  void grow() noexcept {
    if (now_ == most_ || ++turns_ < kTurnsToGrow) return;
    turns_ = 0;
    ++now_;
  }

 private:
  const std::uint32_t most_;
  std::uint32_t now_;
  std::uint32_t turns_ = 0;
  std::uint64_t cut_at_ = 0;
};

}  // namespace iocp
