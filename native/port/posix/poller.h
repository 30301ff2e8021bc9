// What a readiness system (epoll, kqueue) must offer so that readiness_port.cc can turn it into a completion
// port. Each system defines this class in its own folder. It reports readiness and nothing else: it reads no
// socket, owns no socket, and calls nobody back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "port/status.h"

namespace iocp {

// What may have changed for one descriptor; several may be set in one event.
constexpr std::uint8_t kPollReadable = 1;
constexpr std::uint8_t kPollWritable = 2;
constexpr std::uint8_t kPollPeerClosed = 4;  // the peer's FIN, or both directions are gone
constexpr std::uint8_t kPollFailed = 8;      // SO_ERROR or `error` may hold one

struct PollEvent {
  void* key = nullptr;  // null: somebody called wake()
  std::uint8_t what = 0;
  int error = 0;  // errno, where the system tells it with the event; 0: ask SO_ERROR
};

class Poller {
 public:
  Status open() noexcept;
  void close() noexcept;

  // Edge-triggered: what there is to read until remove(), room to write at least once. The state at the time of the
  // call is reported too, so nothing that arrived earlier is missed. ANY_THREAD.
  Status add(int fd, void* key) noexcept;
  // Somebody waits for room to write: it is reported once more, at once if it is there already. Does nothing where
  // add() reports every edge of it.
  Status await_writable(int fd, void* key) noexcept;
  // Between the two, room to write need not be reported, for somebody else writes. The second reports it if it is
  // there.
  void ignore_writable(int fd, void* key) noexcept;
  void heed_writable(int fd, void* key) noexcept;
  // Instead of add(): every edge of room to write, and nothing else, until remove().
  Status add_writable(int fd, void* key) noexcept;
  // To be called before `fd` is closed: afterwards no event carries its key, but those that a wait() has in hand.
  // ANY_THREAD.
  void remove(int fd) noexcept;
  // -1 = no limit. 0 events: the time is over, or a signal came.
  std::size_t wait(std::span<PollEvent> out, int timeout_ms) noexcept;
  // Makes the present or the next wait() return an event with a null key. ANY_THREAD.
  void wake() noexcept;
  // Polls readable when wait(…, 0) would return an event.
  int descriptor() const noexcept { return queue_; }

 private:
  int queue_ = -1;
  [[maybe_unused]] int waker_ = -1;  // unused where the queue can be woken without a descriptor of its own
};

}  // namespace iocp
