// One function per direction; every form in both.
#include "binding/job_values.h"

#include <cstring>
#include <new>

#include "port/check.h"

namespace iocp {
namespace {

bool make_room(std::size_t length, JobPayload* out) {
  IOCP_CHECK(length <= UINT32_MAX);
  out->bytes.reset(new (std::nothrow) std::uint8_t[length]);
  out->length = static_cast<std::uint32_t>(length);
  return out->bytes != nullptr;
}

bool copy_bytes(const void* bytes, std::size_t length, JobPayload* out) {
  if (!make_room(length, out)) return false;
  if (length > 0) std::memcpy(out->bytes.get(), bytes, length);
  return true;
}

bool copy_text(const Napi::Value& value, JobPayload* out) {
  std::size_t length = 0;
  IOCP_CHECK(napi_get_value_string_utf8(value.Env(), value, nullptr, 0, &length) == napi_ok);
  // One more for the NUL that the call insists on.
  if (!make_room(length + 1, out)) return false;
  out->length = static_cast<std::uint32_t>(length);
  return napi_get_value_string_utf8(value.Env(), value, reinterpret_cast<char*>(out->bytes.get()), length + 1,
                                    &length) == napi_ok;
}

}  // namespace

bool read_payload(std::uint32_t form, const Napi::Value& value, JobPayload* out) {
  out->form = form;
  switch (static_cast<JobForm>(form)) {
    case JobForm::nothing:
    case JobForm::posted:
    case JobForm::held:
      return true;
    case JobForm::serialized:
    case JobForm::buffer: {
      const auto bytes = value.As<Napi::Uint8Array>();
      return copy_bytes(bytes.Data(), bytes.ByteLength(), out);
    }
    case JobForm::text:
      return copy_text(value, out);
    case JobForm::number: {
      const double number = value.As<Napi::Number>().DoubleValue();
      return copy_bytes(&number, sizeof number, out);
    }
  }
  IOCP_UNREACHABLE("a JobForm outside the enum");
}

Napi::Value payload_value(Napi::Env env, const JobPayload& payload) {
  switch (static_cast<JobForm>(payload.form)) {
    case JobForm::nothing:
    case JobForm::posted:
    case JobForm::held:
      return env.Undefined();
    case JobForm::serialized:
    case JobForm::buffer:
      return Napi::Buffer<std::uint8_t>::Copy(env, payload.bytes.get(), payload.length);
    case JobForm::text:
      return Napi::String::New(env, reinterpret_cast<const char*>(payload.bytes.get()), payload.length);
    case JobForm::number: {
      double number = 0;
      std::memcpy(&number, payload.bytes.get(), sizeof number);
      return Napi::Number::New(env, number);
    }
  }
  IOCP_UNREACHABLE("a JobForm outside the enum");
}

}  // namespace iocp
