// The owner's end.
#include "binding/job_queue_wrap.h"

#include <utility>

#include "binding/arguments.h"
#include "binding/directory.h"
#include "binding/job_clock.h"
#include "binding/job_values.h"
#include "port/check.h"

namespace iocp {
Napi::Function JobQueueWrap::define(Napi::Env env) {
  return DefineClass(env, "JobQueue",
                     {
                         InstanceAccessor<&JobQueueWrap::handle>("handle"),
                         InstanceMethod<&JobQueueWrap::add>("add"),
                         InstanceMethod<&JobQueueWrap::cancel>("cancel"),
                         InstanceMethod<&JobQueueWrap::clear>("clear"),
                         InstanceMethod<&JobQueueWrap::take_results>("takeResults"),
                         InstanceMethod<&JobQueueWrap::retire>("retire"),
                         InstanceMethod<&JobQueueWrap::stats>("stats"),
                         InstanceMethod<&JobQueueWrap::ref>("ref"),
                         InstanceMethod<&JobQueueWrap::unref>("unref"),
                         InstanceMethod<&JobQueueWrap::destroy>("destroy"),
                     });
}

JobQueueWrap::JobQueueWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<JobQueueWrap>(info),
      queue_(std::make_shared<JobQueue>(static_cast<std::size_t>(info[0].As<Napi::Number>().DoubleValue()))),
      bell_(std::make_shared<ThreadBell>()) {
  if (!bell_->open(info[1].As<Napi::Function>())) return;  // the environment is ending
  bell_->unref(info.Env());
  queue_->set_owner_bell(bell_);
  handle_ = Directory<JobQueue>::enlist(queue_);
  IOCP_CHECK(napi_add_env_cleanup_hook(info.Env(), &JobQueueWrap::on_environment_exit, this) == napi_ok);
}

JobQueueWrap::~JobQueueWrap() { close(); }

void JobQueueWrap::close() {
  if (handle_ == 0) return;
  Directory<JobQueue>::strike(std::exchange(handle_, 0));
  queue_->set_owner_bell(nullptr);
  bell_->close();
  static_cast<void>(napi_remove_env_cleanup_hook(Env(), &JobQueueWrap::on_environment_exit, this));
}

void JobQueueWrap::on_environment_exit(void* self) { static_cast<JobQueueWrap*>(self)->close(); }

Napi::Value JobQueueWrap::handle(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), handle_); }

Napi::Value JobQueueWrap::add(const Napi::CallbackInfo& info) {
  JobPayload payload;
  if (!read_payload(info[0].As<Napi::Number>().Uint32Value(), info[1], &payload)) {
    return Napi::Number::New(info.Env(), -1);
  }
  const auto about = static_cast<std::uint64_t>(info[3].As<Napi::Number>().DoubleValue());
  const JobId id = queue_->add(std::move(payload), info[2].As<Napi::Number>().Int32Value(), job_clock_us(), about);
  return Napi::Number::New(info.Env(), static_cast<double>(id));
}

Napi::Value JobQueueWrap::cancel(const Napi::CallbackInfo& info) {
  const auto id = static_cast<JobId>(info[0].As<Napi::Number>().DoubleValue());
  return Napi::Number::New(info.Env(), static_cast<double>(queue_->cancel(id)));
}

Napi::Value JobQueueWrap::clear(const Napi::CallbackInfo& info) { return id_array(info.Env(), queue_->clear()); }

Napi::Value JobQueueWrap::take_results(const Napi::CallbackInfo& info) {
  queue_->take_results(&results_, word(info, 0));
  constexpr std::size_t kWords = 5;
  Napi::Array row = Napi::Array::New(info.Env(), results_.size() * kWords);
  std::uint32_t at = 0;
  for (const JobResult& result : results_) {
    row.Set(at++, static_cast<double>(result.id));
    row.Set(at++, static_cast<double>(result.outcome));
    row.Set(at++, result.worker);
    row.Set(at++, static_cast<double>(result.payload.form));
    row.Set(at++, payload_value(info.Env(), result.payload));
  }
  results_.clear();
  return row;
}

void JobQueueWrap::retire(const Napi::CallbackInfo& info) { queue_->retire(info[0].As<Napi::Number>().Uint32Value()); }

void JobQueueWrap::stats(const Napi::CallbackInfo& info) {
  const JobFigures figures = queue_->figures();
  auto out = info[0].As<Napi::Float64Array>();
  const double values[] = {
      static_cast<double>(figures.waiting),
      static_cast<double>(figures.running),
      static_cast<double>(figures.done),
      static_cast<double>(figures.failed),
      static_cast<double>(figures.cancelled),
      figures.wait_us_p50,
      figures.wait_us_p99,
      figures.run_us_p50,
      figures.run_us_p99,
  };
  IOCP_CHECK(out.ElementLength() >= std::size(values));
  for (std::size_t i = 0; i < std::size(values); ++i) out.Data()[i] = values[i];
}

void JobQueueWrap::ref(const Napi::CallbackInfo& info) { bell_->ref(info.Env()); }

void JobQueueWrap::unref(const Napi::CallbackInfo& info) { bell_->unref(info.Env()); }

void JobQueueWrap::destroy(const Napi::CallbackInfo&) { close(); }

}  // namespace iocp
