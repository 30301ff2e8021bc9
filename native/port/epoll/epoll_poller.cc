// The poller of Linux: epoll, edge-triggered, with an eventfd as its waker.
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "port/check.h"
#include "port/port.h"
#include "port/posix/descriptor.h"
#include "port/posix/errno_status.h"
#include "port/posix/poller.h"

namespace iocp {
namespace {

std::uint8_t translate(std::uint32_t events) {
  std::uint8_t what = 0;
  if ((events & EPOLLIN) != 0) what |= kPollReadable;
  if ((events & EPOLLOUT) != 0) what |= kPollWritable;
  if ((events & EPOLLRDHUP) != 0) what |= kPollPeerClosed;
  if ((events & EPOLLHUP) != 0) what |= kPollPeerClosed | kPollReadable | kPollWritable;
  if ((events & EPOLLERR) != 0) what |= kPollFailed | kPollReadable | kPollWritable;
  return what;
}

constexpr std::uint32_t kAllButRoom = EPOLLIN | EPOLLRDHUP | EPOLLET;

Status watch(int queue, int fd, std::uint32_t events, void* key) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = key;
  if (epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event) == 0) return Status::ok;
  // max_user_watches is a limit on kernel memory.
  return errno == ENOSPC ? Status::out_of_memory : status_from_errno(errno);
}

void change(int queue, int fd, std::uint32_t events, void* key) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = key;
  IOCP_CHECK(epoll_ctl(queue, EPOLL_CTL_MOD, fd, &event) == 0);
}

}  // namespace

const bool Port::kSharedByWorkers = false;

const char* Port::name() noexcept { return "epoll"; }

Status Poller::open() noexcept {
  Descriptor queue(epoll_create1(EPOLL_CLOEXEC));
  if (!queue.valid()) return status_from_errno(errno);
  Descriptor waker(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!waker.valid()) return status_from_errno(errno);
  // Edge-triggered, so every write is reported once and nobody ever needs to read the counter back to zero.
  const Status status = watch(queue.get(), waker.get(), EPOLLIN | EPOLLET, nullptr);
  if (status != Status::ok) return status;
  queue_ = queue.release();
  waker_ = waker.release();
  return Status::ok;
}

void Poller::close() noexcept {
  close_descriptor(waker_);
  close_descriptor(queue_);
  waker_ = -1;
  queue_ = -1;
}

Status Poller::add(int fd, void* key) noexcept { return watch(queue_, fd, kAllButRoom | EPOLLOUT, key); }

// Room is reported only after a write has met a full buffer, so add() could ask for it once and for all.
Status Poller::await_writable(int, void*) noexcept { return Status::ok; }

void Poller::ignore_writable(int fd, void* key) noexcept { change(queue_, fd, kAllButRoom, key); }

void Poller::heed_writable(int fd, void* key) noexcept { change(queue_, fd, kAllButRoom | EPOLLOUT, key); }

Status Poller::add_writable(int fd, void* key) noexcept { return watch(queue_, fd, EPOLLOUT | EPOLLET, key); }

void Poller::remove(int fd) noexcept {
  // close() alone ends a registration only when no other descriptor refers to the same socket. Between the fork
  // and the exec of a child process (Node.js starts them at any time) the child holds copies, and an event for a
  // socket that is long gone would arrive with a dangling key.
  epoll_event ignored = {};
  IOCP_CHECK(epoll_ctl(queue_, EPOLL_CTL_DEL, fd, &ignored) == 0);
}

std::size_t Poller::wait(std::span<PollEvent> out, int timeout_ms) noexcept {
  constexpr std::size_t kBatch = 256;
  std::array<epoll_event, kBatch> events;
  const int wanted = static_cast<int>(std::min(out.size(), kBatch));
  const int found = epoll_wait(queue_, events.data(), wanted, timeout_ms);
  if (found < 0) {
    IOCP_CHECK(errno == EINTR);
    return 0;
  }
  const auto count = static_cast<std::size_t>(found);
  for (std::size_t i = 0; i < count; ++i) out[i] = {events[i].data.ptr, translate(events[i].events), 0};
  return count;
}

void Poller::wake() noexcept {
  // EAGAIN would mean 2^64 - 2 wakes; then the counter is non-zero and has been reported.
  const int result = eventfd_write(waker_, 1);
  IOCP_CHECK(result == 0 || errno == EAGAIN);
}

}  // namespace iocp
