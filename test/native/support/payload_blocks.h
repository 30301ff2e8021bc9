// An allocator of payload blocks as JavaScript's thread is one: it has blocks while it is admitted, and counts them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "core/large_payload.h"
#include "support/test.h"

namespace test {

class PayloadBlocks final : public iocp::PayloadAllocator {
 public:
  PayloadBlocks() = default;
  ~PayloadBlocks() { CHECK_EQ(blocks_.size(), std::size_t{0}); }
  PayloadBlocks(const PayloadBlocks&) = delete;
  PayloadBlocks& operator=(const PayloadBlocks&) = delete;

  bool admitted = true;

  Block acquire(std::size_t bytes) noexcept override {
    if (!admitted) return {};
    const std::uint32_t number = next_++;
    auto& block = blocks_[number];
    block.reset(new std::uint8_t[bytes]);
    return {block.get(), number, 1'000 * (number + 1)};
  }
  // What takes a payload says so in the same way.
  void release(std::uint32_t number) noexcept override { CHECK_EQ(blocks_.erase(number), std::size_t{1}); }

  std::uint32_t acquired() const noexcept { return next_; }
  std::size_t outstanding() const noexcept { return blocks_.size(); }

 private:
  std::map<std::uint32_t, std::unique_ptr<std::uint8_t[]>> blocks_;
  std::uint32_t next_ = 0;
};

}  // namespace test
