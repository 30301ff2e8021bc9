// Memory of a PayloadAllocator's that is being received into before it is known what comes. Large packages that turn
// out to lie in it become blocks where they are; what is not claimed is the allocator's again. Not thread-safe, and of
// no use once its allocator was asked for anything else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/large_payload.h"

namespace iocp {

class ReceivingRun {
 public:
  ReceivingRun() = default;
  ReceivingRun(PayloadAllocator* allocator, const PayloadAllocator::Run& run) : allocator_(allocator), run_(run) {}

  bool empty() const noexcept { return run_.memory == nullptr; }
  std::uint8_t* begin() const noexcept { return run_.memory; }
  const std::uint8_t* end() const noexcept { return run_.memory + run_.bytes; }
  PayloadAllocator* allocator() const noexcept { return allocator_; }
  bool has_room(const std::uint8_t* from, std::size_t bytes) const noexcept {
    return static_cast<std::size_t>(end() - from) >= bytes;
  }

  // A block that begins there: behind begin(), or in what follows the block that the run was opened behind. It is one
  // when claim() follows.
  PayloadAllocator::Block at(const std::uint8_t* start) const noexcept {
    const std::ptrdiff_t distance = start - run_.memory;
    return {run_.memory + distance, run_.number, static_cast<std::uint32_t>(run_.offset + distance)};
  }
  // One more block, and all memory up to `until` is no longer the allocator's to give.
  void claim(const std::uint8_t* until) noexcept {
    const std::size_t bytes = until > claimed() ? static_cast<std::size_t>(until - claimed()) : 0;
    allocator_->keep(bytes, 1);
    claimed_bytes_ += bytes;
  }

 private:
  const std::uint8_t* claimed() const noexcept { return run_.memory + claimed_bytes_; }

  PayloadAllocator* allocator_ = nullptr;
  PayloadAllocator::Run run_;
  std::size_t claimed_bytes_ = 0;
};

}  // namespace iocp
