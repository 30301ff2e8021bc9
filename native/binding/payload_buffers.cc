// Arenas and their Buffers: the number of an arena is its Buffer's place in an Array.
#include "binding/payload_buffers.h"

#include <cstring>
#include <memory>

#include "binding/pooled_buffers.h"

namespace iocp {

bool PayloadBuffers::take(const LargePayload& payload, napi_value* buffer) noexcept {
  const bool taken = find(*payload.arena, buffer) || copy(payload, buffer);
  payload.free();
  forget_ended();
  return taken;
}

bool PayloadBuffers::find(PayloadArena& arena, napi_value* buffer) noexcept {
  if (arena.number == PayloadArena::kNoNumber) {
    *buffer = make(arena);
    return *buffer != nullptr;
  }
  napi_value const array = held();
  return array != nullptr && napi_get_element(env_, array, arena.number, buffer) == napi_ok;
}

napi_value PayloadBuffers::make(PayloadArena& arena) noexcept {
  napi_status status = napi_ok;
  napi_value const buffer = make_pooled_buffer(env_, arena.memory(), &status);
  // This host admits no memory but V8's: then the C library's is cheaper, of which only the payload is copied.
  if (status == napi_no_external_buffers_allowed) engine_.payload_arenas().admit(false);
  napi_value const array = held();
  if (buffer == nullptr || array == nullptr) return nullptr;
  const std::uint32_t number = unused_.empty() ? numbers_ : unused_.back();
  if (napi_set_element(env_, array, number, buffer) != napi_ok) return nullptr;
  if (unused_.empty()) {
    ++numbers_;
  } else {
    unused_.pop_back();
  }
  arena.number = number;
  return buffer;
}

bool PayloadBuffers::copy(const LargePayload& payload, napi_value* buffer) noexcept {
  const std::size_t offset = payload.arena->offset_of(payload.payload);
  std::uint8_t* start = nullptr;
  *buffer = make_own_buffer(env_, offset + payload.length, &start);
  if (*buffer == nullptr) return false;
  std::memcpy(start + offset, payload.payload, payload.length);
  return true;
}

void PayloadBuffers::tidy(std::uint64_t now_ns) noexcept {
  forget_ended();
  if (period_.over(now_ns)) engine_.trim_payload_arenas();
}

// At once, or V8 would find them in use when it collects, and keep them for long.
void PayloadBuffers::forget_ended() noexcept {
  const std::vector<std::unique_ptr<PayloadArena>> ended = engine_.payload_arenas().take_ended();
  if (ended.empty()) return;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  napi_value const array = held();
  napi_value nothing = nullptr;
  const bool ready = array != nullptr && napi_get_undefined(env_, &nothing) == napi_ok;
  for (const std::unique_ptr<PayloadArena>& arena : ended) {
    // What cannot be taken out goes with the Array.
    if (ready && napi_set_element(env_, array, arena->number, nothing) == napi_ok) unused_.push_back(arena->number);
  }
  static_cast<void>(napi_close_handle_scope(env_, scope));
}

void PayloadBuffers::close() noexcept {
  if (held_ != nullptr) static_cast<void>(napi_delete_reference(env_, held_));
  held_ = nullptr;
  static_cast<void>(engine_.payload_arenas().take_ended());
}

napi_value PayloadBuffers::held() noexcept {
  napi_value array = nullptr;
  if (held_ != nullptr) return napi_get_reference_value(env_, held_, &array) == napi_ok ? array : nullptr;
  if (napi_create_array(env_, &array) != napi_ok) return nullptr;
  return napi_create_reference(env_, array, 1, &held_) == napi_ok ? array : nullptr;
}

}  // namespace iocp
