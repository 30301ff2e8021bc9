// An allocator of payload blocks as JavaScript's thread is one: it has memory while it is admitted, and counts blocks.
// Every run is memory of its own, as long as asked for or longer, so that a sanitizer sees what leaves it.
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
  ~PayloadBlocks() { CHECK_EQ(outstanding(), std::size_t{0}); }
  PayloadBlocks(const PayloadBlocks&) = delete;
  PayloadBlocks& operator=(const PayloadBlocks&) = delete;

  bool admitted = true;
  std::size_t beyond = 0;  // bytes that a run has beyond what was asked for

  Block acquire(std::size_t bytes) noexcept override {
    const Run run = open(bytes, nullptr);
    if (run.memory == nullptr) return {};
    keep(bytes, 1);
    return {run.memory, run.number, run.offset};
  }
  Run open(std::size_t least, const std::uint8_t* behind) noexcept override {
    if (!admitted) return {};
    if (behind != nullptr) {
      if (current_.memory == nullptr || current_.memory != behind || current_.bytes < least) return {};
      return current_;
    }
    forget_current();
    const std::uint32_t number = next_++;
    auto& arena = arenas_[number];
    arena.memory.reset(new std::uint8_t[least + beyond]);
    current_ = {arena.memory.get(), least + beyond, number, 1'000 * (number + 1)};
    return current_;
  }
  void keep(std::size_t bytes, std::uint32_t blocks) noexcept override {
    CHECK(bytes <= current_.bytes);
    arenas_.at(current_.number).blocks += blocks;
    blocks_ += blocks;
    acquired_ += blocks;
    current_.memory += bytes;
    current_.bytes -= bytes;
    current_.offset += static_cast<std::uint32_t>(bytes);
  }
  // What takes a payload says so in the same way.
  void release(std::uint32_t number) noexcept override {
    const auto found = arenas_.find(number);
    REQUIRE(found != arenas_.end());
    REQUIRE(found->second.blocks > 0);
    --blocks_;
    const bool open = number + 1 == next_;  // more blocks may come of it
    if (--found->second.blocks == 0 && !open) arenas_.erase(found);
  }

  std::uint32_t acquired() const noexcept { return acquired_; }
  std::size_t outstanding() const noexcept { return blocks_; }

 private:
  struct Arena {
    std::unique_ptr<std::uint8_t[]> memory;
    std::size_t blocks = 0;
  };

  // Without a block it goes at once, whoever may still look into it.
  void forget_current() {
    const auto found = next_ == 0 ? arenas_.end() : arenas_.find(next_ - 1);
    if (found != arenas_.end() && found->second.blocks == 0) arenas_.erase(found);
  }

  std::map<std::uint32_t, Arena> arenas_;
  Run current_;  // what is left of the one opened last
  std::uint32_t next_ = 0;
  std::uint32_t acquired_ = 0;
  std::size_t blocks_ = 0;
};

}  // namespace test
