// What the imitation of kevent() must get right for the kqueue backend's tests to mean anything: the promises of the
// manual page kqueue(2), one case each. The last case is about a kevent() that keeps them less well.
#include <netinet/in.h>
#include <poll.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "port/port.h"
#include "support/test.h"

namespace {

constexpr timespec kAtOnce = {0, 0};

// A kqueue and a connected pair of TCP sockets.
class Fixture {
 public:
  Fixture() : queue(::kqueue()) {
    REQUIRE(queue >= 0);
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* const name = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener, name, length) == 0 && ::listen(listener, 1) == 0);
    REQUIRE(::getsockname(listener, name, &length) == 0);
    peer = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::connect(peer, name, length) == 0);
    ours = ::accept(listener, nullptr, nullptr);
    REQUIRE(ours >= 0 && ::close(listener) == 0);
  }
  ~Fixture() {
    for (const int fd : {ours, peer, queue}) {
      if (fd >= 0) CHECK_EQ(::close(fd), 0);
    }
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  // One change; the errno that its receipt tells.
  int change(int ident, int filter, int flags, unsigned fflags = 0) {
    struct kevent one = {static_cast<std::uintptr_t>(ident),
                         static_cast<short>(filter),
                         static_cast<unsigned short>(flags | EV_RECEIPT),
                         fflags,
                         0,
                         this};
    REQUIRE(::kevent(queue, &one, 1, &one, 1, nullptr) == 1);
    CHECK((one.flags & EV_ERROR) != 0);
    return static_cast<int>(one.data);
  }
  // The next event within `timeout`; false when there is none.
  bool next(struct kevent* event, timespec timeout = kAtOnce) {
    const int count = ::kevent(queue, nullptr, 0, event, 1, &timeout);
    REQUIRE(count >= 0);
    return count == 1;
  }
  // As next(), for what must come but may take a moment.
  bool awaited(struct kevent* event) { return next(event, {5, 0}); }
  void peer_sends(const char* text) { REQUIRE(::send(peer, text, std::strlen(text), 0) > 0); }

  int queue = -1;
  int ours = -1;
  int peer = -1;
};

}  // namespace

TEST("with EV_CLEAR each arrival is one event, read or not") {
  Fixture it;
  struct kevent event = {};
  REQUIRE(it.change(it.ours, EVFILT_READ, EV_ADD | EV_CLEAR) == 0);
  CHECK(!it.next(&event));
  for (const std::int64_t bytes : {5, 10}) {
    it.peer_sends("hello");
    REQUIRE(it.awaited(&event));
    CHECK_EQ(event.data, bytes);
    CHECK(event.udata == &it);
    CHECK(!it.next(&event));
  }
}

TEST("without EV_CLEAR an event stands for as long as it is true") {
  Fixture it;
  struct kevent event = {};
  REQUIRE(it.change(it.ours, EVFILT_READ, EV_ADD) == 0);
  it.peer_sends("hello");
  CHECK(it.awaited(&event) && it.next(&event));
}

TEST("the end comes as EV_EOF, with the bytes that are still unread") {
  Fixture it;
  struct kevent event = {};
  it.peer_sends("bye");
  REQUIRE(::shutdown(it.peer, SHUT_WR) == 0);
  pollfd ended = {it.ours, POLLRDHUP, 0};
  REQUIRE(::poll(&ended, 1, 5000) == 1);
  REQUIRE(it.change(it.ours, EVFILT_READ, EV_ADD | EV_CLEAR) == 0);
  REQUIRE(it.next(&event));
  CHECK((event.flags & EV_EOF) != 0);
  CHECK_EQ(event.data, 3);
  CHECK_EQ(event.fflags, 0U);
}

