// The bell on a thread-safe function of Node-API.
#include "binding/thread_bell.h"

#include "core/worker_threads.h"
#include "port/check.h"

namespace iocp {
namespace {

// A stretch is long after this, …
constexpr std::uint64_t kStretchNsMax = 4'000'000;
// … and over when there was so much time between two calls: the loop went around.
constexpr std::uint64_t kPauseNs = 20'000;

bool make(napi_env env, napi_value on_ring, void* self, napi_threadsafe_function_call_js call,
          napi_threadsafe_function* function) {
  napi_value name = nullptr;
  // A queue of one call: a ring that finds one queued already has nothing to add.
  return napi_create_string_utf8(env, "IOCP", NAPI_AUTO_LENGTH, &name) == napi_ok &&
         napi_create_threadsafe_function(env, on_ring, nullptr, name, 1, 1, nullptr, nullptr, self, call, function) ==
             napi_ok;
}

}  // namespace

ThreadBell::~ThreadBell() { IOCP_CHECK(function_ == nullptr); }

bool ThreadBell::open(const Napi::Function& on_ring) { return create(on_ring.Env(), on_ring); }

bool ThreadBell::open(napi_env env, OnRing on_ring, void* context) {
  on_ring_ = on_ring;
  context_ = context;
  return create(env, nullptr);
}

bool ThreadBell::create(napi_env env, napi_value on_ring) {
  ScopedLock guard(mutex_);
  if (!make(env, on_ring, this, &ThreadBell::call, &function_)) return false;
  if (make(env, on_ring, this, &ThreadBell::call_in_turn, &twin_) &&
      napi_unref_threadsafe_function(env, twin_) == napi_ok) {
    return true;
  }
  napi_release_threadsafe_function(function_, napi_tsfn_abort);
  function_ = nullptr;
  return false;
}

void ThreadBell::ref(napi_env env) {
  ScopedLock guard(mutex_);
  if (function_ != nullptr) IOCP_CHECK(napi_ref_threadsafe_function(env, function_) == napi_ok);
}

void ThreadBell::unref(napi_env env) {
  ScopedLock guard(mutex_);
  if (function_ != nullptr) IOCP_CHECK(napi_unref_threadsafe_function(env, function_) == napi_ok);
}

void ThreadBell::close() {
  ScopedLock guard(mutex_);
  if (function_ != nullptr) napi_release_threadsafe_function(function_, napi_tsfn_abort);
  if (twin_ != nullptr) napi_release_threadsafe_function(twin_, napi_tsfn_abort);
  function_ = twin_ = nullptr;
}

void ThreadBell::ring() noexcept {
  // The lock keeps the function from being released meanwhile; the call only queues. It fails when a call is queued
  // already, and while the environment goes away, when nobody wants to know.
  ScopedLock guard(mutex_);
  if (function_ != nullptr) static_cast<void>(napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking));
}

void ThreadBell::call(napi_env env, napi_value on_ring, void* self, void*) {
  if (env == nullptr) return;
  auto& bell = *static_cast<ThreadBell*>(self);
  if (bell.put_off_) return;
  const std::uint64_t now_ns = monotonic_ns();
  if (now_ns - bell.last_end_ns_ > kPauseNs) bell.stretch_begin_ns_ = now_ns;
  if (now_ns - bell.stretch_begin_ns_ < kStretchNsMax) {
    bell.serve(env, on_ring);
  } else {
    bell.put_off();
  }
}

void ThreadBell::call_in_turn(napi_env env, napi_value on_ring, void* self, void*) {
  if (env == nullptr) return;
  auto& bell = *static_cast<ThreadBell*>(self);
  bell.put_off_ = false;
  bell.stretch_begin_ns_ = monotonic_ns();
  bell.serve(env, on_ring);
}

void ThreadBell::put_off() {
  put_off_ = true;
  ScopedLock guard(mutex_);
  // Fails only while the environment goes away.
  if (twin_ != nullptr) static_cast<void>(napi_call_threadsafe_function(twin_, nullptr, napi_tsfn_nonblocking));
}

void ThreadBell::serve(napi_env env, napi_value on_ring) {
  const std::shared_ptr<ThreadBell> alive = shared_from_this();
  napi_value receiver = nullptr;
  if (on_ring_ != nullptr) {
    on_ring_(env, context_);
  } else if (napi_get_global(env, &receiver) == napi_ok) {
    // What it calls lets no exception out; an environment that is ending refuses the call, and that is as well.
    static_cast<void>(napi_call_function(env, receiver, on_ring, 0, nullptr, nullptr));
  }
  last_end_ns_ = monotonic_ns();
}

}  // namespace iocp
