// Node-API calls V8 for memory here, and nowhere else in a step; whatever it refuses, the C library may still have.
#include "binding/payload_buffers.h"

#include <utility>

#include "port/check.h"

namespace iocp {
namespace {

// Seven packages of 64 KiB. Whoever keeps a payload keeps its arena.
constexpr std::size_t kArenaBytes = 512 * 1024;
// 48 MiB. V8 collects young Buffers when they hold 32 MiB; others are being received into or read.
constexpr std::int64_t kIdleArenasMax = 96;

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

PayloadBuffers::PayloadBuffers(napi_env env) noexcept
    : env_(env),
      thread_(std::this_thread::get_id()),
      pool_(std::make_shared<BufferPool>(kArenaBytes, kIdleArenasMax)) {}

PayloadAllocator::Block PayloadBuffers::acquire(std::size_t bytes) noexcept {
  const Run run = open(bytes, nullptr);
  if (run.memory == nullptr) return {};
  keep(bytes, 1);
  return {run.memory, run.number, run.offset};
}

PayloadAllocator::Run PayloadBuffers::open(std::size_t least, const std::uint8_t* behind) noexcept {
  if (std::this_thread::get_id() != thread_ || !admitted_) return {};
  watch_.used();
  const bool goes_on = behind != nullptr;
  if (!goes_on && current_ != kNone) arenas_[current_].align();
  const bool fits = current_ != kNone && arenas_[current_].room() >= least;
  if (goes_on && (!fits || arenas_[current_].start + arenas_[current_].used != behind)) return {};
  if (!fits && !begin_arena(least)) return {};
  const Arena& arena = arenas_[current_];
  return {arena.start + arena.used, arena.room(), current_, static_cast<std::uint32_t>(arena.used)};
}

void PayloadBuffers::keep(std::size_t bytes, std::uint32_t blocks) noexcept {
  Arena& arena = arenas_[current_];
  IOCP_CHECK(arena.room() >= bytes);
  arena.used += bytes;
  arena.blocks += blocks;
}

bool PayloadBuffers::begin_arena(std::size_t bytes) noexcept {
  const Scope scope(env_);
  if (!scope.good()) return false;
  leave_current();
  Arena arena;
  napi_value buffer = pools_ && bytes <= kArenaBytes ? make_pooled(&arena) : nullptr;
  if (buffer == nullptr) buffer = make_own(&arena, bytes);
  napi_value const array = held();
  if (buffer == nullptr || array == nullptr) return false;
  const auto number = unused_.empty() ? static_cast<std::uint32_t>(arenas_.size()) : unused_.back();
  if (napi_set_element(env_, array, number, buffer) != napi_ok) return false;
  if (unused_.empty()) {
    arenas_.push_back(std::move(arena));
  } else {
    unused_.pop_back();
    arenas_[number] = std::move(arena);
  }
  current_ = number;
  return true;
}

napi_value PayloadBuffers::make_pooled(Arena* arena) noexcept {
  auto memory = std::make_shared<PooledMemory>(pool_);
  if (memory->start() == nullptr) return nullptr;
  napi_status status = napi_ok;
  napi_value const buffer = make_pooled_buffer(env_, memory, &status);
  if (status == napi_no_external_buffers_allowed) pools_ = false;
  if (buffer != nullptr) *arena = {memory, memory->start(), kArenaBytes};
  return buffer;
}

napi_value PayloadBuffers::make_own(Arena* arena, std::size_t bytes) noexcept {
  std::uint8_t* start = nullptr;
  napi_value const buffer = make_own_buffer(env_, bytes, &start);
  if (buffer != nullptr) *arena = {nullptr, start, bytes};
  return buffer;
}

void PayloadBuffers::leave_current() noexcept {
  const std::uint32_t number = std::exchange(current_, kNone);
  if (number != kNone && arenas_[number].blocks == 0) drop(number);
}

void PayloadBuffers::drop(std::uint32_t number) noexcept {
  napi_value const array = held();
  napi_value nothing = nullptr;
  if (array == nullptr || napi_get_undefined(env_, &nothing) != napi_ok ||
      napi_set_element(env_, array, number, nothing) != napi_ok) {
    return;  // it goes with the Array
  }
  arenas_[number] = {};
  unused_.push_back(number);
}

void PayloadBuffers::release(std::uint32_t number) noexcept {
  const ScopedLock guard(mutex_);
  released_.push_back(number);
  any_released_.store(true, std::memory_order_relaxed);
}

bool PayloadBuffers::take(std::uint32_t number, napi_value* buffer) noexcept {
  napi_value const array = held();
  if (array == nullptr || napi_get_element(env_, array, number, buffer) != napi_ok) return false;
  IOCP_CHECK(number < arenas_.size() && arenas_[number].blocks > 0);
  if (--arenas_[number].blocks == 0 && number != current_) drop(number);
  return true;
}

void PayloadBuffers::tidy(std::uint64_t now_ns) noexcept {
  std::vector<std::uint32_t> released;
  if (any_released_.load(std::memory_order_relaxed)) {
    const ScopedLock guard(mutex_);
    released.swap(released_);
    any_released_.store(false, std::memory_order_relaxed);
  }
  const bool idle = watch_.idle(now_ns);
  if (released.empty() && !idle) return;
  const Scope scope(env_);
  if (!scope.good()) return;
  for (const std::uint32_t number : released) {
    napi_value buffer = nullptr;
    if (!take(number, &buffer)) return;
  }
  if (!idle) return;
  if (current_ != kNone && arenas_[current_].blocks == 0) leave_current();
  pool_->trim();
}

void PayloadBuffers::close() noexcept {
  if (held_ != nullptr) static_cast<void>(napi_delete_reference(env_, held_));
  held_ = nullptr;
  admitted_ = false;
  arenas_.clear();
  unused_.clear();
  current_ = kNone;
  pool_->trim();
}

napi_value PayloadBuffers::held() noexcept {
  napi_value array = nullptr;
  if (held_ != nullptr) return napi_get_reference_value(env_, held_, &array) == napi_ok ? array : nullptr;
  if (napi_create_array(env_, &array) != napi_ok) return nullptr;
  return napi_create_reference(env_, array, 1, &held_) == napi_ok ? array : nullptr;
}

}  // namespace iocp
