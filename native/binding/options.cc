// NativeOptions -> EngineOptions, field by field.
#include "binding/options.h"

#include <string>

#include "port/check.h"

namespace iocp {
namespace {

double number(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  IOCP_CHECK(value.IsNumber());
  return value.As<Napi::Number>().DoubleValue();
}

template <typename Integer>
Integer integer(const Napi::Object& object, const char* name) {
  return static_cast<Integer>(number(object, name));
}

bool boolean(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  IOCP_CHECK(value.IsBoolean());
  return value.As<Napi::Boolean>().Value();
}

FramingType framing_type(const std::string& name) {
  if (name == "none") return FramingType::none;
  if (name == "length") return FramingType::length;
  if (name == "varint") return FramingType::varint;
  if (name == "delimiter") return FramingType::delimiter;
  if (name == "fixed") return FramingType::fixed;
  IOCP_UNREACHABLE("TypeScript admits no other framing");
}

Framing read_framing(const Napi::Object& object) {
  Framing framing;
  framing.type = framing_type(object.Get("type").As<Napi::String>().Utf8Value());
  framing.offset = integer<std::uint32_t>(object, "offset");
  framing.width = integer<std::uint32_t>(object, "width");
  framing.big_endian = boolean(object, "bigEndian");
  framing.adjust = integer<std::int64_t>(object, "adjust");
  framing.strip = integer<std::int64_t>(object, "strip");
  framing.max_length = integer<std::uint64_t>(object, "maxLength");
  const Napi::Value delimiter = object.Get("delimiter");
  if (delimiter.IsTypedArray()) {
    const auto bytes = delimiter.As<Napi::Uint8Array>();
    framing.delimiter.assign(bytes.Data(), bytes.Data() + bytes.ByteLength());
  }
  IOCP_CHECK(framing.type != FramingType::delimiter || !framing.delimiter.empty());
  IOCP_CHECK(framing.type != FramingType::fixed || framing.max_length > 0);
  return framing;
}

}  // namespace

BindingOptions read_options(const Napi::Object& object) {
  BindingOptions options;
  EngineOptions& engine = options.engine;
  const auto io_workers = integer<std::int32_t>(object, "ioWorkers");
  options.adaptive = io_workers < 0;
  options.io_threads = options.adaptive ? 0 : static_cast<std::uint32_t>(io_workers);
  options.processors = integer<std::uint32_t>(object, "processors");
  engine.max_connections = integer<std::uint32_t>(object, "maxConnections");
  engine.max_free_buffers = integer<std::int64_t>(object, "maxFreeBuffers");
  engine.max_free_contexts = integer<std::int64_t>(object, "maxFreeContexts");
  engine.pending_reads = integer<std::uint32_t>(object, "pendingReads");
  engine.zero_byte_reads = boolean(object, "zeroByteReads");
  engine.framing = read_framing(object.Get("framing").As<Napi::Object>());
  engine.socket.no_delay = boolean(object, "noDelay");
  engine.socket.keep_alive.enabled = boolean(object, "keepAlive");
  engine.socket.keep_alive.initial_delay_ms = integer<std::uint32_t>(object, "keepAliveInitialDelayMs");
  engine.socket.keep_alive.interval_ms = integer<std::uint32_t>(object, "keepAliveIntervalMs");
  engine.socket.keep_alive.count = integer<std::uint32_t>(object, "keepAliveCount");
  engine.socket.user_timeout_ms = integer<std::uint32_t>(object, "userTimeoutMs");
  engine.file_transfer = boolean(object, "fileTransfer");
  engine.high_water_mark = integer<std::uint64_t>(object, "highWaterMark");
  engine.low_water_mark = integer<std::uint64_t>(object, "lowWaterMark");
  engine.max_queued_bytes = integer<std::uint64_t>(object, "maxQueuedBytes");
  engine.on_overflow = static_cast<OverflowPolicy>(integer<std::uint8_t>(object, "onOverflow"));
  engine.deliver_to_workers = boolean(object, "deliverToWorkers");
  return options;
}

}  // namespace iocp
