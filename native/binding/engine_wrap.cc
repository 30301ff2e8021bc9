// The life of an EngineWrap: making, stepping, taking down. The translated calls are in engine_calls.cc.
#include "binding/engine_wrap.h"

#include "core/worker.h"
#include "port/check.h"

namespace iocp {
namespace {

// After so many turns of the port the host's loop gets its own turn, however busy the port is.
constexpr int kTurnsPerReady = 4;

}  // namespace

EngineWrap::EngineWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineWrap>(info) {
  BindingOptions options = read_options(info[0].As<Napi::Object>());
  io_threads_ = options.io_threads;
  // A host without a usable loop is served by one thread instead.
  if (io_threads_ == 0 && !HostLoop::available()) io_threads_ = 1;
  if (io_threads_ > 0) {
    options.engine.lanes = Port::kSharedByWorkers ? 1 : io_threads_;
    options.engine.workers_per_lane = Port::kSharedByWorkers ? io_threads_ : 1;
    options.engine.wake_workers = true;
  }
  engine_ = std::make_unique<Engine>(options.engine, io_threads_ > 0 ? Doorbell{&EngineWrap::ring, this} : Doorbell{});
  pump_ = std::make_unique<EventPump>(*engine_, info[1].As<Napi::Function>(), info[2].As<Napi::Int32Array>());
  auto output = info[3].As<Napi::Uint8Array>();
  output_ = Napi::Persistent(output);
  output_bytes_ = output.Data();
  output_size_ = output.ByteLength();
}

EngineWrap::~EngineWrap() { IOCP_CHECK(phase_ != Phase::running); }

Napi::Value EngineWrap::start(const Napi::CallbackInfo& info) {
  IOCP_CHECK(phase_ == Phase::made);
  Status status = engine_->start();
  if (status == Status::ok) {
    const bool served = io_threads_ > 0 ? start_threads() : start_host_loop();
    if (!served) {
      engine_->shut_down();
      status = Status::out_of_memory;
    }
  }
  if (status == Status::ok) {
    phase_ = Phase::running;
    Ref();  // alive until taken down, whatever the garbage collector thinks
    IOCP_CHECK(napi_add_async_cleanup_hook(info.Env(), &EngineWrap::on_environment_exit, this, &cleanup_hook_) ==
               napi_ok);
  }
  return Napi::Number::New(info.Env(), static_cast<double>(status));
}

bool EngineWrap::start_host_loop() {
  return host_loop_.open(
      Env(), engine_->lane(0).port.host_descriptor(),
      [](void* self) { static_cast<EngineWrap*>(self)->on_host_ready(); }, this);
}

bool EngineWrap::start_threads() {
  const Napi::HandleScope scope(Env());
  const Napi::String name = Napi::String::New(Env(), "IOCP");
  // At most one call is ever queued: the mailbox rings once per idle-to-busy change.
  if (napi_create_threadsafe_function(Env(), nullptr, nullptr, name, 0, 1, nullptr, nullptr, this,
                                      &EngineWrap::call_from_thread, &doorbell_) != napi_ok) {
    return false;
  }
  if (threads_.start(*engine_)) return true;
  napi_release_threadsafe_function(doorbell_, napi_tsfn_abort);
  doorbell_ = nullptr;
  return false;
}

void EngineWrap::ring(void* self) {
  // Fails only while the environment goes away, and then nobody wants the events.
  static_cast<void>(
      napi_call_threadsafe_function(static_cast<EngineWrap*>(self)->doorbell_, nullptr, napi_tsfn_nonblocking));
}

void EngineWrap::call_from_thread(napi_env env, napi_value, void* context, void*) {
  if (env == nullptr) return;
  auto* self = static_cast<EngineWrap*>(context);
  if (self->phase_ != Phase::running) return;
  self->pump_->pump(env);
  self->plan_next_turn();
}

void EngineWrap::on_host_ready() {
  if (phase_ != Phase::running) return;
  const Napi::HandleScope scope(Env());
  Worker& worker = engine_->worker(0);
  for (int turn = 0; turn < kTurnsPerReady; ++turn) {
    stepping_ = true;
    const bool full = worker.collect(0) == kCompletionsPerWait;
    worker.step(monotonic_ms());
    stepping_ = false;
    pump_->pump(Env());
    if (destroy_after_pump_ || pump_->wants_turn() || (!full && !worker.has_work())) break;
  }
  plan_next_turn();
}

void EngineWrap::kick() {
  if (phase_ != Phase::running || io_threads_ > 0 || stepping_) return;
  stepping_ = true;
  engine_->worker(0).run_commands(monotonic_ms());
  stepping_ = false;
  if (!pump_->pumping()) plan_next_turn();
}

void EngineWrap::plan_next_turn() {
  if (destroy_after_pump_ && !pump_->pumping()) {
    take_down();
    return;
  }
  if (pump_->gave_up()) return;  // JavaScript cannot run any more; the environment's end will take all this down
  if (io_threads_ > 0) {
    // The pump's rounds were over before the events were.
    if (engine_->has_events()) ring(this);
    return;
  }
  Worker& worker = engine_->worker(0);
  host_loop_.plan(engine_->has_events() ? 0 : worker.sleep_limit_ms(monotonic_ms()));
}

void EngineWrap::take_down() {
  if (phase_ != Phase::running) return;
  phase_ = Phase::down;
  threads_.stop();
  pump_->give_up();
  // The loop must let go of the descriptor before the port closes it.
  if (host_loop_.is_open()) {
    host_loop_.close([](void* self) { static_cast<EngineWrap*>(self)->release_environment(); }, this);
    engine_->shut_down();
    return;
  }
  engine_->shut_down();
  napi_release_threadsafe_function(doorbell_, napi_tsfn_abort);
  doorbell_ = nullptr;
  release_environment();
}

void EngineWrap::release_environment() {
  // From the hook's removal on the environment may go; it is the last thing done, but for the reference.
  const napi_async_cleanup_hook_handle hook = cleanup_hook_;
  cleanup_hook_ = nullptr;
  if (!environment_exits_) {
    const Napi::HandleScope scope(Env());
    pump_->release(Env());
    Unref();
  }
  static_cast<void>(napi_remove_async_cleanup_hook(hook));
}

void EngineWrap::on_environment_exit(napi_async_cleanup_hook_handle, void* context) {
  auto* self = static_cast<EngineWrap*>(context);
  self->environment_exits_ = true;
  // Already on its way down: then its own end removes the hook.
  self->take_down();
}

}  // namespace iocp
