// What operations do on a socket of a readiness system: tried when submitted, parked when they would block, tried
// again when an event says so. Never sleeps, never calls back.
//
// Two shortcuts rest on edge-triggered events: a read that got less than it asked for has emptied the socket, and
// a write that was taken in part has filled it. Whatever changes afterwards raises a new event, so neither needs a
// second system call to be told EAGAIN.
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "port/posix/errno_status.h"
#include "port/posix/readiness_port.h"

namespace iocp {
namespace {

// Linux moves at most 2 GiB in one call; asking for no more keeps "less than asked" meaningful.
constexpr std::size_t kMostBytesPerCall = std::size_t{1} << 30;

constexpr Submission kPending = {true, Status::ok, 0};

// A connection that ended with a FIN and only then met our writes with RST (EPIPE) has been read to its end in
// good order.
bool failed_for_reader(const Socket& socket) { return socket.is(kFailed) && socket.error != Status::broken_pipe; }

void note_emptied(Socket& socket) {
  // After the FIN there is always something to read: the end.
  if (!socket.is(kPeerClosed | kFailed)) socket.clear(kMaybeReadable | kReadable);
}

bool hung_up(const Socket& socket) { return socket.is(kPeerClosed | kFailed); }

Status hang_up_status(const Socket& socket) { return failed_for_reader(socket) ? socket.error : Status::ok; }

// macOS says EPROTOTYPE for a connection that is just being torn down, and EPIPE to whoever asks again.
bool worth_repeating(int error) { return error == EINTR || error == EPROTOTYPE; }

ssize_t send_slices(int fd, std::span<const ConstBytes> slices, std::size_t* asked) {
  std::array<iovec, Port::kMaxSlices> parts;
  std::size_t count = 0;
  *asked = 0;
  for (const ConstBytes slice : slices) {
    const std::size_t length = std::min(slice.size(), kMostBytesPerCall - *asked);
    // sendmsg() does not write through the pointer; iovec serves readers as well and cannot say so.
    parts[count++] = {const_cast<std::uint8_t*>(slice.data()), length};
    *asked += length;
  }
  if (count == 1) return ::send(fd, parts[0].iov_base, parts[0].iov_len, kSendFlags);
  msghdr message = {};
  message.msg_iov = parts.data();
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
  return ::sendmsg(fd, &message, kSendFlags);
}

MutableBytes target_of(Operation& operation) {
  return {static_cast<std::uint8_t*>(parked(operation).data), parked(operation).size};
}

std::span<const ConstBytes> slices_of(Operation& operation) {
  return {static_cast<const ConstBytes*>(parked(operation).data), parked(operation).size};
}

// SO_ERROR first, which asking empties. Whoever imitates kqueue empties it himself, to tell the error with the event.
Status failure_of(int fd, const PollEvent& event) {
  const Status pending = take_socket_error(fd);
  return pending != Status::ok ? pending : status_from_errno(event.error);
}

}  // namespace

// The first error stays: later calls on the socket would only tell its consequences.
Status remember(Socket& socket, Status error) noexcept {
  if (!socket.is(kFailed)) socket.error = error;
  socket.set(kFailed | kMaybeReadable | kReadable | kWritable);
  return socket.error;
}

// --- events --------------------------------------------------------------------------------------------------------

void Port::State::on_event(const PollEvent& event) noexcept {
  Socket& socket = *static_cast<Socket*>(event.key);
  switch (socket.role) {
    case SocketRole::fresh:
      IOCP_UNREACHABLE("an event for a socket that is not registered");
    case SocketRole::listener:
      socket.set(kMaybeReadable);
      serve_accepts(socket);
      return;
    case SocketRole::connecting:
      if (!finish_connect(socket, event)) return;
      break;
    case SocketRole::stream:
      break;
  }
  if ((event.what & kPollReadable) != 0) socket.set(kMaybeReadable | kReadable);
  if ((event.what & kPollWritable) != 0) {
    socket.set(kWritable);
    socket.clear(kRoomAwaited);
  }
  if ((event.what & kPollPeerClosed) != 0) socket.set(kPeerClosed | kMaybeReadable | kReadable);
  if ((event.what & kPollFailed) != 0) {
    const Status error = failure_of(socket.fd, event);
    if (error != Status::ok) remember(socket, error);
  }
  serve_reads(socket);
  serve_write(socket);
  serve_hang_up(socket);
}

// False while the connection is still being made.
bool Port::State::finish_connect(Socket& socket, const PollEvent& event) noexcept {
  if ((event.what & (kPollWritable | kPollFailed)) == 0) return false;
  const Status status = failure_of(socket.fd, event);
  if (status != Status::ok) remember(socket, status);
  socket.role = SocketRole::stream;
  // Null when it was cancelled meanwhile.
  if (socket.outbound != nullptr) deliver(*std::exchange(socket.outbound, nullptr), status, 0);
  return true;
}

void Port::State::serve_accepts(Socket& listener) noexcept {
  while (Operation* const operation = listener.inbound.front()) {
    const Status status = accept(listener, static_cast<AcceptOperation&>(*operation));
    if (status == Status::would_block) return;
    deliver(*listener.inbound.pop(), status, 0);
  }
}

void Port::State::serve_reads(Socket& socket) noexcept {
  while (Operation* const operation = socket.inbound.front()) {
    std::uint32_t bytes = 0;
    Status status = Status::ok;
    if (operation->kind == OperationKind::zero_byte_read) {
      if (!would_read(socket)) return;
    } else {
      status = receive(socket, target_of(*operation), &bytes);
      if (status == Status::would_block) return;
    }
    deliver(*socket.inbound.pop(), status, bytes);
  }
}

void Port::State::serve_write(Socket& socket) noexcept {
  // The transmitter looks after its own.
  if (socket.outbound == nullptr || socket.outbound->kind == OperationKind::transmit) return;
  std::uint32_t bytes = 0;
  const Status status = send(socket, slices_of(*socket.outbound), &bytes);
  if (status == Status::would_block) return;
  deliver(*std::exchange(socket.outbound, nullptr), status, bytes);
}

void Port::State::serve_hang_up(Socket& socket) noexcept {
  if (socket.hang_up == nullptr || !hung_up(socket)) return;
  deliver(*std::exchange(socket.hang_up, nullptr), hang_up_status(socket), 0);
}

// --- system calls --------------------------------------------------------------------------------------------------

Status Port::State::accept(Socket& listener, AcceptOperation& operation) noexcept {
  if (!listener.is(kMaybeReadable)) return Status::would_block;
  SocketAddress peer;
  const int fd = accept_socket(listener.fd, &peer);
  if (fd >= 0) {
    operation.accepted = static_cast<RawSocket>(fd);
    operation.peer = from_socket_address(peer);
    counters.accepts.add();
    return Status::ok;
  }
  const int error = errno;
  if (error == EMFILE || error == ENFILE) return turn_away(listener, operation, status_from_errno(error));
  // Also for ENOBUFS and ENOMEM: the next accept waits for the next event, so a caller who submits again at once
  // does not spin.
  listener.clear(kMaybeReadable);
  return status_from_errno(error);
}

// No descriptor is left for the connection. It would stay in the backlog and keep the listener busy for ever, so
// the spare descriptor is lent to it for as long as it takes to read its address and reset it.
Status Port::State::turn_away(Socket& listener, AcceptOperation& operation, Status why) noexcept {
  spare.reset();
  SocketAddress peer;
  Descriptor unwanted(accept_socket(listener.fd, &peer));
  const int error = unwanted.valid() ? 0 : errno;
  if (unwanted.valid()) {
    operation.accepted = RawSocket::none;
    operation.peer = from_socket_address(peer);
    make_close_reset(unwanted.get());
    unwanted.reset();
  }
  spare.reset(open_spare_descriptor());
  if (error == 0) return why;
  // Gone by itself, or another thread took the descriptor first; either way nothing is retried before an event.
  listener.clear(kMaybeReadable);
  operation.peer = Address();
  return error == EAGAIN ? Status::would_block : why;
}

Status Port::State::receive(Socket& socket, MutableBytes target, std::uint32_t* bytes) noexcept {
  IOCP_DCHECK(!target.empty());
  *bytes = 0;
  if (!socket.is(kMaybeReadable)) {
    counters.empty_reads.add();
    return Status::would_block;
  }
  const std::size_t asked = std::min(target.size(), kMostBytesPerCall);
  ssize_t got = 0;
  do {
    got = ::recv(socket.fd, target.data(), asked, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) {
    counters.empty_reads.add();
    socket.clear(kMaybeReadable | kReadable);
    return Status::would_block;
  }
  counters.reads.add();
  if (got < 0) return remember(socket, status_from_errno(errno));
  if (got == 0) {
    // An event may have taken the error before the last bytes were read; it still ends the stream.
    if (failed_for_reader(socket)) return socket.error;
    socket.set(kPeerClosed | kMaybeReadable | kReadable);
    return Status::ok;
  }
  *bytes = static_cast<std::uint32_t>(got);
  if (static_cast<std::size_t>(got) < asked) {
    note_emptied(socket);
  } else if (!hung_up(socket)) {
    socket.clear(kReadable);
  }
  return Status::ok;
}

Status Port::State::send(Socket& socket, std::span<const ConstBytes> slices, std::uint32_t* bytes) noexcept {
  *bytes = 0;
  if (!socket.is(kWritable)) return await_room(socket);
  std::size_t asked = 0;
  ssize_t sent = 0;
  do {
    sent = send_slices(socket.fd, slices, &asked);
  } while (sent < 0 && worth_repeating(errno));
  if (sent >= 0) {
    counters.writes.add();
    *bytes = static_cast<std::uint32_t>(sent);
    if (static_cast<std::size_t>(sent) < asked && !socket.is(kFailed)) socket.clear(kWritable);
    return Status::ok;
  }
  const int error = errno;
  if (error == EAGAIN) {
    counters.blocked_writes.add();
    socket.clear(kWritable);
    return await_room(socket);
  }
  // EPIPE is the echo of what ended the connection, or of our own shutdown_write(): not a new error.
  if (error == EPIPE) return socket.is(kFailed) ? socket.error : Status::broken_pipe;
  return remember(socket, status_from_errno(error));
}

Status Port::State::await_room(Socket& socket) noexcept {
  if (socket.is(kRoomIgnored)) {
    socket.clear(kRoomIgnored);
    poller.heed_writable(socket.fd, &socket);
  }
  if (socket.is(kRoomAwaited)) return Status::would_block;
  const Status status = poller.await_writable(socket.fd, &socket);
  if (status != Status::ok) return remember(socket, status);
  socket.set(kRoomAwaited);
  return Status::would_block;
}

// After a read that filled its buffer nobody knows whether more is there; only then is the socket asked.
bool Port::State::would_read(Socket& socket) noexcept {
  if (!socket.is(kMaybeReadable)) return false;
  if (socket.is(kReadable)) return true;
  std::uint8_t byte = 0;
  ssize_t got = 0;
  do {
    got = ::recv(socket.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) {
    socket.clear(kMaybeReadable);
    return false;
  }
  if (got < 0) remember(socket, status_from_errno(errno));
  socket.set(kReadable);
  return true;
}

Submission Port::State::submit_connect(Operation& operation, Socket& socket, const Address& to,
                                       const std::string& path) noexcept {
  SocketAddress address;
  const Status translated = to_socket_address(to, path, &address);
  if (translated != Status::ok) return finish(&operation, translated, 0);
  const int result = ::connect(socket.fd, address.get(), address.length);
  // An interrupted connect goes on in the background like any other.
  if (result != 0 && errno != EINPROGRESS && errno != EINTR) return finish(&operation, status_from_errno(errno), 0);
  // Registered only now: an unconnected socket would report that it is hung up.
  const Status added = poller.add(socket.fd, &socket);
  if (added != Status::ok) return finish(&operation, added, 0);
  if (result == 0) {
    socket.role = SocketRole::stream;
    return finish(&operation, Status::ok, 0);
  }
  socket.role = SocketRole::connecting;
  socket.outbound = &operation;
  return kPending;
}

// --- the submissions of port.h ---------------------------------------------------------------------------------------

Submission Port::submit_accept(AcceptOperation* operation, Socket* listener) noexcept {
  IOCP_CHECK(listener->role == SocketRole::listener);
  begin(operation, OperationKind::accept);
  if (listener->inbound.empty()) {
    const Status status = state_->accept(*listener, *operation);
    if (status != Status::would_block) return finish(operation, status, 0);
  }
  listener->inbound.push(*operation);
  return kPending;
}

Submission Port::submit_connect(Operation* operation, Socket* socket, const Address& to,
                                const std::string& path) noexcept {
  IOCP_CHECK(socket->role == SocketRole::fresh);
  begin(operation, OperationKind::connect);
  state_->counters.connects.add();
  return state_->submit_connect(*operation, *socket, to, path);
}

Submission Port::submit_zero_byte_read(Operation* operation, Socket* socket) noexcept {
  begin(operation, OperationKind::zero_byte_read);
  state_->counters.zero_byte_reads.add();
  if (socket->inbound.empty() && state_->would_read(*socket)) return finish(operation, Status::ok, 0);
  socket->inbound.push(*operation);
  return kPending;
}

Submission Port::submit_read(Operation* operation, Socket* socket, MutableBytes target) noexcept {
  begin(operation, OperationKind::read);
  if (socket->inbound.empty() && socket->is(kMaybeReadable)) {
    std::uint32_t bytes = 0;
    const Status status = state_->receive(*socket, target, &bytes);
    if (status != Status::would_block) return finish(operation, status, bytes);
  }
  parked(*operation).data = target.data();
  parked(*operation).size = target.size();
  socket->inbound.push(*operation);
  return kPending;
}

Submission Port::submit_write(Operation* operation, Socket* socket, std::span<const ConstBytes> slices) noexcept {
  IOCP_CHECK(socket->outbound == nullptr && slices.size() <= kMaxSlices);
  begin(operation, OperationKind::write);
  std::uint32_t bytes = 0;
  const Status status = state_->send(*socket, slices, &bytes);
  if (status != Status::would_block) return finish(operation, status, bytes);
  // Parked slices are only ever read; Parked serves reads as well and cannot say so.
  parked(*operation).data = const_cast<ConstBytes*>(slices.data());
  parked(*operation).size = slices.size();
  socket->outbound = operation;
  return kPending;
}

Submission Port::submit_hang_up(Operation* operation, Socket* socket) noexcept {
  IOCP_CHECK(socket->hang_up == nullptr);
  begin(operation, OperationKind::hang_up);
  if (hung_up(*socket)) return finish(operation, hang_up_status(*socket), 0);
  socket->hang_up = operation;
  return kPending;
}

Status Port::read_now(Socket* socket, MutableBytes target, std::uint32_t* bytes) noexcept {
  return state_->receive(*socket, target, bytes);
}

Status Port::write_now(Socket* socket, std::span<const ConstBytes> slices, std::uint32_t* bytes) noexcept {
  IOCP_CHECK(socket->outbound == nullptr && slices.size() <= kMaxSlices);
  return state_->send(*socket, slices, bytes);
}

}  // namespace iocp
