// The JavaScript object around one engine (binding.d.ts: class Engine). Translates calls, steps the engine while it
// is served by the JavaScript thread, and takes it down in one order, whoever asks: destroy(), or the environment
// that goes away.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>

#include "binding/event_pump.h"
#include "binding/host_loop.h"
#include "binding/options.h"
#include "binding/thread_bell.h"
#include "core/asking_again.h"
#include "core/busy_polling.h"
#include "core/engine.h"
#include "core/stepping_policy.h"
#include "core/worker_threads.h"

namespace iocp {

class EngineWrap : public Napi::ObjectWrap<EngineWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit EngineWrap(const Napi::CallbackInfo& info);
  ~EngineWrap() override;

 private:
  // --- exported, in the order of binding.d.ts ----------------------------------------------------------------
  Napi::Value handle(const Napi::CallbackInfo& info);
  Napi::Value io_threads(const Napi::CallbackInfo& info);
  Napi::Value lanes(const Napi::CallbackInfo& info);
  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value supply(const Napi::CallbackInfo& info);
  void flush(const Napi::CallbackInfo& info);
  Napi::Value send_large(const Napi::CallbackInfo& info);
  Napi::Value broadcast(const Napi::CallbackInfo& info);
  Napi::Value queued(const Napi::CallbackInfo& info);
  Napi::Value listen(const Napi::CallbackInfo& info);
  Napi::Value connect(const Napi::CallbackInfo& info);
  void cancel_connect(const Napi::CallbackInfo& info);
  void pause_accept(const Napi::CallbackInfo& info);
  void resume_accept(const Napi::CallbackInfo& info);
  Napi::Value disconnect(const Napi::CallbackInfo& info);
  void finish(const Napi::CallbackInfo& info);
  Napi::Value pause(const Napi::CallbackInfo& info);
  Napi::Value resume(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  void destroy(const Napi::CallbackInfo& info);
  void rest(const Napi::CallbackInfo& info);
  Napi::Value rouse(const Napi::CallbackInfo& info);
  void stats(const Napi::CallbackInfo& info);
  Napi::Value context_stats(const Napi::CallbackInfo& info);
  Napi::Value tcp_info(const Napi::CallbackInfo& info);
  Napi::Value open_source(const Napi::CallbackInfo& info);
  Napi::Value open_target(const Napi::CallbackInfo& info);
  Napi::Value send_file(const Napi::CallbackInfo& info);
  void hold_others(const Napi::CallbackInfo& info);
  void check_file(const Napi::CallbackInfo& info);
  void give_credit(const Napi::CallbackInfo& info);
  Napi::Value receive_file(const Napi::CallbackInfo& info);
  void finish_file(const Napi::CallbackInfo& info);
  void stop_file(const Napi::CallbackInfo& info);
  Napi::Value file_moved(const Napi::CallbackInfo& info);
  void ref(const Napi::CallbackInfo& info);
  void unref(const Napi::CallbackInfo& info);

  // --- stepping ----------------------------------------------------------------------------------------------
  bool start_host_loop();
  bool start_threads();
  bool start_adaptive();
  bool open_bell();
  void close_bell();
  // Whether the JavaScript thread steps the engine, as opposed to threads.
  bool steps_itself() const;
  // The host's loop says that the port has something, or that the timer fired.
  void on_host_ready();
  // The host's loop is about to sleep.
  void before_sleep();
  // Runs commands just given on the JavaScript thread, which have kept it busy since `begin_ns`; what they cause is
  // delivered later, never from within.
  void kick(std::uint64_t begin_ns = monotonic_ns());
  void plan_next_turn(std::uint64_t now_ns);
  // When a window is over: lets the other kind of thread step if the figures say so.
  void weigh_load(std::uint64_t now_ns);
  SteppingPolicy::Window measure(std::uint64_t now_ns);
  void change_stepper();
  // No thread of the engine runs after the first, until the second; the owner holds every lane meanwhile.
  void rest_threads();
  // The thread does not step any more: the loop does.
  void resume_host_loop();
  bool rouse_threads();
  // A thread rang.
  void on_ring(napi_env env);
  static void ring(void* self);

  // --- the end -------------------------------------------------------------------------------------------------
  // Threads, engine, host loop, references: in this order. Once.
  void take_down();
  void release_environment();
  static void on_environment_exit(napi_async_cleanup_hook_handle handle, void* self);

  enum class Phase : std::uint8_t { made, running, down };

  Phase phase_ = Phase::made;
  bool destroy_after_pump_ = false;
  bool referenced_ = true;
  bool environment_exits_ = false;
  std::uint32_t io_threads_ = 0;
  std::uint32_t handle_ = 0;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<PayloadBuffers> payload_buffers_;
  std::unique_ptr<EventPump> pump_;
  Napi::Reference<Napi::Uint8Array> output_;
  std::uint8_t* output_bytes_ = nullptr;
  std::size_t output_size_ = 0;
  HostLoop host_loop_;
  WorkerThreads threads_;
  DiskThread disk_thread_;
  std::unique_ptr<StandbyThread> standby_;  // null: who steps is settled for good
  SteppingPolicy policy_;
  AskingAgain asking_;
  BusyPolling polling_;
  struct Wait {
    std::uint64_t begin_ns = 0;
    bool looked = false;  // for the engine's events, all the time that is worth it
    bool over = true;     // the engine had something to do since
  };
  Wait wait_;  // the last time that the loop was about to sleep
  // What weigh_load() compares with: the figures at the beginning of the window, and those of this thread so far.
  struct Load {
    std::uint64_t at_ns = 0;
    std::uint64_t idle_ns = 0;
    std::uint64_t stepping_ns = 0;
    std::uint64_t turns_ns = 0;
    std::uint64_t file_bytes_received = 0;
    std::uint64_t packages = 0;
  };
  Load window_begin_;
  std::uint64_t looking_ns_ = 0;      // this thread's, before it sleeps
  std::uint64_t stepping_ns_ = 0;     // … in steps
  std::uint64_t turns_ns_ = 0;        // … and in steps and JavaScript called from here
  std::shared_ptr<ThreadBell> bell_;  // null: no thread ever steps
  napi_async_cleanup_hook_handle cleanup_hook_ = nullptr;
};

}  // namespace iocp
