// kqueue() and kevent() on Linux, so that the kqueue backend's own code runs in the tests there. Facts about the real
// ones are the manual pages'; it is for tests only and nobody may ship it.
//
// One epoll instance per filter, so that READ and WRITE of a descriptor are separate knotes as on BSD, and a third one
// around both: its descriptor is the kqueue, and polls readable when there are events. What differs from BSD:
//   - fflags of an ended socket tells that there is an error, but not which: Linux gives the number only to whoever
//     takes it out of the socket, which is done when kevent_shim_takes_errors asks for it.
//   - the inner instances of a closed kqueue are freed when its number is used again.
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>

namespace {

using Clock = std::chrono::steady_clock;

struct Knote {
  unsigned short flags = 0;
  void* udata = nullptr;
  bool triggered = false;  // EVFILT_USER only
};

// Readable for ever: a queue that watches it has an event.
int always_readable() {
  static const int fd = ::eventfd(1, EFD_CLOEXEC);
  return fd;
}

class Queue {
 public:
  // `outer` belongs to the caller, who closes it whenever he likes.
  static std::shared_ptr<Queue> make(int outer);
  ~Queue();

  int apply(const struct kevent& change);
  int wait(std::span<struct kevent> out, const timespec* timeout);

 private:
  using Key = std::pair<std::uintptr_t, short>;

  int add(const struct kevent& change);
  int watch(const struct kevent& change);
  int remove(const struct kevent& change);
  void show_triggered();
  std::size_t collect(std::span<struct kevent> out);
  std::size_t collect_user(std::span<struct kevent> out);
  std::size_t collect_sockets(short filter, std::span<struct kevent> out);
  int inner_of(short filter) const { return filter == EVFILT_READ ? readers_ : writers_; }

  int outer_ = -1;
  int readers_ = -1;
  int writers_ = -1;
  std::mutex lock_;
  std::map<Key, Knote> knotes_;
  bool writers_first_ = false;
};

bool watch_for(int queue, int fd, std::uint32_t events, int operation = EPOLL_CTL_ADD) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  return ::epoll_ctl(queue, operation, fd, &event) == 0;
}

std::shared_ptr<Queue> Queue::make(int outer) {
  const auto queue = std::make_shared<Queue>();
  queue->outer_ = outer;
  queue->readers_ = ::epoll_create1(EPOLL_CLOEXEC);
  queue->writers_ = ::epoll_create1(EPOLL_CLOEXEC);
  const bool complete = queue->readers_ >= 0 && queue->writers_ >= 0 && watch_for(outer, queue->readers_, EPOLLIN) &&
                        watch_for(outer, queue->writers_, EPOLLIN) && watch_for(outer, always_readable(), 0);
  return complete ? queue : nullptr;
}

Queue::~Queue() {
  if (readers_ >= 0) ::close(readers_);
  if (writers_ >= 0) ::close(writers_);
}

// --- changes -------------------------------------------------------------------------------------------------------

// 0 or the errno that kevent() tells for this change.
int Queue::apply(const struct kevent& change) {
  constexpr int kKnown = EV_ADD | EV_DELETE | EV_ONESHOT | EV_CLEAR | EV_RECEIPT;
  if ((change.flags & ~kKnown) != 0) return EINVAL;
  const std::lock_guard<std::mutex> guard(lock_);
  if ((change.flags & EV_DELETE) != 0) return remove(change);
  if ((change.flags & EV_ADD) != 0) return add(change);
  const auto found = knotes_.find({change.ident, change.filter});
  if (found == knotes_.end()) return ENOENT;
  if (change.filter == EVFILT_USER && (change.fflags & NOTE_TRIGGER) != 0) {
    found->second.triggered = true;
    show_triggered();
  }
  return 0;
}

int Queue::add(const struct kevent& change) {
  switch (change.filter) {
    case EVFILT_USER:
      knotes_[{change.ident, change.filter}] = {change.flags, change.udata, false};
      return 0;
    case EVFILT_READ:
    case EVFILT_WRITE:
      return watch(change);
    default:
      return EINVAL;
  }
}

