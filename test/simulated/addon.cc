// The entry of the simulated addon: all that the real one exports, and `simulation`, through which a test owns the
// world: its time, its disk, its chance, and whose turn it is. world.ts is the other end and says what each call means.
#include <napi.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "port/check.h"
#include "port/sim/sim_disk.h"
#include "port/sim/sim_world.h"
#include "simulated/host.h"

// The real addon's entry, renamed by the build.
extern "C" napi_value iocp_register_real_addon(napi_env env, napi_value exports);

namespace simulated {
namespace {

using Call = Napi::CallbackInfo;

std::unique_ptr<iocp::SimWorld> world;
std::unique_ptr<iocp::SimWorldScope> scope;

std::string text(const Call& info, std::size_t index) { return info[index].As<Napi::String>().Utf8Value(); }

std::uint32_t word(const Call& info, std::size_t index) { return info[index].As<Napi::Number>().Uint32Value(); }

Napi::Value time_of(const Call& info, std::uint64_t ms) {
  return Napi::Number::New(info.Env(), ms == kNever ? HUGE_VAL : static_cast<double>(ms));
}

void begin(const Call& info) {
  IOCP_CHECK(host().loops.empty() && host().closing.empty());
  scope.reset();
  world.reset();
  iocp::SimFaults faults = info[1].As<Napi::Boolean>().Value() ? iocp::SimFaults::gentle() : iocp::SimFaults{};
  world = std::make_unique<iocp::SimWorld>(word(info, 0), faults);
  scope = std::make_unique<iocp::SimWorldScope>(*world);
}

Napi::Value now(const Call& info) { return time_of(info, world->now_ms()); }

Napi::Value next_due(const Call& info) {
  std::uint64_t due = world->next_due_ms();
  for (const Loop* loop : host().loops) due = std::min(due, loop->planned_ms);
  return time_of(info, due);
}

void advance(const Call& info) { world->advance(word(info, 0)); }

Napi::Value trace(const Call& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(world->trace_hash() >> 16));
}

Napi::Value loops(const Call& info) {
  Napi::Array numbers = Napi::Array::New(info.Env());
  for (std::uint32_t i = 0; i < host().loops.size(); ++i) numbers.Set(i, host().loops[i]->number);
  return numbers;
}

void turn(const Call& info) {
  for (Loop* loop : host().loops) {
    if (loop->number != word(info, 0)) continue;
    loop->planned_ms = kNever;
    loop->on_ready(loop->ready_context);
    return;
  }
}

void close_loops(const Call&) {
  while (!host().closing.empty()) {
    const std::unique_ptr<Loop> loop(host().closing.back());
    host().closing.pop_back();
    loop->on_closed(loop->closed_context);
  }
}

Napi::Value disks(const Call& info) { return Napi::Number::New(info.Env(), static_cast<double>(host().disks.size())); }

Napi::Value step_disk(const Call& info) {
  // One that was there when the round began may have gone with its engine.
  const std::uint32_t index = word(info, 0);
  return Napi::Boolean::New(info.Env(), index < host().disks.size() && host().disks[index]->step());
}

void make_directory(const Call& info) { world->disk().make_directory(text(info, 0)); }

void make_file(const Call& info) {
  auto bytes = info[1].As<Napi::Uint8Array>();
  world->disk().make_file(text(info, 0), std::span<const std::uint8_t>(bytes.Data(), bytes.ByteLength()));
}

Napi::Value contents(const Call& info) {
  const auto found = world->disk().contents(text(info, 0));
  if (!found) return info.Env().Undefined();
  return Napi::Buffer<std::uint8_t>::Copy(info.Env(), found->data(), found->size());
}

Napi::Value size(const Call& info) {
  const auto node = world->disk().find(text(info, 0));
  return node == nullptr ? info.Env().Undefined() : Napi::Number::New(info.Env(), static_cast<double>(node->size));
}

Napi::Value list(const Call& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  for (const std::string& name : world->disk().list(text(info, 0))) names.Set(names.Length(), name);
  return names;
}

// Infinity = no limit. Room cannot be reserved, as on a file system that does not know how.
void limit_disk(const Call& info) {
  const double bytes = info[0].As<Napi::Number>().DoubleValue();
  iocp::SimFaults faults = world->faults();
  faults.disk_bytes = std::isinf(bytes) ? UINT64_MAX : static_cast<std::uint64_t>(bytes);
  faults.reserve_not_supported = 1000;
  world->set_faults(faults);
}

void kill_users(const Call& info) { world->disk().kill_users(text(info, 0)); }

void cut_power(const Call& info) { world->disk().cut_power(text(info, 0)); }

Napi::Value held(const Call& info) {
  const iocp::SimAudit audit = world->audit();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("sockets", static_cast<double>(audit.sockets));
  object.Set("operations", static_cast<double>(audit.operations));
  object.Set("rawSockets", static_cast<double>(audit.raw_sockets));
  object.Set("files", static_cast<double>(world->disk().open_files()));
  return object;
}

}  // namespace
}  // namespace simulated

extern "C" {

NAPI_MODULE_EXPORT std::int32_t node_api_module_get_api_version_v1() { return NAPI_VERSION; }

NAPI_MODULE_EXPORT napi_value napi_register_module_v1(napi_env raw_env, napi_value raw_exports) {
  const Napi::Env env(raw_env);
  Napi::Object exports(env, iocp_register_real_addon(raw_env, raw_exports));
  Napi::Object simulation = Napi::Object::New(env);
  const auto add = [&](const char* name, auto function) { simulation.Set(name, Napi::Function::New(env, function)); };
  add("begin", simulated::begin);
  add("now", simulated::now);
  add("nextDue", simulated::next_due);
  add("advance", simulated::advance);
  add("trace", simulated::trace);
  add("loops", simulated::loops);
  add("turn", simulated::turn);
  add("closeLoops", simulated::close_loops);
  add("disks", simulated::disks);
  add("stepDisk", simulated::step_disk);
  add("makeDirectory", simulated::make_directory);
  add("makeFile", simulated::make_file);
  add("contents", simulated::contents);
  add("size", simulated::size);
  add("list", simulated::list);
  add("limitDisk", simulated::limit_disk);
  add("killUsers", simulated::kill_users);
  add("cutPower", simulated::cut_power);
  add("held", simulated::held);
  exports.Set("simulation", simulation);
  return exports;
}

}  // extern "C"
