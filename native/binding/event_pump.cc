// One call into JavaScript per lane and round, with the exceptions of listeners led where Node.js leads them.
#include "binding/event_pump.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "core/worker_threads.h"
#include "port/check.h"

namespace iocp {
namespace {

constexpr std::size_t kRowWords = 4;
// After so many rounds, or so much time, the event loop gets its turn even if events keep coming.
constexpr int kRoundsMax = 8;
// … or so many listeners threw.
constexpr int kThrowsPerTurn = 256;
constexpr std::uint64_t kPumpNsMax = 4'000'000;
// … and after so many bytes of wrapped payloads: their memory can only be given back between turns.
constexpr std::size_t kLargeBytesPerTurn = 4 * 1024 * 1024;

// 64 MiB. V8 collects young Buffers when they hold 32 MiB or more; with as few kept as it frees at once, those beyond
// went to the system and were asked for again.
constexpr std::int64_t kIdleSlabsMax = 512;

}  // namespace

EventPump::EventPump(EventSource& source, const Napi::Function& deliver, const Napi::Int32Array& ranges,
                     PayloadBuffers* payload_buffers)
    : source_(source),
      payload_buffers_(payload_buffers),
      ranges_(Napi::Persistent(ranges)),
      rows_(const_cast<Napi::Int32Array&>(ranges).Data()),
      rows_max_(ranges.ElementLength() / kRowWords),
      async_context_(deliver.Env(), "IOCP") {
  IOCP_CHECK(rows_max_ >= 1);
  IOCP_CHECK(napi_create_reference(deliver.Env(), deliver, 1, &deliver_) == napi_ok);
}

void EventPump::release(napi_env env) {
  if (deliver_ != nullptr) napi_delete_reference(env, deliver_);
  deliver_ = nullptr;
}

Napi::Value EventPump::supply(Napi::Env env, std::uint32_t lane, std::uint32_t index, std::size_t bytes) {
  IOCP_CHECK(index <= kSlabIndexMax && !slabs_[index].lent() && lane < source_.lane_count());
  Slab slab;
  std::uint8_t* start = nullptr;
  napi_value const buffer = make_slab(env, bytes, &slab, &start);
  if (buffer == nullptr) {
    Napi::Error::New(env, "no memory for " + std::to_string(bytes) + " bytes of received packages")
        .ThrowAsJavaScriptException();
    return {};
  }
  slabs_[index] = std::move(slab);
  source_.supply(lane, index, start, bytes);
  return {env, buffer};
}

napi_value EventPump::make_slab(napi_env env, std::size_t bytes, Slab* slab, std::uint8_t** start) {
  if (pools_) {
    if (slab_pool_ == nullptr) slab_pool_ = std::make_shared<BufferPool>(bytes, kIdleSlabsMax);
    IOCP_CHECK(slab_pool_->buffer_bytes() == bytes);
    slab->memory = std::make_shared<PooledMemory>(slab_pool_);
    *start = slab->memory->start();
    napi_status status = napi_ok;
    napi_value const buffer = *start == nullptr ? nullptr : make_pooled_buffer(env, slab->memory, &status);
    if (buffer != nullptr) return buffer;
    slab->memory = nullptr;
    pools_ = status != napi_no_external_buffers_allowed;
  }
  napi_value const buffer = make_own_buffer(env, bytes, start);
  if (buffer != nullptr) slab->own = Napi::Persistent(Napi::Uint8Array(env, buffer));
  return buffer;
}

std::uint64_t EventPump::pump(napi_env env, std::uint64_t now_ns) {
  if (pumping_ || gave_up_) return now_ns;
  pumping_ = true;
  delivered_large_bytes_ = 0;
  began_ns_ = now_ns_ = now_ns;
  if (unread_) read_on(env);
  const auto goes_on = [this] { return !unread_ && !gave_up_ && !wants_turn(); };
  for (int round = 0; round < kRoundsMax && source_.has_events() && goes_on(); ++round) {
    for (std::size_t i = 0; i < source_.lane_count() && goes_on(); ++i) {
      // Where the last pump ended, or the lanes behind a busy one would wait for ever.
      deliver_lane(env, static_cast<std::uint32_t>(next_lane_++ % source_.lane_count()));
    }
  }
  if (payload_buffers_ != nullptr) payload_buffers_->tidy(began_ns_);
  if (slab_pool_ != nullptr && period_.over(began_ns_)) slab_pool_->trim_unused();
  pumping_ = false;
  return now_ns_;
}

void EventPump::deliver_lane(napi_env env, std::uint32_t lane) {
  source_.take(lane, &batch_);
  // A retired slab's index is free from now on: JavaScript replaces it before it reads these very rows.
  for (const Mailbox::Range& range : batch_.ranges) {
    if (range.retired) slabs_[range.slab_index] = {};
  }
  for (std::size_t first = 0; first < batch_.ranges.size() && !gave_up_; first += rows_max_) {
    deliver_batch(env, first, std::min(rows_max_, batch_.ranges.size() - first));
  }
  if (unread_) batch_.rewinds = false;
  source_.delivered(lane, batch_);
  if (!batch_.empty()) now_ns_ = monotonic_ns();
}

void EventPump::deliver_batch(napi_env env, std::size_t first, std::size_t count) {
  const Napi::HandleScope scope(env);
  for (std::size_t i = 0; i < count; ++i) {
    const Mailbox::Range& range = batch_.ranges[first + i];
    std::int32_t* row = rows_ + i * kRowWords;
    row[0] = static_cast<std::int32_t>(range.slab_index);
    row[1] = static_cast<std::int32_t>(range.begin);
    row[2] = static_cast<std::int32_t>(range.end);
    row[3] = range.retired ? 1 : 0;
  }
  napi_value larges = nullptr;
  if (!take_larges(env, &larges)) {
    gave_up_ = true;
    return;
  }
  unread_ = call_deliver(env, static_cast<std::uint32_t>(count), larges);
  if (unread_) read_on(env);
}

void EventPump::read_on(napi_env env) {
  // JavaScript moved its cursor past what threw, so that each call gets further.
  for (int i = 0; unread_ && !gave_up_ && i < kThrowsPerTurn; ++i) unread_ = call_deliver(env, 0, nullptr);
}

bool EventPump::call_deliver(napi_env env, std::uint32_t count, napi_value larges) {
  const Napi::HandleScope scope(env);
  napi_value arguments[2] = {nullptr, larges};
  napi_value receiver = nullptr;
  napi_value deliver = nullptr;
  napi_value result = nullptr;
  // Plain calls, each looked at: an environment that is ending refuses any of them, at any moment.
  const bool ready = napi_create_uint32(env, count, &arguments[0]) == napi_ok &&
                     (larges != nullptr || napi_get_undefined(env, &arguments[1]) == napi_ok) &&
                     napi_get_global(env, &receiver) == napi_ok &&
                     napi_get_reference_value(env, deliver_, &deliver) == napi_ok && deliver != nullptr;
  if (!ready) {
    gave_up_ = true;
    return false;
  }
  if (napi_make_callback(env, async_context_, receiver, deliver, 2, arguments, &result) == napi_ok) return false;
  bool pending = false;
  napi_value exception = nullptr;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending ||
      napi_get_and_clear_last_exception(env, &exception) != napi_ok ||
      napi_fatal_exception(env, exception) != napi_ok) {
    // JavaScript cannot run any more (the process or the worker is ending).
    gave_up_ = true;
    return false;
  }
  return true;
}

