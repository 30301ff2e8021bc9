// The calls of a logical worker, one function each.
#include "binding/engine_worker_wrap.h"

#include <utility>

#include "binding/arguments.h"
#include "binding/directory.h"
#include "core/roster.h"
#include "core/worker_threads.h"
#include "port/check.h"

namespace iocp {

Napi::Function EngineWorkerWrap::define(Napi::Env env) {
  return DefineClass(env, "EngineWorker",
                     {
                         InstanceAccessor<&EngineWorkerWrap::attached>("attached"),
                         InstanceAccessor<&EngineWorkerWrap::idle>("idle"),
                         InstanceMethod<&EngineWorkerWrap::supply>("supply"),
                         InstanceMethod<&EngineWorkerWrap::serve>("serve"),
                         InstanceMethod<&EngineWorkerWrap::retire>("retire"),
                         InstanceMethod<&EngineWorkerWrap::pump>("pump"),
                         InstanceMethod<&EngineWorkerWrap::release>("release"),
                         InstanceMethod<&EngineWorkerWrap::luggage>("luggage"),
                         InstanceMethod<&EngineWorkerWrap::send>("send"),
                         InstanceMethod<&EngineWorkerWrap::flush>("flush"),
                         InstanceMethod<&EngineWorkerWrap::disconnect>("disconnect"),
                         InstanceMethod<&EngineWorkerWrap::finish>("finish"),
                         InstanceMethod<&EngineWorkerWrap::pause>("pause"),
                         InstanceMethod<&EngineWorkerWrap::resume>("resume"),
                         InstanceMethod<&EngineWorkerWrap::context_stats>("contextStats"),
                         InstanceMethod<&EngineWorkerWrap::tcp_info>("tcpInfo"),
                         InstanceMethod<&EngineWorkerWrap::describe>("describe"),
                         InstanceMethod<&EngineWorkerWrap::destroy>("destroy"),
                     });
}

EngineWorkerWrap::EngineWorkerWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<EngineWorkerWrap>(info), bell_(std::make_shared<ThreadBell>()) {
  const std::shared_ptr<Roster> roster = Directory<Roster>::find(word(info, 0));
  if (roster == nullptr || !bell_->open(info[2].As<Napi::Function>())) return;
  // What keeps the environment's loop alive is the queue of jobs.
  bell_->unref(info.Env());
  auto worker = std::make_shared<LogicalWorker>(word(info, 1), bell_);
  if (!roster->attach(worker)) {
    bell_->close();
    return;
  }
  open_ = true;
  worker_ = std::move(worker);
  pump_ = std::make_unique<EventPump>(*worker_, info[3].As<Napi::Function>(), info[4].As<Napi::Int32Array>());
  IOCP_CHECK(napi_add_env_cleanup_hook(info.Env(), &EngineWorkerWrap::on_environment_exit, this) == napi_ok);
}

EngineWorkerWrap::~EngineWorkerWrap() { close(true); }

void EngineWorkerWrap::close(bool environment_exits) {
  if (!open_) return;
  open_ = false;
  worker_->leave();
  bell_->close();
  pump_->give_up();
  if (!environment_exits) pump_->release(Env());
  static_cast<void>(napi_remove_env_cleanup_hook(Env(), &EngineWorkerWrap::on_environment_exit, this));
}

void EngineWorkerWrap::on_environment_exit(void* self) { static_cast<EngineWorkerWrap*>(self)->close(true); }

Napi::Value EngineWorkerWrap::attached(const Napi::CallbackInfo& info) { return boolean(info, open_); }

Napi::Value EngineWorkerWrap::idle(const Napi::CallbackInfo& info) {
  // In this order: the last context goes behind its last record.
  return boolean(info, !open_ || (worker_->contexts() == 0 && !pump_->has_events()));
}

Napi::Value EngineWorkerWrap::supply(const Napi::CallbackInfo& info) {
  return open_ ? pump_->supply(info.Env(), 0, word(info, 0), word(info, 1)) : info.Env().Undefined();
}

void EngineWorkerWrap::serve(const Napi::CallbackInfo&) {
  if (open_) worker_->serve();
}

void EngineWorkerWrap::retire(const Napi::CallbackInfo&) {
  if (open_) worker_->retire();
}

Napi::Value EngineWorkerWrap::pump(const Napi::CallbackInfo& info) {
  if (!open_) return boolean(info, false);
  pump_->pump(info.Env(), monotonic_ns());
  return boolean(info, open_ && !pump_->gave_up() && pump_->has_events());
}

Napi::Value EngineWorkerWrap::release(const Napi::CallbackInfo& info) {
  if (!open_) return boolean(info, false);
  std::unique_ptr<Luggage> luggage;
  if (info[2].IsTypedArray()) {
    const ConstBytes packed = bytes(info, 2);
    luggage = std::make_unique<Luggage>(packed.begin(), packed.end());
  }
  return boolean(info, worker_->release(word(info, 0), word(info, 1), std::move(luggage)));
}

Napi::Value EngineWorkerWrap::luggage(const Napi::CallbackInfo& info) {
  const std::unique_ptr<Luggage> luggage = !open_ ? nullptr : worker_->take_luggage(word(info, 0), word(info, 1));
  if (luggage == nullptr) return info.Env().Undefined();
  return Napi::Buffer<std::uint8_t>::Copy(info.Env(), luggage->data(), luggage->size());
}

Napi::Value EngineWorkerWrap::send(const Napi::CallbackInfo& info) {
  const Engine::Sent sent = !open_ ? Engine::Sent{Status::gone, 0}
                                   : worker_->send(word(info, 0), word(info, 1), bytes(info, 2), word(info, 3));
  const double queued = static_cast<double>(sent.queued_bytes);
  return number(info, sent.status == Status::ok ? queued : -static_cast<double>(sent.status));
}

void EngineWorkerWrap::flush(const Napi::CallbackInfo&) {
  if (open_) worker_->flush();
}

Napi::Value EngineWorkerWrap::disconnect(const Napi::CallbackInfo& info) {
  return boolean(info, open_ && worker_->disconnect(word(info, 0), word(info, 1), flag(info, 2), word(info, 3)));
}

Napi::Value EngineWorkerWrap::finish(const Napi::CallbackInfo& info) {
  return boolean(info, open_ && worker_->finish(word(info, 0), word(info, 1)));
}

Napi::Value EngineWorkerWrap::pause(const Napi::CallbackInfo& info) {
  return boolean(info, open_ && worker_->pause(word(info, 0), word(info, 1)));
}

Napi::Value EngineWorkerWrap::resume(const Napi::CallbackInfo& info) {
  return boolean(info, open_ && worker_->resume(word(info, 0), word(info, 1)));
}

Napi::Value EngineWorkerWrap::context_stats(const Napi::CallbackInfo& info) {
  ContextFigures figures;
  if (!open_ || !worker_->figures(word(info, 0), word(info, 1), &figures)) return boolean(info, false);
  write_figures(figures, info[2].As<Napi::Float64Array>());
  return boolean(info, true);
}

Napi::Value EngineWorkerWrap::tcp_info(const Napi::CallbackInfo& info) {
  TcpInfo figures;
  if (!open_ || !worker_->tcp_info(word(info, 0), word(info, 1), &figures)) return boolean(info, false);
  write_figures(figures, info[2].As<Napi::Float64Array>());
  return boolean(info, true);
}

Napi::Value EngineWorkerWrap::describe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ContextEnds ends;
  if (!open_ || !worker_->describe(word(info, 0), word(info, 1), &ends)) return env.Undefined();
  const Family family = ends.remote.family == Family::none ? ends.local.family : ends.remote.family;
  Napi::Array row = Napi::Array::New(env, 5);
  row.Set(0U, family_number(family));
  row.Set(1U, format_ip(ends.remote));
  row.Set(2U, static_cast<double>(ends.remote.port));
  row.Set(3U, format_ip(ends.local));
  row.Set(4U, static_cast<double>(ends.local.port));
  return row;
}

void EngineWorkerWrap::destroy(const Napi::CallbackInfo&) { close(false); }

}  // namespace iocp
