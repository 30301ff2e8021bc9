// HostLoop on libuv, where the host exports its functions (Node.js and Electron on Unix). libuv promises a stable
// ABI for these within major version 1; the few declarations below are its public ones, so no header is needed.
#include <dlfcn.h>
#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "binding/host_loop.h"
#include "core/worker_threads.h"

namespace iocp {
namespace {

using UvHandle = void;
constexpr int kUvIdle = 6;     // uv_handle_type: UV_IDLE
constexpr int kUvPoll = 8;     // uv_handle_type: UV_POLL
constexpr int kUvPrepare = 9;  // uv_handle_type: UV_PREPARE
constexpr int kUvTimer = 13;   // uv_handle_type: UV_TIMER
constexpr int kUvReadable = 1;

struct Uv {
  std::size_t (*handle_size)(int type) = nullptr;
  void* (*handle_get_data)(const UvHandle*) = nullptr;
  void (*handle_set_data)(UvHandle*, void*) = nullptr;
  int (*poll_init)(void* loop, UvHandle*, int descriptor) = nullptr;
  int (*poll_start)(UvHandle*, int events, void (*)(UvHandle*, int status, int events)) = nullptr;
  int (*poll_stop)(UvHandle*) = nullptr;
  int (*idle_init)(void* loop, UvHandle*) = nullptr;
  int (*idle_start)(UvHandle*, void (*)(UvHandle*)) = nullptr;
  int (*idle_stop)(UvHandle*) = nullptr;
  int (*timer_init)(void* loop, UvHandle*) = nullptr;
  int (*timer_start)(UvHandle*, void (*)(UvHandle*), std::uint64_t timeout, std::uint64_t repeat) = nullptr;
  int (*timer_stop)(UvHandle*) = nullptr;
  void (*ref)(UvHandle*) = nullptr;
  void (*unref)(UvHandle*) = nullptr;
  void (*close)(UvHandle*, void (*)(UvHandle*)) = nullptr;
  bool complete = true;
  // May be missing, each.
  int (*prepare_init)(void* loop, UvHandle*) = nullptr;
  int (*prepare_start)(UvHandle*, void (*)(UvHandle*)) = nullptr;
  int (*prepare_stop)(UvHandle*) = nullptr;
  int (*backend_fd)(const void* loop) = nullptr;
  int (*backend_timeout)(const void* loop) = nullptr;
  std::uint64_t (*metrics_idle_time)(void* loop) = nullptr;
  bool tells_sleep = false;  // all of prepare and backend

  Uv() {
    look_up("uv_handle_size", &handle_size);
    look_up("uv_handle_get_data", &handle_get_data);
    look_up("uv_handle_set_data", &handle_set_data);
    look_up("uv_poll_init", &poll_init);
    look_up("uv_poll_start", &poll_start);
    look_up("uv_poll_stop", &poll_stop);
    look_up("uv_idle_init", &idle_init);
    look_up("uv_idle_start", &idle_start);
    look_up("uv_idle_stop", &idle_stop);
    look_up("uv_timer_init", &timer_init);
    look_up("uv_timer_start", &timer_start);
    look_up("uv_timer_stop", &timer_stop);
    look_up("uv_ref", &ref);
    look_up("uv_unref", &unref);
    look_up("uv_close", &close);
    tells_sleep = find("uv_prepare_init", &prepare_init) && find("uv_prepare_start", &prepare_start) &&
                  find("uv_prepare_stop", &prepare_stop) && find("uv_backend_fd", &backend_fd) &&
                  find("uv_backend_timeout", &backend_timeout);
    find("uv_metrics_idle_time", &metrics_idle_time);
  }

  template <typename Function>
  void look_up(const char* name, Function* into) {
    complete = find(name, into) && complete;
  }

  template <typename Function>
  static bool find(const char* name, Function* into) {
    *into = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
    return *into != nullptr;
  }
};

const Uv& uv() {
  static const Uv functions;
  return functions;
}

// Bun exports all of libuv's names, but most of them end the process when they are called: it has no libuv, and only
// its name in process.versions tells.
bool exports_traps(napi_env env) noexcept {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return true;
  napi_value global = nullptr;
  napi_value process = nullptr;
  napi_value versions = nullptr;
  bool is_bun = false;
  const bool looked = napi_get_global(env, &global) == napi_ok &&
                      napi_get_named_property(env, global, "process", &process) == napi_ok &&
                      napi_get_named_property(env, process, "versions", &versions) == napi_ok &&
                      napi_has_named_property(env, versions, "bun", &is_bun) == napi_ok;
  static_cast<void>(napi_close_handle_scope(env, scope));
  return !looked || is_bun;
}

}  // namespace

struct HostLoop::Handles {
  void* loop = nullptr;
  UvHandle* poll = nullptr;
  UvHandle* idle = nullptr;
  UvHandle* timer = nullptr;
  UvHandle* prepare = nullptr;  // null: nobody wants to know, or the loop cannot tell
  bool idle_running = false;
  bool timer_running = false;
  int open = 0;
  Callback on_ready = nullptr;
  Callback before_sleep = nullptr;
  void* ready_context = nullptr;
  Callback on_closed = nullptr;
  void* closed_context = nullptr;

  ~Handles() {
    std::free(poll);
    std::free(idle);
    std::free(timer);
    std::free(prepare);
  }

  bool may_wait() const noexcept { return uv().backend_timeout(loop) != 0; }

  static Handles* of(UvHandle* handle) { return static_cast<Handles*>(uv().handle_get_data(handle)); }

