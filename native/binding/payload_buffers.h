// Blocks for large payloads that are JavaScript's from the beginning: received into, then handed on. They are parts of
// arenas, and an arena is one Buffer, so V8 makes and collects one object for several packages. The memory comes from a
// pool and goes back to it when V8 has collected the Buffer and nothing here needs a part of it any more.
#pragma once

#include <napi.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "binding/pooled_memory.h"
#include "core/buffer_pool.h"
#include "core/idle_watch.h"
#include "core/large_payload.h"
#include "core/limits.h"
#include "port/mutex.h"

namespace iocp {

class PayloadBuffers final : public PayloadAllocator {
 public:
  // For the thread of that environment, which is the calling one.
  explicit PayloadBuffers(napi_env env) noexcept;
  ~PayloadBuffers() { close(); }
  PayloadBuffers(const PayloadBuffers&) = delete;
  PayloadBuffers& operator=(const PayloadBuffers&) = delete;

  // Between these two the environment's thread may get blocks, for there V8 may be called.
  void admit() noexcept { admitted_ = true; }
  void refuse() noexcept { admitted_ = false; }

  Block acquire(std::size_t bytes) noexcept override;
  Run open(std::size_t least, const std::uint8_t* behind) noexcept override;
  void keep(std::size_t bytes, std::uint32_t blocks) noexcept override;
  void release(std::uint32_t number) noexcept override IOCP_EXCLUDES(mutex_);
  // The Buffer that a block is part of, for the caller; the block is done with. False when JavaScript cannot run any
  // more.
  bool take(std::uint32_t number, napi_value* buffer) noexcept;
  // Lets go of the blocks that were released, and now and then of memory that nobody has wanted for a while.
  void tidy(std::uint64_t now_ns) noexcept IOCP_EXCLUDES(mutex_);
  // Lets go of every block that was not taken; what holds one must not touch its memory any more.
  void close() noexcept;

 private:
  struct Arena {
    std::shared_ptr<PooledMemory> memory;  // null: V8's own, which lives as long as its Buffer
    std::uint8_t* start = nullptr;
    std::size_t bytes = 0;
    std::size_t used = 0;
    std::size_t blocks = 0;  // not taken and not released

    std::size_t room() const noexcept { return bytes - used; }
    void align() noexcept { used = std::min(bytes, (used + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment); }
  };
  static constexpr std::size_t kBlockAlignment = 64;
  static constexpr std::uint32_t kNone = UINT32_MAX;

  // Begins an arena with room for `bytes`. False: there is no memory.
  bool begin_arena(std::size_t bytes) noexcept;
  // A Buffer around memory of the pool, or around V8's own; null when there is none.
  napi_value make_pooled(Arena* arena) noexcept;
  napi_value make_own(Arena* arena, std::size_t bytes) noexcept;
  // No block is cut from the current arena any more.
  void leave_current() noexcept;
  void drop(std::uint32_t number) noexcept;
  // The Array, made when it is first wanted; null when that cannot be.
  napi_value held() noexcept;

  const napi_env env_;
  const std::thread::id thread_;
  const std::shared_ptr<BufferPool> pool_;
  bool admitted_ = false;
  bool pools_ = true;        // false: this host admits no memory but V8's
  napi_ref held_ = nullptr;  // an Array: the Buffer of each arena, at its number
  std::vector<Arena> arenas_;
  std::vector<std::uint32_t> unused_;  // numbers in arenas_
  std::uint32_t current_ = kNone;      // the one that blocks are cut from
  IdleWatch watch_{kPoolIdleNs};
  std::atomic<bool> any_released_{false};
  Mutex mutex_;
  std::vector<std::uint32_t> released_ IOCP_GUARDED_BY(mutex_);
};

}  // namespace iocp