int Queue::watch(const struct kevent& change) {
  const int inner = inner_of(change.filter);
  const int fd = static_cast<int>(change.ident);
  std::uint32_t events = change.filter == EVFILT_READ ? EPOLLIN | EPOLLRDHUP : EPOLLOUT;
  if ((change.flags & EV_CLEAR) != 0) events |= EPOLLET;
  // Adding what is there already looks at the state anew, as on BSD. A knote that vanished with its descriptor is not
  // there any more for epoll either.
  const bool known = knotes_.count({change.ident, change.filter}) != 0;
  const bool done = (known && watch_for(inner, fd, events, EPOLL_CTL_MOD)) || watch_for(inner, fd, events);
  if (!done) return errno;
  knotes_[{change.ident, change.filter}] = {change.flags, change.udata, false};
  return 0;
}

int Queue::remove(const struct kevent& change) {
  if (knotes_.erase({change.ident, change.filter}) == 0) return ENOENT;
  if (change.filter == EVFILT_USER) {
    show_triggered();
    return 0;
  }
  // The descriptor may have been closed, which took the knote along.
  return watch_for(inner_of(change.filter), static_cast<int>(change.ident), 0, EPOLL_CTL_DEL) ? 0 : ENOENT;
}

void Queue::show_triggered() {
  const bool any = std::any_of(knotes_.begin(), knotes_.end(), [](const auto& each) { return each.second.triggered; });
  watch_for(outer_, always_readable(), any ? std::uint32_t{EPOLLIN} : 0, EPOLL_CTL_MOD);
}

// --- events --------------------------------------------------------------------------------------------------------

int socket_number(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  return ::getsockopt(fd, level, name, &value, &length) == 0 ? value : 0;
}

// Whether this side has sent its FIN, or the connection is gone altogether.
bool cannot_send_more(int fd) {
  tcp_info info = {};
  socklen_t length = sizeof(info);
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return false;
  switch (info.tcpi_state) {
    case TCP_FIN_WAIT1:
    case TCP_FIN_WAIT2:
    case TCP_CLOSING:
    case TCP_LAST_ACK:
    case TCP_TIME_WAIT:
    case TCP_CLOSE:
      return true;
    default:
      return false;
  }
}

// Connections that wait in a listener's backlog; Linux tells it in this member.
std::int64_t backlog_of(int fd) {
  tcp_info info = {};
  socklen_t length = sizeof(info);
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_unacked : 1;
}

std::int64_t readable_bytes(int fd) {
  if (socket_number(fd, SOL_SOCKET, SO_ACCEPTCONN) != 0) return backlog_of(fd);
  int bytes = 0;
  return ::ioctl(fd, FIONREAD, &bytes) == 0 ? bytes : 0;
}

std::int64_t room_for_writes(int fd) {
  int queued = 0;
  if (::ioctl(fd, SIOCOUTQ, &queued) != 0) return 0;
  return std::max(0, socket_number(fd, SOL_SOCKET, SO_SNDBUF) - queued);
}

void describe(int fd, std::uint32_t happened, struct kevent* event) {
  const bool gone = (happened & EPOLLHUP) != 0;
  if (event->filter == EVFILT_READ) {
    event->data = readable_bytes(fd);
    if (gone || (happened & EPOLLRDHUP) != 0) event->flags |= EV_EOF;
  } else {
    event->data = room_for_writes(fd);
    if (gone || cannot_send_more(fd)) event->flags |= EV_EOF;
  }
  if ((event->flags & EV_EOF) == 0 || (happened & EPOLLERR) == 0) return;
  const int error = kevent_shim_takes_errors ? socket_number(fd, SOL_SOCKET, SO_ERROR) : ECONNRESET;
  event->fflags = static_cast<unsigned>(error);
}

