// Arenas: blocks behind each other, runs that may become blocks, and memory that goes back when nothing needs it.
#include "core/payload_arena.h"

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "core/payload_allocator.h"
#include "support/test.h"
#include "unit/arenas.h"
#include "unit/random.h"

using iocp::PayloadAllocator;
using iocp::PayloadArena;
using iocp::PayloadArenas;
using iocp::ReceivingRun;
using unit::Arenas;

using Block = PayloadAllocator::Block;

TEST("payload arena: blocks follow each other, aligned, until one does not fit") {
  Arenas host(1'000);
  const Block first = host.allocator.acquire(100);
  const Block second = host.allocator.acquire(400);
  REQUIRE(first.memory != nullptr && second.memory != nullptr);
  CHECK(second.arena == first.arena);
  CHECK_EQ(first.arena->offset_of(first.memory), 0U);
  CHECK_EQ(second.arena->offset_of(second.memory), 128U);
  const Block third = host.allocator.acquire(500);
  CHECK(third.arena != first.arena);
  first.arena->release();
  CHECK_EQ(host.in_use(), 2U);
  second.arena->release();
  CHECK_EQ(host.in_use(), 1U);
  third.arena->release();
  CHECK_EQ(host.in_use(), 0U);
  CHECK_EQ(host.begun(), 2U);
}

TEST("payload arena: the one that was begun is kept for more, until it is given back") {
  Arenas host(1'000);
  host.allocator.acquire(100).arena->release();
  CHECK_EQ(host.arenas.counts().in_use, 1U);
  host.allocator.acquire(100).arena->release();
  CHECK_EQ(host.begun(), 1U);
  host.allocator.give_back();
  CHECK_EQ(host.arenas.counts().in_use, 0U);
  host.allocator.give_back();
}

TEST("payload arena: a long block has one of its own, hardly more than twice as long") {
  Arenas host;
  const auto longest = iocp::kOwnArenaBytesMax + iocp::kOwnArenaExtraBytes;
  for (const std::size_t bytes : {iocp::kSharedBlockMax + 1, iocp::kOwnArenaBytesMin + iocp::kOwnArenaExtraBytes,
                                  iocp::kOwnArenaBytesMin + iocp::kOwnArenaExtraBytes + 1, longest}) {
    const Block block = host.allocator.acquire(bytes);
    REQUIRE(block.memory != nullptr);
    CHECK_EQ(block.arena->offset_of(block.memory), 0U);
    CHECK(block.arena->bytes() >= bytes);
    CHECK(block.arena->bytes() <= 2 * bytes + iocp::kOwnArenaExtraBytes);
    block.memory[bytes - 1] = 1;
    CHECK_EQ(host.arenas.counts().in_use, 1U);
    block.arena->release();
    CHECK_EQ(host.arenas.counts().in_use, 0U);
  }
  CHECK(host.allocator.acquire(longest + 1).memory == nullptr);
}

TEST("payload arena: there are none while none are admitted") {
  Arenas host(1'000);
  host.arenas.admit(false);
  CHECK(host.allocator.acquire(100).memory == nullptr);
  CHECK(host.allocator.open(100).empty());
  host.arenas.admit(true);
  host.allocator.acquire(100).arena->release();
  CHECK_EQ(host.begun(), 1U);
}

TEST("payload arena: what is claimed of a run is given away, and what is not is had again") {
  Arenas host(1'000);
  {
    ReceivingRun run = host.allocator.open(600);
    REQUIRE(!run.empty());
    CHECK(run.has_room(run.begin(), 1'000) && !run.has_room(run.begin(), 1'001));
    std::memset(run.begin(), 'x', 1'000);
    const Block block = run.claim(run.begin() + 100, 200);
    CHECK_EQ(block.arena->offset_of(block.memory), 100U);
    block.arena->release();
  }
  const Block next = host.allocator.acquire(100);
  CHECK_EQ(next.arena->offset_of(next.memory), 320U);
  next.arena->release();
  CHECK_EQ(host.begun(), 1U);
}

TEST("payload arena: a run behind a block begins where that ends, if nothing else does") {
  Arenas host(1'000);
  const Block block = host.allocator.acquire(101);
  {
    const ReceivingRun run = host.allocator.open(200, block.memory + 101);
    CHECK(run.begin() == block.memory + 101);
  }
  CHECK(host.allocator.open(900, block.memory + 101).empty());
  CHECK(host.allocator.open(200, block.memory + 100).empty());
  host.allocator.acquire(10).arena->release();
  CHECK(host.allocator.open(200, block.memory + 101).empty());
  host.allocator.give_back();
  CHECK(host.allocator.open(1, block.memory + 101).empty());
  block.arena->release();
  CHECK_EQ(host.in_use(), 0U);
}

TEST("payload arena: a run keeps its memory whatever is acquired or given back meanwhile") {
  Arenas host(1'000);
  ReceivingRun run = host.allocator.open(600);
  std::memset(run.begin(), 'x', 1'000);
  const Block other = host.allocator.acquire(500);
  CHECK(other.memory < run.begin() || other.memory >= run.end());
  host.allocator.give_back();
  const Block block = run.claim(run.begin(), 10);
  CHECK_EQ(block.memory[0], 'x');
  block.arena->release();
  other.arena->release();
  CHECK_EQ(host.arenas.counts().in_use, 1U);
}

TEST("payload arena: memory outlives its arena for who shares in it") {
  Arenas host(1'000);
  const Block block = host.allocator.acquire(500);
  std::memset(block.memory, 'x', 500);
  const std::uint8_t* const memory = block.memory;
  auto share = block.arena->memory();
  block.arena->release();
  CHECK_EQ(host.in_use(), 1U);
  CHECK_EQ(memory[499], 'x');
  share.reset();
  CHECK_EQ(host.in_use(), 0U);
}

TEST("payload arena: the owner is told of the end of one that it gave a number, and of no other") {
  Arenas host(1'000);
  const Block numbered = host.allocator.acquire(900);
  numbered.arena->number = 7;
  const Block other = host.allocator.acquire(900);
  host.allocator.give_back();
  CHECK(host.arenas.take_ended().empty());
  other.arena->release();
  numbered.arena->release();
  auto ended = host.arenas.take_ended();
  REQUIRE(ended.size() == 1);
  CHECK_EQ(ended[0]->number, 7U);
  CHECK_EQ(host.arenas.counts().in_use, 1U);
  ended.clear();
  CHECK_EQ(host.arenas.counts().in_use, 0U);
  CHECK(host.arenas.take_ended().empty());
}

TEST("payload arena: once retired there are no more, and memory that comes back is not kept") {
  PayloadArenas arenas(1'000, 100'000);
  PayloadAllocator allocator(arenas);
  const Block first = allocator.acquire(900);
  const Block second = allocator.acquire(900);
  allocator.give_back();
  first.arena->release();
  CHECK_EQ(arenas.counts().free, 1U);
  arenas.retire();
  CHECK_EQ(arenas.counts().free, 0U);
  CHECK(allocator.acquire(900).memory == nullptr);
  second.arena->release();
  CHECK_EQ(arenas.counts().free, 0U);
  CHECK_EQ(arenas.counts().in_use, 0U);
}

TEST("payload arena: several workers fill arenas while the owner takes payloads and trims") {
  constexpr int kWorkers = 3;
  constexpr int kBlocks = 2'000;
  PayloadArenas arenas(4'096, 16'384);
  std::vector<std::unique_ptr<PayloadAllocator>> allocators;
  std::mutex mutex;
  std::condition_variable more;
  std::vector<Block> made;
  std::vector<std::thread> threads;
  for (int i = 0; i < kWorkers; ++i) allocators.push_back(std::make_unique<PayloadAllocator>(arenas));
  for (int i = 0; i < kWorkers; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < kBlocks; ++k) {
        Block block;
        if (k % 2 == 0) {
          block = allocators[static_cast<std::size_t>(i)]->acquire(1'000);
        } else {
          ReceivingRun run = allocators[static_cast<std::size_t>(i)]->open(1'000);
          std::memset(run.begin(), 0, 1'000);
          block = run.claim(run.begin(), 1'000);
        }
        std::memset(block.memory, i, 1'000);
        const std::lock_guard lock(mutex);
        made.push_back(block);
        more.notify_one();
      }
    });
  }
  std::uint32_t numbers = 0;
  std::size_t ended = 0;
  for (int taken = 0; taken < kWorkers * kBlocks;) {
    std::vector<Block> blocks;
    {
      std::unique_lock lock(mutex);
      more.wait(lock, [&] { return !made.empty(); });
      blocks.swap(made);
    }
    for (const Block& block : blocks) {
      if (block.arena->number == PayloadArena::kNoNumber) block.arena->number = numbers++;
      CHECK_EQ(block.memory[0], block.memory[999]);
      block.arena->release();
      ++taken;
    }
    ended += arenas.take_ended().size();
    if (taken % 7 == 0) {
      for (const auto& allocator : allocators) allocator->give_back();
      arenas.trim();
    }
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& allocator : allocators) allocator->give_back();
  ended += arenas.take_ended().size();
  CHECK_EQ(ended, numbers);
  CHECK_EQ(arenas.counts().in_use, 0U);
}
