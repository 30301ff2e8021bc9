// Recycled memory and the limit on how much of it lies idle: 0 keeps all, -1 none, n at most n.
#include "core/buffer_pool.h"

#include <cstddef>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "support/test.h"
#include "unit/random.h"

using iocp::BufferPool;
using unit::Random;

namespace {

std::vector<void*> acquire(BufferPool& pool, std::size_t count) {
  std::vector<void*> buffers;
  for (std::size_t i = 0; i < count; ++i) buffers.push_back(pool.acquire());
  return buffers;
}

void release(BufferPool& pool, const std::vector<void*>& buffers) {
  for (void* buffer : buffers) pool.release(buffer);
}

}  // namespace

TEST("buffer pool: buffers are apart, of full size and aligned for anything") {
  BufferPool pool(1'000, 0);
  CHECK_EQ(pool.buffer_bytes(), 1'000U);
  const std::vector<void*> buffers = acquire(pool, 10);
  CHECK_EQ(std::set<void*>(buffers.begin(), buffers.end()).size(), 10U);
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    REQUIRE(buffers[i] != nullptr);
    CHECK_EQ(reinterpret_cast<std::uintptr_t>(buffers[i]) % alignof(std::max_align_t), 0U);
    std::memset(buffers[i], static_cast<int>(i), pool.buffer_bytes());
  }
  for (std::size_t i = 0; i < buffers.size(); ++i) CHECK_EQ(static_cast<std::uint8_t*>(buffers[i])[999], i);
  release(pool, buffers);
}

TEST("buffer pool: the limit 0 keeps every released buffer") {
  BufferPool pool(64, 0);
  release(pool, acquire(pool, 100));
  CHECK_EQ(pool.counts().free, 100U);
  release(pool, acquire(pool, 100));
  CHECK_EQ(pool.counts().allocated, 100U);
  CHECK_EQ(pool.counts().reused, 100U);
}

TEST("buffer pool: the limit -1 keeps none") {
  BufferPool pool(64, -1);
  release(pool, acquire(pool, 100));
  CHECK_EQ(pool.counts().free, 0U);
  release(pool, acquire(pool, 100));
  CHECK_EQ(pool.counts().allocated, 200U);
  CHECK_EQ(pool.counts().reused, 0U);
}

TEST("buffer pool: a limit of n keeps n") {
  BufferPool pool(64, 7);
  release(pool, acquire(pool, 100));
  CHECK_EQ(pool.counts().free, 7U);
  const std::vector<void*> buffers = acquire(pool, 10);
  CHECK_EQ(pool.counts().reused, 7U);
  CHECK_EQ(pool.counts().allocated, 103U);
  CHECK_EQ(pool.counts().free, 0U);
  release(pool, buffers);
}

TEST("buffer pool: trimming frees what lay idle since the last time, and nothing else") {
  BufferPool pool(64, 0);
  pool.trim_unused();
  const std::vector<void*> buffers = acquire(pool, 3);
  release(pool, acquire(pool, 5));
  pool.trim_unused();
  CHECK_EQ(pool.counts().free, 5U);  // they did not all the time
  release(pool, acquire(pool, 2));
  pool.trim_unused();
  CHECK_EQ(pool.counts().free, 2U);  // three were never wanted
  release(pool, acquire(pool, 2));
  pool.trim_unused();
  CHECK_EQ(pool.counts().free, 2U);
  pool.trim_unused();
  CHECK_EQ(pool.counts().free, 0U);
  CHECK_EQ(pool.counts().in_use, 3U);
  release(pool, buffers);
  CHECK_EQ(pool.counts().free, 3U);
}

TEST("buffer pool: a retired one keeps nothing, but still has buffers to give") {
  BufferPool pool(64, 0);
  const std::vector<void*> buffers = acquire(pool, 3);
  release(pool, acquire(pool, 5));
  pool.retire();
  CHECK_EQ(pool.counts().free, 0U);
  release(pool, buffers);
  release(pool, acquire(pool, 2));
  CHECK_EQ(pool.counts().free, 0U);
  CHECK_EQ(pool.counts().in_use, 0U);
}

TEST("buffer pool: releasing nothing is nothing") {
  BufferPool pool(64, 0);
  pool.release(nullptr);
  CHECK_EQ(pool.counts().free, 0U);
  CHECK_EQ(pool.counts().in_use, 0U);
}

TEST("buffer pool: its counts add up after any sequence") {
  Random random;
  for (const std::int64_t free_max : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{5}}) {
    BufferPool pool(64, free_max);
    std::vector<void*> held;
    std::uint64_t acquired = 0;
    for (int step = 0; step < 5'000; ++step) {
      if (held.empty() || random.chance(50)) {
        held.push_back(pool.acquire());
        REQUIRE(held.back() != nullptr);
        ++acquired;
      } else {
        std::swap(random.pick(held), held.back());
        pool.release(held.back());
        held.pop_back();
      }
      const BufferPool::Counts counts = pool.counts();
      REQUIRE(counts.in_use == held.size());
      REQUIRE(counts.reused + counts.allocated == acquired);
      REQUIRE(free_max != -1 || counts.free == 0);
      REQUIRE(free_max <= 0 || counts.free <= static_cast<std::uint64_t>(free_max));
    }
    release(pool, held);
  }
}

TEST("buffer pool: several threads share it and get buffers of their own") {
  BufferPool pool(256, 16);
  std::vector<std::thread> threads;
  std::vector<int> torn(4);
  for (std::size_t t = 0; t < torn.size(); ++t) {
    threads.emplace_back([&pool, &torn, t] {
      for (int i = 0; i < 2'000; ++i) {
        auto* buffer = static_cast<std::uint8_t*>(pool.acquire());
        std::memset(buffer, static_cast<int>(t), 256);
        for (int at = 0; at < 256; at += 51) torn[t] += buffer[at] == t ? 0 : 1;
        pool.release(buffer);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : torn) CHECK_EQ(count, 0);
  CHECK_EQ(pool.counts().in_use, 0U);
  CHECK_EQ(pool.counts().reused + pool.counts().allocated, 8'000U);
}
