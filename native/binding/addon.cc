// The addon's entry: what `require` returns. Every environment (main thread, worker_threads) gets its own objects; job
// queues and engines' rosters are all they share, by number.
#include <napi.h>

#include "binding/engine_worker_wrap.h"
#include "binding/engine_wrap.h"
#include "binding/job_queue_wrap.h"
#include "core/limits.h"
#include "core/records.h"
#include "port/port.h"

namespace iocp {
namespace {

Napi::Array statuses(Napi::Env env) {
  Napi::Array rows = Napi::Array::New(env, status_count());
  for (std::uint8_t i = 0; i < status_count(); ++i) {
    Napi::Array row = Napi::Array::New(env, 2);
    row.Set(std::uint32_t{0}, status_code(static_cast<Status>(i)));
    row.Set(std::uint32_t{1}, status_message(static_cast<Status>(i)));
    rows.Set(i, row);
  }
  return rows;
}

Napi::Array syscalls(Napi::Env env) {
  Napi::Array names = Napi::Array::New(env, syscall_count());
  for (std::uint8_t i = 0; i < syscall_count(); ++i) names.Set(i, syscall_name(static_cast<Syscall>(i)));
  return names;
}

Napi::Array stat_names(Napi::Env env) {
  Napi::Array names = Napi::Array::New(env, Engine::stat_count());
  for (std::uint32_t i = 0; i < Engine::stat_count(); ++i) names.Set(i, Engine::stat_name(i));
  return names;
}

Napi::Object record_kinds(Napi::Env env) {
  Napi::Object kinds = Napi::Object::New(env);
  const auto set = [&](const char* name, RecordKind kind) { kinds.Set(name, static_cast<double>(kind)); };
  set("package", RecordKind::package);
  set("large", RecordKind::large);
  set("connected", RecordKind::connected);
  set("ended", RecordKind::ended);
  set("drain", RecordKind::drain);
  set("written", RecordKind::written);
  set("disconnected", RecordKind::disconnected);
  set("refused", RecordKind::refused);
  set("connectFailed", RecordKind::connect_failed);
  set("listenerFailed", RecordKind::listener_failed);
  set("closed", RecordKind::closed);
  set("leaving", RecordKind::leaving);
  set("file", RecordKind::file);
  set("series", RecordKind::series);
  return kinds;
}

Napi::Object layout(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, std::size_t value) { object.Set(name, static_cast<double>(value)); };
  set("recordHeaderBytes", sizeof(RecordHeader));
  set("recordAlignment", kRecordAlignment);
  set("inlinePayloadMax", kInlinePayloadMax);
  set("slabBytesMin", kSlabBytesMin);
  set("slabIndexMax", kSlabIndexMax);
  set("rangeWords", 4);
  set("outputHeaderBytes", sizeof(OutputHeader));
  set("connectionsMax", kConnectionsMax);
  object.Set("records", record_kinds(env));
  Napi::Object flags = Napi::Object::New(env);
  flags.Set("raw", static_cast<double>(kOutputRaw));
  flags.Set("notify", static_cast<double>(kOutputNotify));
  flags.Set("series", static_cast<double>(kOutputSeries));
  object.Set("outputFlags", flags);
  return object;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", EngineWrap::define(env));
  exports.Set("EngineWorker", EngineWorkerWrap::define(env));
  exports.Set("JobQueue", JobQueueWrap::define(env));
  exports.Set("JobWorker", JobWorkerWrap::define(env));
  exports.Set("statuses", statuses(env));
  exports.Set("syscalls", syscalls(env));
  exports.Set("statNames", stat_names(env));
  exports.Set("portName", Port::name());
  exports.Set("layout", layout(env));
  return exports;
}

}  // namespace
}  // namespace iocp

static Napi::Object initialize_module(Napi::Env env, Napi::Object exports) { return iocp::initialize(env, exports); }

NODE_API_MODULE(iocp, initialize_module)
