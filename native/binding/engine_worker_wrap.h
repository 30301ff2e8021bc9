// The JavaScript object at a logical worker's end of an engine (binding.d.ts: class EngineWorker), in an environment of
// its own. Translation, and the pump that carries its mailbox into JavaScript; nothing here decides anything.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "binding/event_pump.h"
#include "binding/thread_bell.h"
#include "core/logical_worker.h"

namespace iocp {

class EngineWorkerWrap : public Napi::ObjectWrap<EngineWorkerWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit EngineWorkerWrap(const Napi::CallbackInfo& info);
  ~EngineWorkerWrap() override;

 private:
  // --- exported, in the order of binding.d.ts
  Napi::Value attached(const Napi::CallbackInfo& info);
  Napi::Value idle(const Napi::CallbackInfo& info);
  Napi::Value supply(const Napi::CallbackInfo& info);
  void serve(const Napi::CallbackInfo& info);
  void retire(const Napi::CallbackInfo& info);
  Napi::Value pump(const Napi::CallbackInfo& info);
  Napi::Value release(const Napi::CallbackInfo& info);
  Napi::Value luggage(const Napi::CallbackInfo& info);
  Napi::Value send(const Napi::CallbackInfo& info);
  void flush(const Napi::CallbackInfo& info);
  Napi::Value disconnect(const Napi::CallbackInfo& info);
  Napi::Value finish(const Napi::CallbackInfo& info);
  Napi::Value pause(const Napi::CallbackInfo& info);
  Napi::Value resume(const Napi::CallbackInfo& info);
  Napi::Value context_stats(const Napi::CallbackInfo& info);
  Napi::Value tcp_info(const Napi::CallbackInfo& info);
  Napi::Value describe(const Napi::CallbackInfo& info);
  void destroy(const Napi::CallbackInfo& info);

  // The engine first, which from then on writes to no slab; then the bell and the slabs. Once.
  void close(bool environment_exits);
  static void on_environment_exit(void* self);

  std::shared_ptr<ThreadBell> bell_;
  bool open_ = false;                      // attached, and not closed yet
  std::shared_ptr<LogicalWorker> worker_;  // outlives the pump, which may be at it when it is closed
  std::unique_ptr<EventPump> pump_;
};

}  // namespace iocp
