// The calls of binding.d.ts about files, one function each: as engine_calls.cc, nothing is decided here.
#include <cmath>
#include <string>
#include <utility>

#include "binding/engine_wrap.h"
#include "port/check.h"

namespace iocp {
namespace {

std::uint32_t word(const Napi::CallbackInfo& info, std::size_t index) {
  return info[index].As<Napi::Number>().Uint32Value();
}

bool flag(const Napi::CallbackInfo& info, std::size_t index) { return info[index].As<Napi::Boolean>().Value(); }

std::string text(const Napi::CallbackInfo& info, std::size_t index) {
  return info[index].As<Napi::String>().Utf8Value();
}

// A count of bytes: a safe integer, or infinity for what has no limit.
std::uint64_t wide(const Napi::CallbackInfo& info, std::size_t index) {
  const double value = info[index].As<Napi::Number>().DoubleValue();
  IOCP_CHECK(value >= 0);
  return std::isinf(value) ? UINT64_MAX : static_cast<std::uint64_t>(value);
}

Napi::Value boolean(const Napi::CallbackInfo& info, bool value) { return Napi::Boolean::New(info.Env(), value); }

}  // namespace

Napi::Value EngineWrap::open_source(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running || !disk_thread_.start(engine_->disk())) return boolean(info, false);
  return boolean(info, engine_->open_source(word(info, 0), word(info, 1), word(info, 2), text(info, 3)));
}

Napi::Value EngineWrap::open_target(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running || !disk_thread_.start(engine_->disk())) return boolean(info, false);
  FileTarget target;
  target.directory = text(info, 3);
  target.name = text(info, 4);
  target.size = wide(info, 5);
  target.on_exists = static_cast<OnExists>(word(info, 6));
  target.resume = flag(info, 7);
  target.checked = flag(info, 8);
  target.durable = flag(info, 9);
  return boolean(info, engine_->open_target(word(info, 0), word(info, 1), word(info, 2), std::move(target)));
}

Napi::Value EngineWrap::send_file(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return boolean(info, false);
  FileRun run;
  run.raw = flag(info, 1);
  run.id = word(info, 2);
  run.begin = wide(info, 3);
  run.length = wide(info, 4);
  run.credit = wide(info, 5);
  const bool found = engine_->send_file(word(info, 0), run);
  kick();
  return boolean(info, found);
}

void EngineWrap::hold_others(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return;
  engine_->hold_others(word(info, 0), word(info, 1), flag(info, 2));
  kick();
}

void EngineWrap::check_file(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return;
  engine_->check_file(word(info, 0), wide(info, 1), wide(info, 2));
}

void EngineWrap::give_credit(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return;
  engine_->give_credit(word(info, 0), wide(info, 1));
  kick();
}

Napi::Value EngineWrap::receive_file(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return boolean(info, false);
  FileRun run;
  run.raw = flag(info, 1);
  run.id = word(info, 2);
  run.length = wide(info, 3);
  run.credit = wide(info, 4);
  return boolean(info, engine_->receive_file(word(info, 0), run));
}

void EngineWrap::finish_file(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return;
  engine_->finish_file(word(info, 0), flag(info, 1), word(info, 2));
}

void EngineWrap::stop_file(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return;
  engine_->stop_file(word(info, 0), flag(info, 1));
}

Napi::Value EngineWrap::file_moved(const Napi::CallbackInfo& info) {
  const double bytes = phase_ == Phase::running ? engine_->file_moved(word(info, 0)) : 0;
  return Napi::Number::New(info.Env(), bytes);
}

}  // namespace iocp
