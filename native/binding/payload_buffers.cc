// Node-API calls V8 for memory here, and nowhere else in a step; whatever it refuses, the C library may still have.
#include "binding/payload_buffers.h"

#include "port/check.h"

namespace iocp {
namespace {

// Opens a scope for handles, and closes it. Node-API's own failures are answers here, not exceptions.
class Scope {
 public:
  explicit Scope(napi_env env) noexcept : env_(env) { good_ = napi_open_handle_scope(env, &scope_) == napi_ok; }
  ~Scope() {
    if (good_) static_cast<void>(napi_close_handle_scope(env_, scope_));
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  bool good() const noexcept { return good_; }

 private:
  napi_env env_;
  napi_handle_scope scope_ = nullptr;
  bool good_ = false;
};

}  // namespace

PayloadBuffers::PayloadBuffers(napi_env env) noexcept : env_(env), thread_(std::this_thread::get_id()) {}

PayloadAllocator::Block PayloadBuffers::acquire(std::size_t bytes) noexcept {
  if (std::this_thread::get_id() != thread_ || !admitted_) return {};
  const Scope scope(env_);
  if (!scope.good()) return {};
  void* memory = nullptr;
  napi_value buffer = nullptr;
  if (napi_create_buffer(env_, bytes, &memory, &buffer) != napi_ok) {
    // No memory is no exception here: the C library may have some, or its caller says that there is none.
    bool pending = false;
    napi_value exception = nullptr;
    if (napi_is_exception_pending(env_, &pending) == napi_ok && pending) {
      static_cast<void>(napi_get_and_clear_last_exception(env_, &exception));
    }
    return {};
  }
  const std::uint32_t number = unused_.empty() ? count_ : unused_.back();
  napi_value const array = held();
  if (array == nullptr || napi_set_element(env_, array, number, buffer) != napi_ok) return {};
  if (unused_.empty()) {
    ++count_;
  } else {
    unused_.pop_back();
  }
  return {static_cast<std::uint8_t*>(memory), number};
}

void PayloadBuffers::release(std::uint32_t number) noexcept {
  const ScopedLock guard(mutex_);
  released_.push_back(number);
  any_released_.store(true, std::memory_order_relaxed);
}

bool PayloadBuffers::take(std::uint32_t number, napi_value* buffer) noexcept {
  napi_value const array = held();
  napi_value nothing = nullptr;
  if (array == nullptr || napi_get_element(env_, array, number, buffer) != napi_ok ||
      napi_get_undefined(env_, &nothing) != napi_ok || napi_set_element(env_, array, number, nothing) != napi_ok) {
    return false;
  }
  unused_.push_back(number);
  return true;
}

void PayloadBuffers::take_back_released() noexcept {
  if (!any_released_.load(std::memory_order_relaxed)) return;
  std::vector<std::uint32_t> released;
  {
    const ScopedLock guard(mutex_);
    released.swap(released_);
    any_released_.store(false, std::memory_order_relaxed);
  }
  for (const std::uint32_t number : released) {
    napi_value buffer = nullptr;
    if (!take(number, &buffer)) return;
  }
}

void PayloadBuffers::close() noexcept {
  if (held_ != nullptr) static_cast<void>(napi_delete_reference(env_, held_));
  held_ = nullptr;
  admitted_ = false;
}

napi_value PayloadBuffers::held() noexcept {
  napi_value array = nullptr;
  if (held_ != nullptr) return napi_get_reference_value(env_, held_, &array) == napi_ok ? array : nullptr;
  if (napi_create_array(env_, &array) != napi_ok) return nullptr;
  return napi_create_reference(env_, array, 1, &held_) == napi_ok ? array : nullptr;
}

}  // namespace iocp