std::size_t Queue::collect_sockets(short filter, std::span<struct kevent> out) {
  if (out.empty()) return 0;
  std::array<epoll_event, 64> found;
  const int inner = inner_of(filter);
  const int count = ::epoll_wait(inner, found.data(), static_cast<int>(std::min(out.size(), found.size())), 0);
  std::size_t told = 0;
  for (int i = 0; i < count; ++i) {
    const int fd = found[static_cast<std::size_t>(i)].data.fd;
    const auto knote = knotes_.find({static_cast<std::uintptr_t>(fd), filter});
    if (knote == knotes_.end()) continue;
    struct kevent& event = out[told++];
    event = {static_cast<std::uintptr_t>(fd), filter, knote->second.flags, 0, 0, knote->second.udata};
    describe(fd, found[static_cast<std::size_t>(i)].events, &event);
    if ((knote->second.flags & EV_ONESHOT) == 0) continue;
    watch_for(inner, fd, 0, EPOLL_CTL_DEL);
    knotes_.erase(knote);
  }
  return told;
}

std::size_t Queue::collect_user(std::span<struct kevent> out) {
  std::size_t told = 0;
  for (auto& [key, knote] : knotes_) {
    if (!knote.triggered || told == out.size()) continue;
    out[told++] = {key.first, key.second, knote.flags, NOTE_TRIGGER, 0, knote.udata};
    if ((knote.flags & EV_CLEAR) != 0) knote.triggered = false;
  }
  show_triggered();
  return told;
}

std::size_t Queue::collect(std::span<struct kevent> out) {
  const std::lock_guard<std::mutex> guard(lock_);
  std::size_t told = collect_user(out);
  // In turn, so that neither starves the other when there is little room.
  writers_first_ = !writers_first_;
  told += collect_sockets(writers_first_ ? EVFILT_WRITE : EVFILT_READ, out.subspan(told));
  told += collect_sockets(writers_first_ ? EVFILT_READ : EVFILT_WRITE, out.subspan(told));
  return told;
}

int Queue::wait(std::span<struct kevent> out, const timespec* timeout) {
  const auto limit = timeout == nullptr
                         ? Clock::duration::zero()
                         : std::chrono::seconds(timeout->tv_sec) + std::chrono::nanoseconds(timeout->tv_nsec);
  const Clock::time_point end = Clock::now() + limit;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    const int left_ms = timeout == nullptr ? -1 : static_cast<int>(std::max<decltype(left)>(left, 0));
    epoll_event any = {};
    const int found = ::epoll_wait(outer_, &any, 1, left_ms);
    if (found < 0) return -1;
    const std::size_t told = found > 0 ? collect(out) : 0;
    if (told > 0 || left_ms == 0) return static_cast<int>(told);
  }
}

// --- the queues of this process
// ----------------------------------------------------------------------------------------

std::mutex registry_lock;
std::map<int, std::shared_ptr<Queue>>& registry() {
  static std::map<int, std::shared_ptr<Queue>> queues;
  return queues;
}

std::shared_ptr<Queue> find(int fd) {
  const std::lock_guard<std::mutex> guard(registry_lock);
  const auto found = registry().find(fd);
  return found == registry().end() ? nullptr : found->second;
}

}  // namespace

bool kevent_shim_takes_errors = false;

int kqueue() {
  // Inherited by a program that replaces this one, as on BSD.
  const int fd = ::epoll_create1(0);
  if (fd < 0) return -1;
  const std::lock_guard<std::mutex> guard(registry_lock);
  registry().erase(fd);
  std::shared_ptr<Queue> queue = Queue::make(fd);
  if (queue == nullptr) {
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
  }
  registry()[fd] = std::move(queue);
  return fd;
}

int kevent(int fd, const struct kevent* changes, int change_count, struct kevent* events, int event_count,
           const timespec* timeout) {
  const std::shared_ptr<Queue> queue = find(fd);
  if (queue == nullptr) {
    errno = EBADF;
    return -1;
  }
  int receipts = 0;
  for (int i = 0; i < change_count; ++i) {
    struct kevent receipt = changes[i];  // both lists may be the same memory
    const int error = queue->apply(receipt);
    if (error == 0 && (receipt.flags & EV_RECEIPT) == 0) continue;
    if (receipts == event_count) {
      errno = error;
      if (error != 0) return -1;
      break;
    }
    receipt.flags |= EV_ERROR;
    receipt.data = error;
    events[receipts++] = receipt;
  }
  if (receipts > 0 || event_count == 0) return receipts;
  return queue->wait({events, static_cast<std::size_t>(event_count)}, timeout);
}
