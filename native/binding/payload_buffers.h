// The Buffers that JavaScript gets large payloads in: one around each arena, so V8 makes and collects one object for
// several packages. It shares in the arena's memory, and is kept here until the arena ends. JavaScript thread only.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/engine.h"
#include "core/large_payload.h"
#include "core/limits.h"
#include "core/period.h"

namespace iocp {

class PayloadBuffers {
 public:
  // For the thread of that environment, which is the calling one. The engine must live until close().
  PayloadBuffers(napi_env env, Engine& engine) noexcept : env_(env), engine_(engine) {}
  ~PayloadBuffers() { close(); }
  PayloadBuffers(const PayloadBuffers&) = delete;
  PayloadBuffers& operator=(const PayloadBuffers&) = delete;

  // The Buffer that a payload of an arena is part of, for the caller, in a handle scope; the payload is done with.
  // False when JavaScript cannot run any more.
  bool take(const LargePayload& payload, napi_value* buffer) noexcept;
  // Lets go of the Buffers whose arenas ended, and now and then of memory that nobody has wanted for a while.
  void tidy(std::uint64_t now_ns) noexcept;
  // Lets go of them all. The engine was shut down: there will be no others.
  void close() noexcept;

 private:
  bool find(PayloadArena& arena, napi_value* buffer) noexcept;
  // Makes the Buffer, and keeps it under a number. Null: there is none.
  napi_value make(PayloadArena& arena) noexcept;
  // A Buffer of V8's own with a copy of the payload where it is in its arena.
  bool copy(const LargePayload& payload, napi_value* buffer) noexcept;
  void forget_ended() noexcept;
  // The Array, made when it is first wanted; null when that cannot be.
  napi_value held() noexcept;

  const napi_env env_;
  Engine& engine_;
  napi_ref held_ = nullptr;  // an Array: the Buffer of each arena, at its number
  std::uint32_t numbers_ = 0;
  std::vector<std::uint32_t> unused_;  // of these
  Period period_{kPoolIdleNs};
};

}  // namespace iocp
