// The JavaScript objects at the two ends of a job queue (binding.d.ts: class JobQueue and class JobWorker), which may
// be on different threads: a queue is named by a number that any environment of the process can attach to.
// Translation only.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "binding/thread_bell.h"
#include "core/job_queue.h"

namespace iocp {

// The owner's end.
class JobQueueWrap : public Napi::ObjectWrap<JobQueueWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JobQueueWrap(const Napi::CallbackInfo& info);
  ~JobQueueWrap() override;

 private:
  // --- exported, in the order of binding.d.ts
  Napi::Value handle(const Napi::CallbackInfo& info);
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value clear(const Napi::CallbackInfo& info);
  Napi::Value take_results(const Napi::CallbackInfo& info);
  void retire(const Napi::CallbackInfo& info);
  void stats(const Napi::CallbackInfo& info);
  void ref(const Napi::CallbackInfo& info);
  void unref(const Napi::CallbackInfo& info);
  void destroy(const Napi::CallbackInfo& info);

  void close();
  static void on_environment_exit(void* self);

  std::shared_ptr<JobQueue> queue_;
  std::shared_ptr<ThreadBell> bell_;
  std::uint32_t handle_ = 0;
  std::vector<JobResult> results_;
};

// A worker's end.
class JobWorkerWrap : public Napi::ObjectWrap<JobWorkerWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit JobWorkerWrap(const Napi::CallbackInfo& info);
  ~JobWorkerWrap() override;

 private:
  // --- exported, in the order of binding.d.ts
  Napi::Value attached(const Napi::CallbackInfo& info);
  Napi::Value take(const Napi::CallbackInfo& info);
  Napi::Value take_cancelled(const Napi::CallbackInfo& info);
  Napi::Value finish(const Napi::CallbackInfo& info);
  void ref(const Napi::CallbackInfo& info);
  void unref(const Napi::CallbackInfo& info);
  void destroy(const Napi::CallbackInfo& info);

  void close();
  static void on_environment_exit(void* self);

  std::shared_ptr<JobQueue> queue_;  // null: never attached, or not any more
  std::shared_ptr<ThreadBell> bell_;
  std::uint32_t worker_ = 0;
};

}  // namespace iocp