  void on_handle_closed() {
    if (--open > 0) return;
    const Callback callback = on_closed;
    void* context = closed_context;
    delete this;
    if (callback != nullptr) callback(context);
  }
};

bool HostLoop::available(napi_env env) noexcept { return uv().complete && !exports_traps(env); }

HostLoop::~HostLoop() {
  if (handles_ != nullptr) close(nullptr, nullptr);
}

bool HostLoop::open(napi_env env, int descriptor, Callback on_ready, void* context) {
  struct uv_loop_s* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || loop == nullptr) return false;
  auto* handles = new (std::nothrow) Handles;
  if (handles == nullptr) return false;
  handles->loop = loop;
  handles->poll = std::malloc(uv().handle_size(kUvPoll));
  handles->idle = std::malloc(uv().handle_size(kUvIdle));
  handles->timer = std::malloc(uv().handle_size(kUvTimer));
  const bool allocated = handles->poll != nullptr && handles->idle != nullptr && handles->timer != nullptr;
  if (!allocated || uv().poll_init(loop, handles->poll, descriptor) != 0) {
    delete handles;
    return false;
  }
  // These two cannot fail, says libuv. Alone they keep no loop alive.
  uv().idle_init(loop, handles->idle);
  uv().timer_init(loop, handles->timer);
  uv().unref(handles->idle);
  uv().unref(handles->timer);
  handles->open = 3;
  handles->on_ready = on_ready;
  handles->ready_context = context;
  uv().handle_set_data(handles->poll, handles);
  uv().handle_set_data(handles->idle, handles);
  uv().handle_set_data(handles->timer, handles);
  handles_ = handles;
  if (resume()) return true;
  close(nullptr, nullptr);
  return false;
}

void HostLoop::watch_sleep(Callback before_sleep) {
  if (handles_ == nullptr || !uv().tells_sleep || handles_->prepare != nullptr) return;
  handles_->prepare = std::malloc(uv().handle_size(kUvPrepare));
  if (handles_->prepare == nullptr) return;
  handles_->before_sleep = before_sleep;
  uv().prepare_init(handles_->loop, handles_->prepare);
  uv().handle_set_data(handles_->prepare, handles_);
  uv().unref(handles_->prepare);
  ++handles_->open;
  start_watching_sleep();
}

void HostLoop::start_watching_sleep() {
  if (handles_->prepare == nullptr) return;
  uv().prepare_start(handles_->prepare, [](UvHandle* handle) {
    Handles* self = Handles::of(handle);
    if (self->may_wait()) self->before_sleep(self->ready_context);
  });
}

void HostLoop::look(std::uint64_t limit_ns) {
  pollfd loop = {uv().backend_fd(handles_->loop), POLLIN, 0};
  const int timeout_ms = uv().backend_timeout(handles_->loop);
  if (timeout_ms >= 0) limit_ns = std::min(limit_ns, static_cast<std::uint64_t>(timeout_ms) * 1'000'000);
  const std::uint64_t end_ns = monotonic_ns() + limit_ns;
  while (::poll(&loop, 1, 0) == 0 && monotonic_ns() < end_ns) {
  }
}

void HostLoop::pause() {
  if (handles_ == nullptr) return;
  if (handles_->prepare != nullptr) uv().prepare_stop(handles_->prepare);
  uv().poll_stop(handles_->poll);
  uv().idle_stop(handles_->idle);
  uv().timer_stop(handles_->timer);
  handles_->idle_running = handles_->timer_running = false;
}

bool HostLoop::resume() {
  if (handles_ == nullptr) return false;
  start_watching_sleep();
  return uv().poll_start(handles_->poll, kUvReadable, [](UvHandle* handle, int, int) {
    Handles* self = Handles::of(handle);
    self->on_ready(self->ready_context);
  }) == 0;
}

bool HostLoop::may_wait() const noexcept { return handles_ != nullptr && uv().tells_sleep && handles_->may_wait(); }

std::uint64_t HostLoop::idle_ns() const noexcept {
  if (handles_ == nullptr || uv().metrics_idle_time == nullptr) return 0;
  return uv().metrics_idle_time(handles_->loop);
}

void HostLoop::plan(std::int32_t delay_ms) {
  if (handles_ == nullptr) return;
  // A timer of 0 ms set in a timer's callback would run again in the same turn, for ever: "soon" is the idle
  // handle's business, which runs once per turn.
  if (delay_ms == 0 && !handles_->idle_running) {
    handles_->idle_running = true;
    uv().idle_start(handles_->idle, [](UvHandle* handle) {
      Handles* self = Handles::of(handle);
      self->idle_running = false;
      uv().idle_stop(handle);
      self->on_ready(self->ready_context);
    });
  }
  if (delay_ms <= 0) {
    if (handles_->timer_running) uv().timer_stop(handles_->timer);
    handles_->timer_running = false;
    return;
  }
  handles_->timer_running = true;
  uv().timer_start(
      handles_->timer,
      [](UvHandle* handle) {
        Handles* self = Handles::of(handle);
        self->timer_running = false;
        self->on_ready(self->ready_context);
      },
      static_cast<std::uint64_t>(delay_ms), 0);
}

void HostLoop::ref() {
  if (handles_ != nullptr) uv().ref(handles_->poll);
}

void HostLoop::unref() {
  if (handles_ != nullptr) uv().unref(handles_->poll);
}

void HostLoop::close(Callback on_closed, void* context) {
  Handles* handles = handles_;
  handles_ = nullptr;
  handles->on_closed = on_closed;
  handles->closed_context = context;
  const auto closed = [](UvHandle* handle) { Handles::of(handle)->on_handle_closed(); };
  uv().close(handles->poll, closed);
  uv().close(handles->idle, closed);
  uv().close(handles->timer, closed);
  if (handles->prepare != nullptr) uv().close(handles->prepare, closed);
}

}  // namespace iocp
