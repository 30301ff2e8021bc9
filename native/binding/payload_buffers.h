// Blocks for large payloads that are Buffers of JavaScript's own from the beginning: received into, then handed on. V8
// frees such memory with its cheap collections of young objects, and nothing of ours runs when it does; memory that is
// only wrapped in a Buffer brings on full collections, and a finalizer each.
#pragma once

#include <napi.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/large_payload.h"
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
  void release(std::uint32_t number) noexcept override IOCP_EXCLUDES(mutex_);
  // The Buffer of a block, which is the caller's now. False when JavaScript cannot run any more.
  bool take(std::uint32_t number, napi_value* buffer) noexcept;
  // Lets go of those that were released. Inside a scope for handles.
  void take_back_released() noexcept IOCP_EXCLUDES(mutex_);
  // Lets go of every block that was not taken; what holds one must not touch its memory any more.
  void close() noexcept;

 private:
  // The Array, made when it is first wanted; null when that cannot be.
  napi_value held() noexcept;

  const napi_env env_;
  const std::thread::id thread_;
  bool admitted_ = false;
  napi_ref held_ = nullptr;            // an Array: the Buffer of each block, at its number
  std::uint32_t count_ = 0;            // numbers used so far
  std::vector<std::uint32_t> unused_;  // … and free again
  std::atomic<bool> any_released_{false};
  Mutex mutex_;
  std::vector<std::uint32_t> released_ IOCP_GUARDED_BY(mutex_);
};

}  // namespace iocp
