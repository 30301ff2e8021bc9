// Immutable bytes that several send queues share: a broadcast package is framed once and counted, not copied.
// Also the home of one large outgoing payload. Thread-safe reference count; the last release frees.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>

#include "port/port.h"

namespace iocp {

class SharedBytes {
 public:
  // Uninitialised memory with one reference. Null when memory is exhausted.
  static SharedBytes* create(std::size_t length) noexcept {
    void* memory = std::malloc(sizeof(SharedBytes) + length);
    return memory == nullptr ? nullptr : new (memory) SharedBytes(length);
  }

  // The parts one after the other, without their first `skipped` bytes.
  static SharedBytes* copy_of(std::span<const ConstBytes> parts, std::size_t skipped) noexcept {
    std::size_t total = 0;
    for (const ConstBytes part : parts) total += part.size();
    SharedBytes* const bytes = create(total - skipped);
    if (bytes == nullptr) return nullptr;
    std::uint8_t* at = bytes->data();
    for (const ConstBytes part : parts) {
      const std::size_t gone = std::min(skipped, part.size());
      const ConstBytes kept = part.subspan(gone);
      skipped -= gone;
      if (!kept.empty()) std::memcpy(at, kept.data(), kept.size());
      at += kept.size();
    }
    return bytes;
  }

  SharedBytes(const SharedBytes&) = delete;
  SharedBytes& operator=(const SharedBytes&) = delete;

  std::uint8_t* data() noexcept { return reinterpret_cast<std::uint8_t*>(this + 1); }
  std::size_t length() const noexcept { return length_; }

  void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      this->~SharedBytes();
      std::free(this);
    }
  }

 private:
  explicit SharedBytes(std::size_t length) noexcept : length_(length) {}
  ~SharedBytes() = default;

  std::atomic<std::uint32_t> references_{1};
  const std::size_t length_;
};

}  // namespace iocp
