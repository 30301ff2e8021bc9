// The calls of binding.d.ts, one function each: N-API values in, engine calls, N-API values out. Nothing is decided
// here. Arguments were validated in TypeScript.
#include <string>
#include <vector>

#include "binding/arguments.h"
#include "binding/engine_wrap.h"
#include "core/records.h"
#include "port/check.h"

namespace iocp {
namespace {

std::string text(const Napi::CallbackInfo& info, std::size_t index) {
  return info[index].As<Napi::String>().Utf8Value();
}

// Numeric host or local path; false when the host is no IP address.
bool read_address(const std::string& host, std::uint32_t port, const std::string& path, Address* address) {
  if (!path.empty()) {
    address->family = Family::local;
    return true;
  }
  return parse_ip(host, static_cast<std::uint16_t>(port), address);
}

}  // namespace

Napi::Function EngineWrap::define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {InstanceAccessor<&EngineWrap::handle>("handle"),
                      InstanceAccessor<&EngineWrap::io_threads>("ioThreads"),
                      InstanceAccessor<&EngineWrap::lanes>("lanes"),
                      InstanceMethod<&EngineWrap::start>("start"),
                      InstanceMethod<&EngineWrap::supply>("supply"),
                      InstanceMethod<&EngineWrap::flush>("flush"),
                      InstanceMethod<&EngineWrap::send_large>("sendLarge"),
                      InstanceMethod<&EngineWrap::broadcast>("broadcast"),
                      InstanceMethod<&EngineWrap::queued>("queued"),
                      InstanceMethod<&EngineWrap::listen>("listen"),
                      InstanceMethod<&EngineWrap::connect>("connect"),
                      InstanceMethod<&EngineWrap::cancel_connect>("cancelConnect"),
                      InstanceMethod<&EngineWrap::pause_accept>("pauseAccept"),
                      InstanceMethod<&EngineWrap::resume_accept>("resumeAccept"),
                      InstanceMethod<&EngineWrap::disconnect>("disconnect"),
                      InstanceMethod<&EngineWrap::finish>("finish"),
                      InstanceMethod<&EngineWrap::pause>("pause"),
                      InstanceMethod<&EngineWrap::resume>("resume"),
                      InstanceMethod<&EngineWrap::close>("close"),
                      InstanceMethod<&EngineWrap::destroy>("destroy"),
                      InstanceMethod<&EngineWrap::rest>("rest"),
                      InstanceMethod<&EngineWrap::rouse>("rouse"),
                      InstanceMethod<&EngineWrap::stats>("stats"),
                      InstanceMethod<&EngineWrap::context_stats>("contextStats"),
                      InstanceMethod<&EngineWrap::tcp_info>("tcpInfo"),
                      InstanceMethod<&EngineWrap::open_source>("openSource"),
                      InstanceMethod<&EngineWrap::open_target>("openTarget"),
                      InstanceMethod<&EngineWrap::send_file>("sendFile"),
                      InstanceMethod<&EngineWrap::hold_others>("holdOthers"),
                      InstanceMethod<&EngineWrap::check_file>("checkFile"),
                      InstanceMethod<&EngineWrap::give_credit>("giveCredit"),
                      InstanceMethod<&EngineWrap::receive_file>("receiveFile"),
                      InstanceMethod<&EngineWrap::finish_file>("finishFile"),
                      InstanceMethod<&EngineWrap::stop_file>("stopFile"),
                      InstanceMethod<&EngineWrap::file_moved>("fileMoved"),
                      InstanceMethod<&EngineWrap::ref>("ref"),
                      InstanceMethod<&EngineWrap::unref>("unref")});
}

Napi::Value EngineWrap::handle(const Napi::CallbackInfo& info) { return number(info, handle_); }

Napi::Value EngineWrap::io_threads(const Napi::CallbackInfo& info) { return number(info, io_threads_); }

Napi::Value EngineWrap::lanes(const Napi::CallbackInfo& info) {
  return number(info, static_cast<double>(engine_->lane_count()));
}

Napi::Value EngineWrap::supply(const Napi::CallbackInfo& info) {
  if (phase_ == Phase::down) return info.Env().Undefined();
  const Napi::Value slab = pump_->supply(info.Env(), word(info, 0), word(info, 1), word(info, 2));
  if (!pump_->pumping()) kick();
  return slab;
}

void EngineWrap::flush(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return;
  const std::size_t size = word(info, 0);
  IOCP_CHECK(size <= output_size_);
  const bool more = info[1].As<Napi::Boolean>().Value();
  const std::uint64_t begin_ns = monotonic_ns();
  engine_->submit_batch(MutableBytes(output_bytes_, size), more);
  // Part of the I/O, as far as it was written here.
  if (!more) return kick(begin_ns);
  if (steps_itself()) stepping_ns_ += monotonic_ns() - begin_ns;
}

Napi::Value EngineWrap::send_large(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return number(info, static_cast<double>(Status::gone));
  // Part of the I/O, whoever steps: the bytes are written here, if that can be done at once.
  const std::uint64_t begin_ns = monotonic_ns();
  const Status status = engine_->send(word(info, 0), word(info, 1), bytes(info, 2), word(info, 3));
  kick(begin_ns);
  return number(info, static_cast<double>(status));
}

