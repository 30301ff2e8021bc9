// A worker's end of a job queue.
#include <chrono>
#include <utility>

#include "binding/directory.h"
#include "binding/job_clock.h"
#include "binding/job_queue_wrap.h"
#include "binding/job_values.h"
#include "port/check.h"

namespace iocp {

std::uint64_t job_clock_us() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

Napi::Array id_array(Napi::Env env, const std::vector<JobId>& ids) {
  Napi::Array array = Napi::Array::New(env, ids.size());
  for (std::uint32_t i = 0; i < ids.size(); ++i) array.Set(i, static_cast<double>(ids[i]));
  return array;
}

Napi::Function JobWorkerWrap::define(Napi::Env env) {
  return DefineClass(env, "JobWorker",
                     {
                         InstanceAccessor<&JobWorkerWrap::attached>("attached"),
                         InstanceMethod<&JobWorkerWrap::take>("take"),
                         InstanceMethod<&JobWorkerWrap::take_cancelled>("takeCancelled"),
                         InstanceMethod<&JobWorkerWrap::finish>("finish"),
                         InstanceMethod<&JobWorkerWrap::ref>("ref"),
                         InstanceMethod<&JobWorkerWrap::unref>("unref"),
                         InstanceMethod<&JobWorkerWrap::destroy>("destroy"),
                     });
}

JobWorkerWrap::JobWorkerWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<JobWorkerWrap>(info),
      bell_(std::make_shared<ThreadBell>()),
      worker_(info[1].As<Napi::Number>().Uint32Value()) {
  std::shared_ptr<JobQueue> queue = Directory<JobQueue>::find(info[0].As<Napi::Number>().Uint32Value());
  if (queue == nullptr || !bell_->open(info[2].As<Napi::Function>())) return;
  queue_ = std::move(queue);
  queue_->attach(worker_, bell_);
  IOCP_CHECK(napi_add_env_cleanup_hook(info.Env(), &JobWorkerWrap::on_environment_exit, this) == napi_ok);
}

JobWorkerWrap::~JobWorkerWrap() { close(); }

// What it was running becomes a result, however the thread ends.
void JobWorkerWrap::close() {
  if (queue_ == nullptr) return;
  queue_->detach(worker_);
  queue_ = nullptr;
  bell_->close();
  static_cast<void>(napi_remove_env_cleanup_hook(Env(), &JobWorkerWrap::on_environment_exit, this));
}

void JobWorkerWrap::on_environment_exit(void* self) { static_cast<JobWorkerWrap*>(self)->close(); }

Napi::Value JobWorkerWrap::attached(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), queue_ != nullptr);
}

Napi::Value JobWorkerWrap::take(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (queue_ == nullptr) return env.Null();
  TakenJob job;
  switch (queue_->take(worker_, job_clock_us(), &job)) {
    case JobQueue::Take::none:
      return env.Undefined();
    case JobQueue::Take::retire:
      return env.Null();
    case JobQueue::Take::job:
      break;
  }
  Napi::Array row = Napi::Array::New(env, 6);
  row.Set(0U, static_cast<double>(job.id));
  row.Set(1U, job.priority);
  row.Set(2U, static_cast<double>(job.waited_us));
  row.Set(3U, static_cast<double>(job.about));
  row.Set(4U, job.payload.form);
  row.Set(5U, payload_value(env, job.payload));
  return row;
}

Napi::Value JobWorkerWrap::take_cancelled(const Napi::CallbackInfo& info) {
  std::vector<JobId> cancelled;
  if (queue_ != nullptr) queue_->take_cancelled(worker_, &cancelled);
  return id_array(info.Env(), cancelled);
}

Napi::Value JobWorkerWrap::finish(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  JobPayload payload;
  const auto id = static_cast<JobId>(info[0].As<Napi::Number>().DoubleValue());
  const JobOutcome outcome = info[1].As<Napi::Boolean>().Value() ? JobOutcome::failed : JobOutcome::done;
  const bool read = read_payload(info[2].As<Napi::Number>().Uint32Value(), info[3], &payload);
  const bool finished =
      read && queue_ != nullptr && queue_->finish(worker_, id, outcome, std::move(payload), job_clock_us());
  return Napi::Boolean::New(env, finished);
}

void JobWorkerWrap::ref(const Napi::CallbackInfo& info) { bell_->ref(info.Env()); }

void JobWorkerWrap::unref(const Napi::CallbackInfo& info) { bell_->unref(info.Env()); }

void JobWorkerWrap::destroy(const Napi::CallbackInfo&) { close(); }

}  // namespace iocp
