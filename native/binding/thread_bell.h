// Rouses a JavaScript thread from any other: a bell that calls one function there, once for many rings that come
// before it gets to it. Knows nothing of what waits.
//
// Node-API goes on calling as long as there was another ring meanwhile, up to a thousand times, and nothing else of the
// event loop has its turn. So calls that follow each other closely are one stretch, and when that has lasted for some
// milliseconds the next call is put off to another turn: a twin of the bell rings for it, whose calls come from the
// loop.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "core/bell.h"
#include "port/mutex.h"

namespace iocp {

class ThreadBell : public Bell, public std::enable_shared_from_this<ThreadBell> {
 public:
  using OnRing = void (*)(napi_env env, void* context);

  ThreadBell() = default;
  ~ThreadBell() override;  // closed
  ThreadBell(const ThreadBell&) = delete;
  ThreadBell& operator=(const ThreadBell&) = delete;

  // JavaScript thread. Keeps its event loop alive until unref(). False when the environment refuses. Only a bell that a
  // shared pointer owns can be rung.
  bool open(const Napi::Function& on_ring) IOCP_EXCLUDES(mutex_);
  bool open(napi_env env, OnRing on_ring, void* context) IOCP_EXCLUDES(mutex_);
  void ref(napi_env env);
  void unref(napi_env env);
  // JavaScript thread. No ring gets through any more. Idempotent.
  void close() IOCP_EXCLUDES(mutex_);

  // Any thread, also after close().
  void ring() noexcept override IOCP_EXCLUDES(mutex_);

 private:
  bool create(napi_env env, napi_value on_ring) IOCP_EXCLUDES(mutex_);
  static void call(napi_env env, napi_value on_ring, void* self, void* data);
  static void call_in_turn(napi_env env, napi_value on_ring, void* self, void* data);
  void serve(napi_env env, napi_value on_ring);
  void put_off() IOCP_EXCLUDES(mutex_);

  Mutex mutex_;
  napi_threadsafe_function function_ IOCP_GUARDED_BY(mutex_) = nullptr;
  napi_threadsafe_function twin_ IOCP_GUARDED_BY(mutex_) = nullptr;
  // The JavaScript thread's.
  OnRing on_ring_ = nullptr;  // null: a JavaScript function
  void* context_ = nullptr;
  bool put_off_ = false;
  std::uint64_t stretch_begin_ns_ = 0;
  std::uint64_t last_end_ns_ = 0;
};

}  // namespace iocp
