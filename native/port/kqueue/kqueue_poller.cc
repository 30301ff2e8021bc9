// The poller of macOS and FreeBSD: a kqueue, with an EVFILT_USER event as its waker.
//
// Reads are watched for good, with EV_CLEAR: every arrival is an event. Room for writes is watched only while somebody
// waits for it, for with EV_CLEAR each acknowledgement of the peer would be an event that nobody asked for.
#include <fcntl.h>
#include <sys/types.h>
// sys/event.h relies on the types of the one above.
#include <sys/event.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "port/check.h"
#include "port/port.h"
#include "port/posix/descriptor.h"
#include "port/posix/errno_status.h"
#include "port/posix/poller.h"

namespace iocp {
namespace {

// Of EVFILT_USER only, so it cannot meet a descriptor's.
constexpr int kWakerIdent = 0;

struct kevent change(int fd, int filter, int flags, void* key) {
  struct kevent result = {};
  result.ident = static_cast<std::uintptr_t>(fd);
  result.filter = static_cast<decltype(result.filter)>(filter);
  // With a receipt the call fetches no events, and each change says for itself how it went.
  result.flags = static_cast<decltype(result.flags)>(flags | EV_RECEIPT);
  result.udata = key;
  return result;
}

// Makes the changes, all of them even when one fails, and leaves each one's errno in its `data`.
template <std::size_t kCount>
void apply(int queue, std::array<struct kevent, kCount>* changes) {
  constexpr int kChanges = static_cast<int>(kCount);
  const int receipts = ::kevent(queue, changes->data(), kChanges, changes->data(), kChanges, nullptr);
  IOCP_CHECK(receipts == kChanges);
}

Status status_of(const struct kevent& receipt) { return status_from_errno(static_cast<int>(receipt.data)); }

// With EV_EOF, fflags is the error of the socket, where it stays pending too.
int error_of(const struct kevent& event) { return (event.flags & EV_EOF) != 0 ? static_cast<int>(event.fflags) : 0; }

std::uint8_t translate(const struct kevent& event) {
  const bool ended = (event.flags & EV_EOF) != 0;
  if (error_of(event) != 0) return kPollFailed | kPollPeerClosed | kPollReadable | kPollWritable;
  // The end of the outbound direction may be our own doing: only a write can tell.
  if (event.filter == EVFILT_WRITE) return kPollWritable;
  return ended ? kPollReadable | kPollPeerClosed : kPollReadable;
}

}  // namespace

const bool Port::kSharedByWorkers = false;

const char* Port::name() noexcept { return "kqueue"; }

Status Poller::open() noexcept {
  // A forked child gets no copy of a kqueue; a program that replaces this one would.
  Descriptor queue(::kqueue());
  if (!queue.valid() || ::fcntl(queue.get(), F_SETFD, FD_CLOEXEC) != 0) return status_from_errno(errno);
  std::array<struct kevent, 1> waker = {change(kWakerIdent, EVFILT_USER, EV_ADD | EV_CLEAR, nullptr)};
  apply(queue.get(), &waker);
  const Status status = status_of(waker[0]);
  if (status == Status::ok) queue_ = queue.release();
  return status;
}

void Poller::close() noexcept {
  close_descriptor(queue_);
  queue_ = -1;
}

Status Poller::add(int fd, void* key) noexcept {
  std::array<struct kevent, 2> changes = {change(fd, EVFILT_READ, EV_ADD | EV_CLEAR, key),
                                          change(fd, EVFILT_WRITE, EV_ADD | EV_ONESHOT, key)};
  apply(queue_, &changes);
  const Status read = status_of(changes[0]);
  const Status write = status_of(changes[1]);
  if (read != Status::ok || write != Status::ok) remove(fd);
  return read != Status::ok ? read : write;
}

Status Poller::await_writable(int fd, void* key) noexcept {
  std::array<struct kevent, 1> changes = {change(fd, EVFILT_WRITE, EV_ADD | EV_ONESHOT, key)};
  apply(queue_, &changes);
  return status_of(changes[0]);
}

// Room is watched on demand as it is.
void Poller::ignore_writable(int, void*) noexcept {}

void Poller::heed_writable(int, void*) noexcept {}

Status Poller::add_writable(int fd, void* key) noexcept {
  std::array<struct kevent, 1> changes = {change(fd, EVFILT_WRITE, EV_ADD | EV_CLEAR, key)};
  apply(queue_, &changes);
  return status_of(changes[0]);
}

void Poller::remove(int fd) noexcept {
  // BSD forgets the events of a descriptor that is closed; what imitates it elsewhere does not always.
  std::array<struct kevent, 2> changes = {change(fd, EVFILT_READ, EV_DELETE, nullptr),
                                          change(fd, EVFILT_WRITE, EV_DELETE, nullptr)};
  apply(queue_, &changes);
  // A write event that fired has deleted itself.
  for (const struct kevent& each : changes) IOCP_CHECK(each.data == 0 || each.data == ENOENT);
}

std::size_t Poller::wait(std::span<PollEvent> out, int timeout_ms) noexcept {
  constexpr std::size_t kBatch = 256;
  std::array<struct kevent, kBatch> events;
  const int wanted = static_cast<int>(std::min(out.size(), kBatch));
  timespec timeout = {};
  timeout.tv_sec = timeout_ms / 1000;
  timeout.tv_nsec = timeout_ms % 1000 * 1'000'000L;
  const int found = ::kevent(queue_, nullptr, 0, events.data(), wanted, timeout_ms < 0 ? nullptr : &timeout);
  if (found < 0) {
    IOCP_CHECK(errno == EINTR);
    return 0;
  }
  std::size_t count = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(found); ++i) {
    const struct kevent& event = events[i];
    const std::uint8_t what = event.filter == EVFILT_USER ? std::uint8_t{0} : translate(event);
    const int error = error_of(event);
    // Both directions of a socket that has ended come one after the other, as two events.
    if (count > 0 && event.udata != nullptr && out[count - 1].key == event.udata) {
      out[count - 1].what |= what;
      if (error != 0) out[count - 1].error = error;
    } else {
      out[count++] = {event.udata, what, error};
    }
  }
  return count;
}

void Poller::wake() noexcept {
  std::array<struct kevent, 1> trigger = {change(kWakerIdent, EVFILT_USER, 0, nullptr)};
  trigger[0].fflags = NOTE_TRIGGER;
  apply(queue_, &trigger);
  IOCP_CHECK(trigger[0].data == 0);
}

}  // namespace iocp
