// Carries events from mailboxes into JavaScript, those of an engine or of a logical worker: one call of `deliver` for
// everything that waits in a lane. Also makes the slabs that the engine writes to, and keeps them alive. JavaScript
// thread only.
#pragma once

#include <napi.h>

#include <array>
#include <cstdint>

#include "binding/payload_buffers.h"
#include "binding/pooled_buffers.h"
#include "core/event_source.h"
#include "core/limits.h"
#include "core/period.h"

namespace iocp {

class EventPump {
 public:
  // `payload_buffers`: of the arenas that some large payloads are in; null where there are none.
  EventPump(EventSource& source, const Napi::Function& deliver, const Napi::Int32Array& ranges,
            PayloadBuffers* payload_buffers = nullptr);
  EventPump(const EventPump&) = delete;
  EventPump& operator=(const EventPump&) = delete;

  // Lends the engine a new slab, and returns the Buffer around it. Empty, and an exception pending: there is no memory.
  Napi::Value supply(Napi::Env env, std::uint32_t lane, std::uint32_t index, std::size_t bytes);
  // Delivers until nothing waits, or it was enough for a turn of the event loop. An exception of a listener becomes an
  // uncaughtException, and delivery goes on; after many of them, with the next call. `now_ns`: of the monotonic clock;
  // returns what it says afterwards.
  std::uint64_t pump(napi_env env, std::uint64_t now_ns);
  // Takes and discards without calling JavaScript; for an environment that is going away.
  void give_up();
  // Lets go of JavaScript's function; the pump is of no use afterwards.
  void release(napi_env env);
  // Something waits for pump(): in the mailboxes, or with the reader, behind a listener that threw.
  bool has_events() const noexcept { return unread_ || source_.has_events(); }
  bool pumping() const noexcept { return pumping_; }
  bool gave_up() const noexcept { return gave_up_; }
  // True when the event loop should have its turn before more is read.
  bool wants_turn() const noexcept;

 private:
  void deliver_lane(napi_env env, std::uint32_t lane);
  void deliver_batch(napi_env env, std::size_t first, std::size_t count);
  // After a listener threw: reads on, behind every other that does. unread_: there were too many for one turn.
  void read_on(napi_env env);
  // False when JavaScript cannot run any more.
  bool take_larges(napi_env env, napi_value* array);
  bool buffer_of(napi_env env, const LargePayload& large, napi_value* buffer);
  static bool wrap(napi_env env, const LargePayload& large, napi_value* buffer);
  // True when a listener threw.
  bool call_deliver(napi_env env, std::uint32_t count, napi_value larges);

  EventSource& source_;
  PayloadBuffers* const payload_buffers_;
  napi_ref deliver_ = nullptr;
  Napi::Reference<Napi::Int32Array> ranges_;
  std::int32_t* rows_;
  std::size_t rows_max_;
  Napi::AsyncContext async_context_;
  // What the engine may still write to. V8's own memory is alive as long as its Buffer is.
  struct Slab {
    std::shared_ptr<PooledMemory> memory;
    Napi::Reference<Napi::Uint8Array> own;
    bool lent() const { return memory != nullptr || !own.IsEmpty(); }
  };
  // Fills the slab in, and returns its Buffer.
  napi_value make_slab(napi_env env, std::size_t bytes, Slab* slab, std::uint8_t** start);

  std::array<Slab, kSlabIndexMax + 1> slabs_;
  std::shared_ptr<BufferPool> slab_pool_;  // null: no slab yet, or this host admits no memory but V8's
  bool pools_ = true;
  Period period_{kPoolIdleNs};  // … of looking at what lies idle there
  Mailbox::Batch batch_;
  std::size_t next_lane_ = 0;
  std::uint64_t began_ns_ = 0;  // the last pump()
  std::uint64_t now_ns_ = 0;    // … and the clock, as it was read last
  std::size_t delivered_large_bytes_ = 0;
  bool unread_ = false;
  bool pumping_ = false;
  bool gave_up_ = false;
};

}  // namespace iocp
