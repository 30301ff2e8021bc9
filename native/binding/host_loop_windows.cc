// HostLoop on Windows: there is none. libuv steps a completion port of its own there and offers no way to watch a
// second one, so the engine always uses I/O threads.
#include "binding/host_loop.h"
#include "port/check.h"

namespace iocp {

bool HostLoop::available(napi_env) noexcept { return false; }

HostLoop::~HostLoop() { IOCP_CHECK(handles_ == nullptr); }

bool HostLoop::open(napi_env, int, Callback, void*) { return false; }

void HostLoop::plan(std::int32_t) {}

void HostLoop::pause() {}

bool HostLoop::resume() { return false; }

void HostLoop::watch_sleep(Callback) {}

void HostLoop::look(std::uint64_t) {}

bool HostLoop::may_wait() const noexcept { return false; }

std::uint64_t HostLoop::idle_ns() const noexcept { return 0; }

void HostLoop::ref() {}

void HostLoop::unref() {}

void HostLoop::close(Callback, void*) { IOCP_UNREACHABLE("a loop that was never opened"); }

}  // namespace iocp
