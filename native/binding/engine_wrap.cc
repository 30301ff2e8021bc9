// The life of an EngineWrap: making, stepping, taking down. The translated calls are in engine_calls.cc.
#include "binding/engine_wrap.h"

#include <utility>

#include "binding/directory.h"
#include "core/worker.h"
#include "port/check.h"

namespace iocp {
namespace {

// After so many turns of the port the host's loop gets its own turn, however busy the port is.
constexpr int kTurnsPerReady = 4;

}  // namespace

EngineWrap::EngineWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineWrap>(info), policy_(1), polling_(1) {
  BindingOptions options = read_options(info[0].As<Napi::Object>());
  io_threads_ = options.io_threads;
  policy_ = SteppingPolicy(options.processors);
  polling_ = BusyPolling(options.processors);
  // A host without a usable loop is served by one thread instead.
  if (io_threads_ == 0 && !HostLoop::available(info.Env())) io_threads_ = 1;
  if (io_threads_ > 0) {
    options.engine.lanes = Port::kSharedByWorkers ? 1 : io_threads_;
    options.engine.workers_per_lane = Port::kSharedByWorkers ? io_threads_ : 1;
    options.engine.wake_workers = true;
  }
  const Doorbell doorbell = {&EngineWrap::ring, this};
  const bool adaptive = options.adaptive && io_threads_ == 0;
  engine_ = std::make_unique<Engine>(options.engine, io_threads_ > 0 || adaptive ? doorbell : Doorbell{});
  if (adaptive) standby_ = std::make_unique<StandbyThread>(*engine_, doorbell);
  payload_buffers_ = std::make_unique<PayloadBuffers>(info.Env(), *engine_);
  pump_ = std::make_unique<EventPump>(*engine_, info[1].As<Napi::Function>(), info[2].As<Napi::Int32Array>(),
                                      payload_buffers_.get());
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
    const bool served = io_threads_ > 0 ? start_threads() : standby_ != nullptr ? start_adaptive() : start_host_loop();
    if (!served) {
      engine_->shut_down();
      status = Status::out_of_memory;
    }
  }
  if (status == Status::ok) {
    phase_ = Phase::running;
    handle_ = Directory<Roster>::enlist(engine_->roster());
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
  if (!open_bell()) return false;
  if (threads_.start(*engine_)) return true;
  close_bell();
  return false;
}

bool EngineWrap::start_adaptive() {
  if (!open_bell()) return false;
  if (!start_host_loop()) {
    close_bell();
    return false;
  }
  // The doorbell keeps the loop alive, whoever steps.
  host_loop_.unref();
  host_loop_.watch_sleep([](void* self) { static_cast<EngineWrap*>(self)->before_sleep(); });
  static_cast<void>(measure(monotonic_ns()));  // the first window begins
  return true;
}

bool EngineWrap::open_bell() {
  bell_ = std::make_shared<ThreadBell>();
  const auto on_ring = [](napi_env env, void* self) { static_cast<EngineWrap*>(self)->on_ring(env); };
  return bell_->open(Env(), on_ring, this);
}

void EngineWrap::close_bell() {
  if (bell_ != nullptr) bell_->close();
}

bool EngineWrap::steps_itself() const { return io_threads_ == 0 && (standby_ == nullptr || standby_->owner_steps()); }

void EngineWrap::ring(void* self) { static_cast<EngineWrap*>(self)->bell_->ring(); }

void EngineWrap::on_ring(napi_env env) {
  if (phase_ != Phase::running) return;
  const std::uint64_t begin_ns = monotonic_ns();
  const std::uint64_t now_ns = pump_->pump(env, begin_ns);
  turns_ns_ += now_ns - begin_ns;
  if (standby_ != nullptr && standby_->reclaim()) {
    resume_host_loop();
    if (!destroy_after_pump_) return;
  }
  plan_next_turn(now_ns);
}

void EngineWrap::on_host_ready() {
  if (phase_ != Phase::running || !steps_itself()) return;
  const Napi::HandleScope scope(Env());
  Worker& worker = engine_->worker(0);
  const std::uint64_t ready_ns = monotonic_ns();
  if (!wait_.over) polling_.waited(ready_ns - wait_.begin_ns, wait_.looked);
  wait_.over = true;
  std::uint64_t now_ns = ready_ns;
  bool asked_again = false;
  for (int turn = 0; turn < kTurnsPerReady;) {
    const std::uint64_t begin_ns = now_ns;
    const std::size_t collected = worker.collect(0);
    if (asked_again) {
      asking_.answered(collected > 0);
      if (collected == 0) break;
    }
    worker.step(begin_ns / 1'000'000);
    now_ns = monotonic_ns();
    stepping_ns_ += now_ns - begin_ns;
    now_ns = pump_->pump(Env(), now_ns);
    turns_ns_ += now_ns - begin_ns;
    if (destroy_after_pump_ || pump_->wants_turn()) break;
    asked_again = collected < kCompletionsPerWait && !worker.has_work();
    if (!asked_again) {
      ++turn;
    } else if (now_ns - ready_ns > kAskAgainNs || !host_loop_.may_wait() || !asking_.pays()) {
      break;
    }
  }
  plan_next_turn(now_ns);
}

void EngineWrap::before_sleep() {
  if (phase_ != Phase::running || !steps_itself()) return;
  if (!wait_.over) polling_.in_vain();
  wait_ = {monotonic_ns(), polling_.pays(), false};
  if (!wait_.looked) return;
  host_loop_.look(kBusyPollNs);
  looking_ns_ += monotonic_ns() - wait_.begin_ns;
}

void EngineWrap::kick(std::uint64_t begin_ns) {
  if (phase_ != Phase::running || !steps_itself()) return;
  engine_->worker(0).run_commands(begin_ns / 1'000'000);
  const std::uint64_t now_ns = monotonic_ns();
  stepping_ns_ += now_ns - begin_ns;
  if (!pump_->pumping()) plan_next_turn(now_ns);
}

void EngineWrap::plan_next_turn(std::uint64_t now_ns) {
  if (destroy_after_pump_ && !pump_->pumping()) {
    take_down();
    return;
  }
  if (pump_->gave_up()) return;  // JavaScript cannot run any more; the environment's end will take all this down
  weigh_load(now_ns);
  if (!steps_itself()) {
    // The pump's rounds were over before the events were.
    if (pump_->has_events()) ring(this);
    return;
  }
  Worker& worker = engine_->worker(0);
  host_loop_.plan(pump_->has_events() ? 0 : worker.sleep_limit_ms(now_ns / 1'000'000));
}

void EngineWrap::weigh_load(std::uint64_t now_ns) {
  if (standby_ == nullptr) return;
  if (now_ns - window_begin_.at_ns < kSteppingWindowMs * 1'000'000) return;
  if (policy_.judge(measure(now_ns))) change_stepper();
}

SteppingPolicy::Window EngineWrap::measure(std::uint64_t now_ns) {
  const Load begin = window_begin_;
  window_begin_ = {now_ns,    host_loop_.idle_ns() + looking_ns_, stepping_ns_ + standby_->stepping_ns(),
                   turns_ns_, engine_->file_bytes_received(),     engine_->packages_moved()};
  const std::uint64_t elapsed_ns = now_ns - begin.at_ns;
  const std::uint64_t turns_ns = window_begin_.turns_ns - begin.turns_ns;
  // A host that does not measure its sleep: whatever is not done for this engine counts as sleep.
  const std::uint64_t idle_ns = window_begin_.idle_ns != 0 ? window_begin_.idle_ns - begin.idle_ns
                                : elapsed_ns > turns_ns    ? elapsed_ns - turns_ns
                                                           : 0;
  return {elapsed_ns, idle_ns, window_begin_.stepping_ns - begin.stepping_ns,
          window_begin_.file_bytes_received - begin.file_bytes_received, window_begin_.packages - begin.packages};
}

void EngineWrap::change_stepper() {
  if (policy_.stepper() == SteppingPolicy::Stepper::owner) {
    standby_->recall();
    return;
  }
  // A thread that was called back and did not answer yet is not asked again.
  if (!standby_->owner_steps()) return policy_.stay_with_owner();
  host_loop_.pause();
  if (standby_->take_over()) return;
  policy_.stay_with_owner();
  host_loop_.resume();
}

void EngineWrap::rest_threads() {
  threads_.stop();
  if (io_threads_ > 0) {
    for (std::uint32_t lane = 0; lane < engine_->lane_count(); ++lane) engine_->hand_over(lane, false);
  }
  if (standby_ == nullptr) return;
  const bool thread_stepped = !standby_->owner_steps();
  standby_->stop();
  if (!thread_stepped) return;
  policy_.stay_with_owner();
  resume_host_loop();
}

void EngineWrap::resume_host_loop() {
  host_loop_.resume();
  host_loop_.plan(0);  // the port's descriptor tells news only; what is there already is found by looking
}

bool EngineWrap::rouse_threads() {
  if (io_threads_ == 0 || threads_.count() > 0) return true;  // the owner steps, or nobody rested
  for (std::uint32_t lane = 0; lane < engine_->lane_count(); ++lane) engine_->hand_over(lane, true);
  if (!threads_.start(*engine_)) return false;
  // For what came while nobody was told of it.
  for (std::uint32_t lane = 0; lane < engine_->lane_count(); ++lane) engine_->lane(lane).wake();
  ring(this);
  return true;
}

void EngineWrap::take_down() {
  if (phase_ != Phase::running) return;
  phase_ = Phase::down;
  Directory<Roster>::strike(std::exchange(handle_, 0));
  threads_.stop();
  if (standby_ != nullptr) standby_->stop();
  disk_thread_.stop();
  pump_->give_up();
  // The loop must let go of the descriptor before the port closes it.
  const bool has_loop = host_loop_.is_open();
  if (has_loop) host_loop_.close([](void* self) { static_cast<EngineWrap*>(self)->release_environment(); }, this);
  engine_->shut_down();
  payload_buffers_->close();
  close_bell();
  if (!has_loop) release_environment();
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
