// Buffers around memory that V8 did not allocate, and how V8 is made to notice how much of it there is.
#include "binding/pooled_buffers.h"

namespace iocp {
namespace {

// That V8 has no memory is no exception here: whoever asked finds other memory, or says that there is none.
void forget_exception(napi_env env) noexcept {
  bool pending = false;
  napi_value exception = nullptr;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending) {
    static_cast<void>(napi_get_and_clear_last_exception(env, &exception));
  }
}

// V8 looks at how much memory young Buffers hold only when it allocates some for one itself. Without that it notices
// what was only wrapped much later, and then with a full collection instead of a cheap one of young objects.
void let_v8_collect(napi_env env) noexcept {
  void* memory = nullptr;
  napi_value smallest = nullptr;
  if (napi_create_arraybuffer(env, 1, &memory, &smallest) != napi_ok) forget_exception(env);
}

}  // namespace

napi_value make_pooled_buffer(napi_env env, const std::shared_ptr<PooledMemory>& memory, napi_status* status) noexcept {
  let_v8_collect(env);
  auto buffers_share = std::make_unique<std::shared_ptr<PooledMemory>>(memory);
  const auto finalize = [](napi_env, void*, void* share) { delete static_cast<std::shared_ptr<PooledMemory>*>(share); };
  napi_value buffer = nullptr;
  *status = napi_create_external_buffer(env, memory->bytes(), memory->start(), finalize, buffers_share.get(), &buffer);
  if (*status != napi_ok) {
    forget_exception(env);
    return nullptr;
  }
  static_cast<void>(buffers_share.release());  // the finalizer's now
  return buffer;
}

napi_value make_own_buffer(napi_env env, std::size_t bytes, std::uint8_t** start) noexcept {
  void* memory = nullptr;
  napi_value buffer = nullptr;
  if (napi_create_buffer(env, bytes, &memory, &buffer) != napi_ok) {
    forget_exception(env);
    return nullptr;
  }
  *start = static_cast<std::uint8_t*>(memory);
  return buffer;
}

}  // namespace iocp
