// Rouses a JavaScript thread from any other: a bell that calls one function there, once for many rings that come
// before it gets to it. Knows nothing of what waits.
#pragma once

#include <napi.h>

#include "core/bell.h"
#include "port/mutex.h"

namespace iocp {

class ThreadBell : public Bell {
 public:
  ThreadBell() = default;
  ~ThreadBell() override;  // closed
  ThreadBell(const ThreadBell&) = delete;
  ThreadBell& operator=(const ThreadBell&) = delete;

  // JavaScript thread. Keeps its event loop alive until unref(). False when the environment refuses.
  bool open(const Napi::Function& on_ring);
  void ref(napi_env env);
  void unref(napi_env env);
  // JavaScript thread. No ring gets through any more. Idempotent.
  void close() IOCP_EXCLUDES(mutex_);

  // Any thread, also after close().
  void ring() noexcept override IOCP_EXCLUDES(mutex_);

 private:
  static void call(napi_env env, napi_value on_ring, void* self, void* data);

  Mutex mutex_;
  napi_threadsafe_function function_ IOCP_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace iocp