Napi::Value EngineWrap::broadcast(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return number(info, 0);
  std::size_t count = 0;
  const std::uint32_t except = info[1].As<Napi::Number>().Uint32Value();  // -1 = nobody, as the largest slot
  if (info[2].IsTypedArray()) {
    auto pairs = info[2].As<Napi::Uint32Array>();
    const std::vector<std::uint32_t> only(pairs.Data(), pairs.Data() + pairs.ElementLength());
    count = engine_->broadcast(bytes(info, 0), except, &only);
  } else {
    count = engine_->broadcast(bytes(info, 0), except, nullptr);
  }
  return number(info, static_cast<double>(count));
}

Napi::Value EngineWrap::queued(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return number(info, -1);
  return number(info, static_cast<double>(engine_->queued(word(info, 0), word(info, 1))));
}

Napi::Value EngineWrap::listen(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  ListenOptions options;
  options.path = text(info, 2);
  options.backlog = word(info, 3);
  options.ipv6_only = flag(info, 4);
  options.reuse_port = flag(info, 5);
  Engine::Listening result;
  if (phase_ != Phase::running) {
    result.status = Status::closed;
  } else if (!read_address(text(info, 0), word(info, 1), options.path, &options.address)) {
    result.status = Status::invalid_argument;
  } else {
    result = engine_->listen(options);
    kick();
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("status", static_cast<double>(result.status));
  object.Set("syscall", static_cast<double>(Syscall::listen));
  object.Set("id", static_cast<double>(result.id));
  object.Set("address", options.path.empty() ? format_ip(result.bound) : options.path);
  object.Set("family", family_number(result.bound.family));
  object.Set("port", static_cast<double>(result.bound.port));
  return object;
}

Napi::Value EngineWrap::connect(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return number(info, static_cast<double>(Status::closed));
  const std::string path = text(info, 3);
  const std::string local_host = text(info, 4);
  Address to;
  Address local;
  Status status = Status::ok;
  if (!read_address(text(info, 1), word(info, 2), path, &to) ||
      (!local_host.empty() && !parse_ip(local_host, 0, &local))) {
    status = Status::invalid_argument;
  } else {
    status = engine_->connect(word(info, 0), to, path, local, word(info, 5));
    kick();
  }
  return number(info, static_cast<double>(status));
}

void EngineWrap::cancel_connect(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return;
  engine_->cancel_connect(word(info, 0));
  kick();
}

void EngineWrap::pause_accept(const Napi::CallbackInfo&) {
  if (phase_ != Phase::running) return;
  engine_->hold_accepts(true);
  kick();
}

void EngineWrap::resume_accept(const Napi::CallbackInfo&) {
  if (phase_ != Phase::running) return;
  engine_->hold_accepts(false);
  kick();
}

Napi::Value EngineWrap::disconnect(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return boolean(info, false);
  const bool found = engine_->disconnect(word(info, 0), word(info, 1), flag(info, 2), word(info, 3));
  kick();
  return boolean(info, found);
}

void EngineWrap::finish(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return;
  engine_->finish(word(info, 0), word(info, 1));
  kick();
}

Napi::Value EngineWrap::pause(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return boolean(info, false);
  const bool found = engine_->pause(word(info, 0), word(info, 1));
  kick();
  return boolean(info, found);
}

Napi::Value EngineWrap::resume(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return boolean(info, false);
  const bool found = engine_->resume(word(info, 0), word(info, 1));
  kick();
  return boolean(info, found);
}

void EngineWrap::close(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running) return;
  engine_->close(word(info, 0));
  kick();
}

void EngineWrap::destroy(const Napi::CallbackInfo&) {
  if (pump_->pumping()) {
    destroy_after_pump_ = true;
  } else {
    take_down();
  }
}

void EngineWrap::rest(const Napi::CallbackInfo&) {
  if (phase_ == Phase::running) rest_threads();
}

Napi::Value EngineWrap::rouse(const Napi::CallbackInfo& info) {
  const bool roused = phase_ != Phase::running || rouse_threads();
  return number(info, static_cast<double>(roused ? Status::ok : Status::out_of_memory));
}

void EngineWrap::stats(const Napi::CallbackInfo& info) {
  auto out = info[0].As<Napi::Float64Array>();
  IOCP_CHECK(out.ElementLength() >= Engine::stat_count());
  engine_->stats(out.Data());
}

Napi::Value EngineWrap::context_stats(const Napi::CallbackInfo& info) {
  ContextFigures figures;
  if (phase_ != Phase::running || !engine_->figures(word(info, 0), word(info, 1), &figures)) {
    return boolean(info, false);
  }
  write_figures(figures, info[2].As<Napi::Float64Array>());
  return boolean(info, true);
}

Napi::Value EngineWrap::tcp_info(const Napi::CallbackInfo& info) {
  TcpInfo figures;
  if (phase_ != Phase::running || !engine_->tcp_info(word(info, 0), word(info, 1), &figures)) {
    return boolean(info, false);
  }
  write_figures(figures, info[2].As<Napi::Float64Array>());
  return boolean(info, true);
}

void EngineWrap::ref(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running || referenced_) return;
  referenced_ = true;
  if (bell_ != nullptr) {
    bell_->ref(info.Env());
  } else {
    host_loop_.ref();
  }
}

void EngineWrap::unref(const Napi::CallbackInfo& info) {
  if (phase_ != Phase::running || !referenced_) return;
  referenced_ = false;
  if (bell_ != nullptr) {
    bell_->unref(info.Env());
  } else {
    host_loop_.unref();
  }
}

}  // namespace iocp
