// The JavaScript thread's own event loop, as far as the engine needs it: watch one descriptor, and plan one turn.
// Through it the engine is stepped on the JavaScript thread, which spares a hand-over between threads for every
// package.
//
// The loop's functions are looked up at run time, because not every host has them, or means them (then available() is
// false and the engine uses I/O threads). One file per family of systems implements this; it decides nothing.
#pragma once

#include <node_api.h>

#include <cstdint>

namespace iocp {

class HostLoop {
 public:
  using Callback = void (*)(void* context);

  // Whether this host's loop can be used at all. JavaScript thread.
  static bool available(napi_env env) noexcept;

  HostLoop() = default;
  ~HostLoop();  // closed, or never opened
  HostLoop(const HostLoop&) = delete;
  HostLoop& operator=(const HostLoop&) = delete;

  // Calls `on_ready` on the loop's thread whenever `descriptor` is readable or the timer fired. False when the
  // loop refuses. Keeps the loop alive until unref().
  bool open(napi_env env, int descriptor, Callback on_ready, void* context);
  // Calls `on_ready` that many milliseconds from now, 0 = in the next turn of the loop, -1 = not for the sake of time.
  // Replaces the plan before. A plan alone keeps no loop alive.
  void plan(std::int32_t delay_ms);
  // Between the two, nothing calls `on_ready`. Nothing happens when it is so already; false when the loop refuses.
  void pause();
  bool resume();
  // Calls `before_sleep` whenever the loop is about to sleep, with the context of open(). Where the loop cannot tell,
  // never.
  void watch_sleep(Callback before_sleep);
  // Looks whether anything that the loop waits for is ready, until it is, the time is over, or a timer is due.
  void look(std::uint64_t limit_ns);
  // Whether nothing of the loop's own is to run at once, such as an immediate or a timer. False where the loop cannot
  // tell.
  bool may_wait() const noexcept;
  // How long the loop's thread has slept for want of work since the loop began; 0 from a host that does not measure it.
  std::uint64_t idle_ns() const noexcept;
  void ref();
  void unref();
  // Everything ends; `on_closed` is called, on the loop's thread, when the loop has let go of them. The descriptor
  // may be closed as soon as this returns.
  void close(Callback on_closed, void* context);
  bool is_open() const noexcept { return handles_ != nullptr; }

 private:
  void start_watching_sleep();

  struct Handles;
  Handles* handles_ = nullptr;
};

}  // namespace iocp