TEST("a reset is EV_EOF with an error in fflags, in both directions, and stays pending in the socket") {
  Fixture it;
  struct kevent event = {};
  const linger now = {1, 0};
  REQUIRE(::setsockopt(it.peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
  REQUIRE(::close(it.peer) == 0);
  it.peer = -1;
  pollfd ended = {it.ours, 0, 0};
  REQUIRE(::poll(&ended, 1, 5000) == 1);
  for (const short filter : {EVFILT_READ, EVFILT_WRITE}) {
    REQUIRE(it.change(it.ours, filter, EV_ADD | EV_ONESHOT) == 0);
    REQUIRE(it.next(&event));
    CHECK_EQ(event.filter, filter);
    CHECK((event.flags & EV_EOF) != 0);
    CHECK(event.fflags != 0);
  }
  int error = 0;
  socklen_t length = sizeof(error);
  REQUIRE(::getsockopt(it.ours, SOL_SOCKET, SO_ERROR, &error, &length) == 0);
  CHECK_EQ(error, ECONNRESET);
}

TEST("one's own shutdown ends the outbound direction only") {
  Fixture it;
  struct kevent event = {};
  REQUIRE(::shutdown(it.ours, SHUT_WR) == 0);
  REQUIRE(it.change(it.ours, EVFILT_READ, EV_ADD | EV_CLEAR) == 0);
  REQUIRE(it.change(it.ours, EVFILT_WRITE, EV_ADD | EV_ONESHOT) == 0);
  REQUIRE(it.next(&event));
  CHECK_EQ(event.filter, EVFILT_WRITE);
  CHECK((event.flags & EV_EOF) != 0);
  CHECK_EQ(event.fflags, 0U);
  CHECK(!it.next(&event));
}

TEST("a EV_ONESHOT knote is gone once it fired, and the other filter's stays as it was") {
  Fixture it;
  struct kevent event = {};
  REQUIRE(it.change(it.ours, EVFILT_READ, EV_ADD | EV_CLEAR) == 0);
  it.peer_sends("x");
  REQUIRE(it.awaited(&event));
  REQUIRE(it.change(it.ours, EVFILT_WRITE, EV_ADD | EV_ONESHOT) == 0);
  REQUIRE(it.next(&event));
  CHECK_EQ(event.filter, EVFILT_WRITE);
  CHECK(event.data > 0);
  CHECK(!it.next(&event));
  CHECK_EQ(it.change(it.ours, EVFILT_WRITE, EV_DELETE), ENOENT);
  CHECK_EQ(it.change(it.ours, EVFILT_READ, EV_DELETE), 0);
}

TEST("a knote vanishes with its descriptor, and the next one of that number starts afresh") {
  Fixture it;
  struct kevent event = {};
  REQUIRE(it.change(it.ours, EVFILT_READ, EV_ADD | EV_CLEAR) == 0);
  const int number = it.ours;
  REQUIRE(::close(it.ours) == 0);
  REQUIRE(::dup2(it.peer, number) == number);
  CHECK(!it.next(&event));
  REQUIRE(it.change(number, EVFILT_WRITE, EV_ADD | EV_ONESHOT) == 0);
  CHECK(it.next(&event));
}

TEST("EVFILT_USER is told once for each trigger, makes the queue poll readable, and wants to be added first") {
  Fixture it;
  struct kevent event = {};
  CHECK_EQ(it.change(7, EVFILT_USER, 0, NOTE_TRIGGER), ENOENT);
  REQUIRE(it.change(7, EVFILT_USER, EV_ADD | EV_CLEAR) == 0);
  pollfd readable = {it.queue, POLLIN, 0};
  CHECK_EQ(::poll(&readable, 1, 0), 0);
  REQUIRE(it.change(7, EVFILT_USER, 0, NOTE_TRIGGER) == 0);
  REQUIRE(it.change(7, EVFILT_USER, 0, NOTE_TRIGGER) == 0);
  CHECK_EQ(::poll(&readable, 1, 0), 1);
  REQUIRE(it.next(&event));
  CHECK_EQ(event.filter, EVFILT_USER);
  CHECK(!it.next(&event));
  CHECK_EQ(::poll(&readable, 1, 0), 0);
}

TEST("a change that fails says so in its place of the list, and the others are made") {
  Fixture it;
  std::array<struct kevent, 2> both = {};
  both[0] = {100'000, EVFILT_READ, EV_ADD, 0, 0, nullptr};
  both[1] = {static_cast<std::uintptr_t>(it.ours),
             EVFILT_WRITE,
             static_cast<unsigned short>(EV_ADD | EV_RECEIPT),
             0,
             0,
             nullptr};
  REQUIRE(::kevent(it.queue, both.data(), 2, both.data(), 2, nullptr) == 2);
  CHECK_EQ(both[0].data, EBADF);
  CHECK_EQ(both[1].data, 0);
  both[0] = {100'000, EVFILT_READ, EV_ADD, 0, 0, nullptr};
  CHECK_EQ(::kevent(it.queue, both.data(), 1, nullptr, 0, nullptr), -1);
  CHECK_EQ(errno, EBADF);
}

TEST("where the event takes the error out of the socket, operations still end with it") {
  kevent_shim_takes_errors = true;
  Fixture it;
  iocp::Port port;
  REQUIRE(port.open() == iocp::Status::ok);
  iocp::Socket* socket = nullptr;
  const auto raw = static_cast<iocp::RawSocket>(std::exchange(it.ours, -1));
  REQUIRE(port.attach(raw, {}, &socket) == iocp::Status::ok);
  iocp::Operation hanging_up;
  REQUIRE(port.submit_hang_up(&hanging_up, socket).pending);
  const linger now = {1, 0};
  REQUIRE(::setsockopt(it.peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
  REQUIRE(::close(std::exchange(it.peer, -1)) == 0);
  std::array<iocp::Completion, 1> told;
  REQUIRE(port.wait(told, 5000) == 1);
  CHECK_EQ(told[0].status, iocp::Status::connection_reset);
  port.close_socket(socket, iocp::CloseMode::reset);
  port.close();
  kevent_shim_takes_errors = false;
}
