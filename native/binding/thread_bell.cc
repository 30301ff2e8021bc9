// The bell on a thread-safe function of Node-API.
#include "binding/thread_bell.h"

#include "port/check.h"

namespace iocp {

ThreadBell::~ThreadBell() { IOCP_CHECK(function_ == nullptr); }

bool ThreadBell::open(const Napi::Function& on_ring) {
  const Napi::Env env = on_ring.Env();
  const Napi::String name = Napi::String::New(env, "IOCP_JOBS");
  ScopedLock guard(mutex_);
  // A queue of one call: a ring that finds one queued already has nothing to add.
  return napi_create_threadsafe_function(env, on_ring, nullptr, name, 1, 1, nullptr, nullptr, nullptr,
                                         &ThreadBell::call, &function_) == napi_ok;
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
  function_ = nullptr;
}

void ThreadBell::ring() noexcept {
  // The lock keeps the function from being released meanwhile; the call only queues. It fails when a call is queued
  // already, and while the environment goes away, when nobody wants to know.
  ScopedLock guard(mutex_);
  if (function_ != nullptr) static_cast<void>(napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking));
}

void ThreadBell::call(napi_env env, napi_value on_ring, void*, void*) {
  if (env == nullptr) return;
  napi_value receiver = nullptr;
  if (napi_get_global(env, &receiver) != napi_ok) return;
  // What it calls lets no exception out; an environment that is ending refuses the call, and that is as well.
  static_cast<void>(napi_call_function(env, receiver, on_ring, 0, nullptr, nullptr));
}

}  // namespace iocp
