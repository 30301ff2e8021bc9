// A payload too large for a slab, in memory of its own: the C library's, or a block of the owner's own allocator.
// The owner hands a block on as it is; memory of the C library costs it a wrapper and a finalizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace iocp {

// Makes blocks for payloads. Given by the owner, who finds its own blocks again by their number.
class PayloadAllocator {
 public:
  struct Block {
    std::uint8_t* memory = nullptr;
    std::uint32_t number = 0;
    std::uint32_t offset = 0;  // of the memory in what the owner hands on
  };

  // Memory to receive into before it is known how many blocks that will make.
  struct Run {
    std::uint8_t* memory = nullptr;
    std::size_t bytes = 0;
    std::uint32_t number = 0;  // of every block in it
    std::uint32_t offset = 0;  // of the memory in what the owner hands on
  };

  // ANY_THREAD. No memory: none to be had here and now, take the C library's. What is not the owner's thread, or is it
  // outside of a step, always gets that answer.
  virtual Block acquire(std::size_t bytes) noexcept = 0;
  // ANY_THREAD, with the same answer. At least so many bytes; with `behind`, those that follow the block that ends
  // there, and none if they are not free.
  virtual Run open(std::size_t least, const std::uint8_t* behind) noexcept = 0;
  // The next bytes of the run that was opened last are so many blocks. Nothing may have been acquired in between. What
  // lies in a run without a block is gone when something else is acquired or opened.
  virtual void keep(std::size_t bytes, std::uint32_t blocks) noexcept = 0;
  // ANY_THREAD. For a block that never became a payload, or whose payload nobody takes.
  virtual void release(std::uint32_t number) noexcept = 0;

 protected:
  ~PayloadAllocator() = default;
};

// Whoever holds it must free() it, or hand its block on.
struct LargePayload {
  std::uint8_t* memory = nullptr;
  std::uint8_t* payload = nullptr;  // inside memory
  std::size_t length = 0;
  PayloadAllocator* allocator = nullptr;  // null: memory is the C library's
  std::uint32_t block = 0;
  std::uint32_t offset = 0;  // of the payload in what the block's owner hands on

  void free() const noexcept {
    if (allocator == nullptr) {
      std::free(memory);
    } else {
      allocator->release(block);
    }
  }
};

}  // namespace iocp
