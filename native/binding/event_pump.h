// Carries events from the engine's mailboxes into JavaScript: one call of `deliver` for everything that waits in a
// lane. Also keeps the slabs alive that the engine writes to. JavaScript thread only.
#pragma once

#include <napi.h>

#include <array>
#include <cstdint>

#include "core/engine.h"
#include "core/limits.h"

namespace iocp {

class EventPump {
 public:
  EventPump(Engine& engine, const Napi::Function& deliver, const Napi::Int32Array& ranges);
  EventPump(const EventPump&) = delete;
  EventPump& operator=(const EventPump&) = delete;

  void supply(std::uint32_t lane, std::uint32_t index, const Napi::Uint8Array& slab);
  // Delivers until nothing waits, or a bounded number of rounds is over. An exception of a listener becomes an
  // uncaughtException, and delivery goes on.
  void pump(Napi::Env env);
  // Takes and discards without calling JavaScript; for an environment that is going away.
  void give_up();
  bool pumping() const noexcept { return pumping_; }

 private:
  void deliver_batch(Napi::Env env, std::size_t first, std::size_t count);
  Napi::Value take_larges(Napi::Env env);
  bool call_deliver(Napi::Env env, std::uint32_t count, const Napi::Value& larges);

  Engine& engine_;
  Napi::FunctionReference deliver_;
  Napi::Reference<Napi::Int32Array> ranges_;
  std::int32_t* rows_;
  std::size_t rows_max_;
  Napi::AsyncContext async_context_;
  std::array<Napi::Reference<Napi::Uint8Array>, kSlabIndexMax + 1> slabs_;
  Mailbox::Batch batch_;
  bool pumping_ = false;
  bool gave_up_ = false;
};

}  // namespace iocp
