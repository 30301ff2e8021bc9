// A completion port on top of a readiness poller: the port itself, its queue, and the life of its sockets.
// What operations do on a socket is in readiness_operations.cc.
#include "port/posix/readiness_port.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "port/posix/errno_status.h"

namespace iocp {
namespace {

constexpr std::size_t kEventBatch = 256;

int descriptor_of(RawSocket raw) { return static_cast<int>(static_cast<std::uintptr_t>(raw)); }

// Milliseconds left, rounded up so that a wait never ends early; -1 = for ever.
class Deadline {
 public:
  explicit Deadline(std::int32_t timeout_ms) : timeout_ms_(timeout_ms) {
    if (timeout_ms > 0) at_ = Clock::now() + std::chrono::milliseconds(timeout_ms);
  }

  int left_ms() const {
    if (timeout_ms_ <= 0) return timeout_ms_;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now()).count();
    return static_cast<int>(std::max<decltype(left)>(left, 0));
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::int32_t timeout_ms_;
  Clock::time_point at_;
};

}  // namespace

const bool Port::kPendingReadsSaveCalls = false;
const std::uint32_t Port::kBestTransmitBytes = 64 * 1024 * 1024;

void OperationQueue::push(Operation& operation) noexcept {
  if (last_ == nullptr) last_ = &operation;  // the ring of one, closed below
  parked(operation).next = parked(*last_).next;
  parked(*last_).next = &operation;
  last_ = &operation;
}

Operation* OperationQueue::pop() noexcept {
  Operation* const first = front();
  if (first != nullptr) take_behind(*last_);
  return first;
}

bool OperationQueue::remove(const Operation& operation) noexcept {
  if (last_ == nullptr) return false;
  Operation* before = last_;
  while (parked(*before).next != &operation) {
    before = parked(*before).next;
    if (before == last_) return false;
  }
  take_behind(*before);
  return true;
}

void OperationQueue::take_behind(Operation& before) noexcept {
  Operation* const taken = parked(before).next;
  parked(before).next = parked(*taken).next;
  if (taken == last_) last_ = taken == &before ? nullptr : &before;
}

void begin(Operation* operation, OperationKind kind) noexcept {
  IOCP_CHECK(operation->phase == OperationPhase::idle);
  operation->phase = OperationPhase::submitted;
  operation->kind = kind;
  new (operation->backend) Parked();
}

Submission finish(Operation* operation, Status status, std::uint32_t bytes) noexcept {
  operation->phase = OperationPhase::idle;
  return {false, status, bytes};
}

// --- the port itself ---------------------------------------------------------------------------------------------

Status Port::State::open() noexcept {
  spare.reset(open_spare_descriptor());
  if (!spare.valid()) return status_from_errno(errno);
  return poller.open();
}

void Port::State::close() noexcept {
  IOCP_CHECK(open_sockets.load(std::memory_order_relaxed) == 0);
  IOCP_CHECK(ready.empty() && !has_posted.load(std::memory_order_acquire));
  transmitter.stop();
  poller.close();
}

std::size_t Port::State::wait(std::span<Completion> out, std::int32_t timeout_ms) noexcept {
  IOCP_CHECK(!out.empty());
  cursor = out.data();
  end = out.data() + out.size();
  hand_out_ready();
  take_posted();
  // Without room there is no hurry to ask the system, but it must not starve behind a caller who posts a lot.
  skipped_poll = cursor == end && !skipped_poll;
  if (!skipped_poll) poll_until_something(cursor == out.data() ? timeout_ms : 0);
  const auto count = static_cast<std::size_t>(cursor - out.data());
  cursor = nullptr;
  end = nullptr;
  counters.completions.add(count);
  return count;
}

// An event need not complete anything (a socket became writable and nobody writes): then the rest of the time is
// slept too.
void Port::State::poll_until_something(std::int32_t timeout_ms) noexcept {
  const Completion* const before = cursor;
  const Deadline deadline(timeout_ms);
  int left_ms = timeout_ms;
  do {
    poll_once(left_ms);
    left_ms = deadline.left_ms();
  } while (cursor == before && cursor != end && left_ms != 0);
}

void Port::State::poll_once(int timeout_ms) noexcept {
  std::array<PollEvent, kEventBatch> events;
  counters.waits.add();
  const std::size_t count = poller.wait(events, timeout_ms);
  for (std::size_t i = 0; i < count; ++i) {
    if (events[i].key == nullptr) {
      take_posted();
    } else {
      on_event(events[i]);
    }
  }
}

void Port::State::post(Operation& operation) noexcept {
  bool first = false;
  {
    const ScopedLock lock(posted_lock);
    first = add_posted(operation);
    counters.posts.add();
    if (first) counters.wakes.add();
  }
  // Only the first message since the list was last emptied: its wake stands for all that follow. Whether somebody
  // sleeps cannot be asked, for it may be a host's event loop that polls host_descriptor().
  // `operation` may already be complete and belong to its owner again; it must not be touched here.
  if (first) poller.wake();
}

bool Port::State::add_posted(Operation& operation) noexcept {
  const bool first = posted.empty();
  posted.push(operation);
  has_posted.store(true, std::memory_order_release);
  return first;
}

void Port::State::take_posted() noexcept {
  if (!has_posted.load(std::memory_order_acquire)) return;
  OperationQueue taken;
  {
    const ScopedLock lock(posted_lock);
    taken = std::exchange(posted, OperationQueue());
    has_posted.store(false, std::memory_order_relaxed);
  }
  while (Operation* const operation = taken.pop()) {
    if (operation->kind == OperationKind::transmit) {
      complete_transmit(static_cast<TransmitOperation&>(*operation));
    } else {
      deliver(*operation, Status::ok, 0);
    }
  }
}

// To the wait() in progress while it has room, else to the queue of the next one.
void Port::State::deliver(Operation& operation, Status status, std::uint32_t bytes) noexcept {
  if (cursor != end) {
    hand_out(operation, status, bytes);
    return;
  }
  parked(operation).status = status;
  parked(operation).bytes = bytes;
  ready.push(operation);
}

void Port::State::hand_out(Operation& operation, Status status, std::uint32_t bytes) noexcept {
  IOCP_CHECK(operation.phase == OperationPhase::submitted);
  operation.phase = OperationPhase::idle;
  *cursor++ = {&operation, status, bytes};
}

void Port::State::hand_out_ready() noexcept {
  while (cursor != end && !ready.empty()) {
    Operation& operation = *ready.pop();
    hand_out(operation, parked(operation).status, parked(operation).bytes);
  }
}

PortCounters Port::State::snapshot() const noexcept {
  PortCounters now;
  now.waits = counters.waits.get();
  now.completions = counters.completions.get();
  now.accepts = counters.accepts.get();
  now.connects = counters.connects.get();
  now.zero_byte_reads = counters.zero_byte_reads.get();
  now.reads = counters.reads.get();
  now.empty_reads = counters.empty_reads.get();
  now.writes = counters.writes.get();
  now.blocked_writes = counters.blocked_writes.get();
  now.transmits = counters.transmits.get();
  now.transmit_bytes = counters.transmit_bytes.get();
  now.posts = counters.posts.get();
  now.wakes = counters.wakes.get();
  return now;
}

// --- the life of a socket ----------------------------------------------------------------------------------------

// The socket is complete before the poller hears of it: the stepping thread may meet its first event before this
// function has returned to the thread that listens.
Status Port::State::adopt(Descriptor* fd, SocketRole role, Socket** out) noexcept {
  std::unique_ptr<Socket> socket(new (std::nothrow) Socket());
  if (socket == nullptr) return Status::out_of_memory;
  socket->fd = fd->get();
  socket->role = role;
  if (role != SocketRole::fresh) {
    const Status status = poller.add(fd->get(), socket.get());
    if (status != Status::ok) return status;
  }
  open_sockets.fetch_add(1, std::memory_order_relaxed);
  static_cast<void>(fd->release());
  *out = socket.release();
  return Status::ok;
}

void Port::State::close_socket(Socket& socket, CloseMode mode) noexcept {
  while (Operation* const operation = socket.inbound.pop()) deliver(*operation, Status::cancelled, 0);
  if (socket.hang_up != nullptr) deliver(*socket.hang_up, Status::cancelled, 0);
  if (socket.role == SocketRole::listener) unlink_listener_path(socket.fd);
  if (socket.role != SocketRole::fresh) poller.remove(socket.fd);
  if (mode == CloseMode::reset) make_close_reset(socket.fd);
  // Last: the transmitter may be using the descriptor, and closes it then, at any moment from here on.
  bool in_use = false;
  if (socket.outbound != nullptr && socket.outbound->kind == OperationKind::transmit) {
    in_use = abandon_transmit(static_cast<TransmitOperation&>(*socket.outbound), socket);
  } else if (socket.outbound != nullptr) {
    deliver(*socket.outbound, Status::cancelled, 0);
  }
  if (!in_use) close_descriptor(socket.fd);
  open_sockets.fetch_sub(1, std::memory_order_relaxed);
  delete &socket;
}

// What is no longer parked has a result already, which is on its way or was handed out: nothing to do then.
void Port::State::cancel(Operation& operation, Socket& socket) noexcept {
  if (operation.phase != OperationPhase::submitted) return;
  bool was_parked = false;
  switch (operation.kind) {
    case OperationKind::accept:
    case OperationKind::zero_byte_read:
    case OperationKind::read:
      was_parked = socket.inbound.remove(operation);
      break;
    case OperationKind::connect:
    case OperationKind::write:
      was_parked = socket.outbound == &operation;
      if (was_parked) socket.outbound = nullptr;
      break;
    case OperationKind::transmit:
      cancel_transmit(static_cast<TransmitOperation&>(operation), socket);
      return;
    case OperationKind::hang_up:
      was_parked = socket.hang_up == &operation;
      if (was_parked) socket.hang_up = nullptr;
      break;
    case OperationKind::none:
    case OperationKind::post:
      break;
  }
  if (was_parked) deliver(operation, Status::cancelled, 0);
}

// --- the contract of port.h ----------------------------------------------------------------------------------------

Port::Port() = default;

Port::~Port() { IOCP_CHECK(state_ == nullptr); }

Status Port::open() noexcept {
  IOCP_CHECK(state_ == nullptr);
  std::unique_ptr<State> state(new (std::nothrow) State());
  if (state == nullptr) return Status::out_of_memory;
  const Status status = state->open();
  if (status == Status::ok) state_ = std::move(state);
  return status;
}

void Port::close() noexcept {
  if (state_ == nullptr) return;
  state_->close();
  state_.reset();
}

std::size_t Port::wait(std::span<Completion> out, std::int32_t timeout_ms) noexcept {
  return state_->wait(out, timeout_ms);
}

void Port::post(Operation* operation) noexcept {
  begin(operation, OperationKind::post);
  state_->post(*operation);
}

bool Port::has_queued() const noexcept {
  return !state_->ready.empty() || state_->has_posted.load(std::memory_order_acquire);
}

int Port::host_descriptor() const noexcept { return state_->poller.descriptor(); }

PortCounters Port::counters() const noexcept { return state_ == nullptr ? PortCounters{} : state_->snapshot(); }

Status Port::listen(const ListenOptions& options, Socket** listener, Address* bound) noexcept {
  Descriptor fd;
  const Status status = open_listener(options, &fd);
  if (status != Status::ok) return status;
  // Asked before the socket is adopted: from then on it is the stepping thread's.
  const Address address = local_address_of(fd.get());
  const Status adopted = state_->adopt(&fd, SocketRole::listener, listener);
  if (adopted == Status::ok) {
    *bound = address;
  } else {
    unlink_listener_path(fd.get());
  }
  return adopted;
}

Status Port::attach(RawSocket raw, const SocketOptions& options, Socket** out) noexcept {
  Descriptor fd(descriptor_of(raw));
  Status status = apply_stream_options(fd.get(), options);
  if (status == Status::ok) status = state_->adopt(&fd, SocketRole::stream, out);
  if (status != Status::ok) make_close_reset(fd.get());
  return status;
}

void Port::discard(RawSocket raw) noexcept {
  make_close_reset(descriptor_of(raw));
  close_descriptor(descriptor_of(raw));
}

Status Port::open_stream(Family family, const SocketOptions& options, const Address* local, Socket** out) noexcept {
  Descriptor fd;
  const Status status = open_unconnected(family, options, local, &fd);
  if (status != Status::ok) return status;
  return state_->adopt(&fd, SocketRole::fresh, out);
}

Status Port::shutdown_write(Socket* socket) noexcept {
  return ::shutdown(socket->fd, SHUT_WR) == 0 ? Status::ok : status_from_errno(errno);
}

void Port::close_socket(Socket* socket, CloseMode mode) noexcept { state_->close_socket(*socket, mode); }

Address Port::local_address(const Socket* socket) const noexcept { return local_address_of(socket->fd); }

Address Port::peer_address(const Socket* socket) const noexcept { return peer_address_of(socket->fd); }

TcpInfo Port::tcp_info(const Socket* socket) const noexcept { return read_tcp_info(socket->fd); }

void Port::cancel(Operation* operation, Socket* socket) noexcept { state_->cancel(*operation, *socket); }

}  // namespace iocp