bool EventPump::take_larges(napi_env env, napi_value* array) {
  if (batch_.larges.empty()) return true;
  bool good = napi_create_array_with_length(env, batch_.larges.size(), array) == napi_ok;
  for (std::uint32_t i = 0; i < batch_.larges.size(); ++i) {
    napi_value buffer = nullptr;
    good = buffer_of(env, batch_.larges[i], &buffer) && good && napi_set_element(env, *array, i, buffer) == napi_ok;
  }
  batch_.larges.clear();
  return good;
}

bool EventPump::buffer_of(napi_env env, const LargePayload& large, napi_value* buffer) {
  if (large.arena != nullptr) return payload_buffers_->take(large, buffer);
  delivered_large_bytes_ += large.length;
  return wrap(env, large, buffer);
}

bool EventPump::wrap(napi_env env, const LargePayload& large, napi_value* buffer) {
  const auto finalize = [](napi_env, void*, void* memory) { std::free(memory); };
  if (napi_create_external_buffer(env, large.length, large.payload, finalize, large.memory, buffer) == napi_ok) {
    return true;
  }
  // Hosts with a memory cage (Electron) admit no external memory: the payload is copied.
  void* copy = nullptr;
  const bool copied = napi_create_buffer_copy(env, large.length, large.payload, &copy, buffer) == napi_ok;
  std::free(large.memory);
  return copied;
}

bool EventPump::wants_turn() const noexcept {
  return delivered_large_bytes_ >= kLargeBytesPerTurn || now_ns_ - began_ns_ >= kPumpNsMax;
}

void EventPump::give_up() {
  gave_up_ = true;
  for (Slab& slab : slabs_) slab = {};
  if (slab_pool_ != nullptr) slab_pool_->retire();
}

}  // namespace iocp
