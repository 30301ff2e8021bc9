// What operations ask of the kernel, and what its answers mean. Never sleeps, never calls back.
//
// "Passes to the kernel" marks the lines after which an operation may be on another thread, complete and even
// submitted again. What follows such a line may look at the call's own result and at nothing else until answer()
// has decided that the operation came back with the call.
#include <algorithm>
#include <cstring>
#include <memory>

#include "port/iocp/iocp_port.h"
#include "port/iocp/windows_status.h"

namespace iocp {
namespace {

constexpr Submission kPending = {true, Status::ok, 0};
// Bounds what one call locks in memory, and keeps lengths within 32 bits.
constexpr std::size_t kMostBytesPerCall = std::size_t{1} << 30;

bool ends_connection(Status status) {
  return status == Status::connection_reset || status == Status::connection_aborted;
}

// The first error stays: later calls on the socket would only tell its consequences, or, on some systems, nothing.
Status remember(Socket& socket, Status status) {
  if (!ends_connection(status) || socket.closed.load(std::memory_order_acquire)) return status;
  Status none = Status::ok;
  socket.error.compare_exchange_strong(none, status, std::memory_order_acq_rel);
  return status;
}

Status known_error(const Socket& socket) { return socket.error.load(std::memory_order_acquire); }

AcceptBuffer* accept_buffer(Operation& operation) { return static_cast<AcceptBuffer*>(request_of(operation).extra); }

// The slices as Winsock wants them; returns how many.
DWORD describe(std::span<const ConstBytes> slices, std::array<WSABUF, Port::kMaxSlices>* buffers) {
  IOCP_CHECK(slices.size() <= Port::kMaxSlices);
  std::size_t asked = 0;
  DWORD count = 0;
  for (const ConstBytes slice : slices) {
    const std::size_t length = std::min(slice.size(), kMostBytesPerCall - asked);
    // WSASend() does not write through the pointer; WSABUF serves readers as well and cannot say so.
    auto* const data = reinterpret_cast<char*>(const_cast<std::uint8_t*>(slice.data()));
    (*buffers)[count++] = {static_cast<ULONG>(length), data};
    asked += length;
  }
  return count;
}

// The reset that a driver's "disconnected" may hide: a look at the stream that takes nothing from it.
Status look_at_end(SOCKET handle) {
  char byte = 0;
  if (recv(handle, &byte, 1, MSG_PEEK) >= 0) return Status::ok;
  const Status status = last_socket_error();
  return ends_connection(status) ? status : Status::ok;
}

// A packet that no submission asked for would mean that the kernel, or this code, completed one twice. What the
// operation was last says where to look.
void check_submitted(const Operation& operation) {
  if (operation.phase == OperationPhase::submitted) return;
  switch (operation.kind) {
    case OperationKind::accept:
      IOCP_UNREACHABLE("a packet for an accept that is not submitted");
    case OperationKind::connect:
      IOCP_UNREACHABLE("a packet for a connect that is not submitted");
    case OperationKind::read:
    case OperationKind::zero_byte_read:
      IOCP_UNREACHABLE("a packet for a read that is not submitted");
    case OperationKind::write:
      IOCP_UNREACHABLE("a packet for a write that is not submitted");
    case OperationKind::transmit:
      IOCP_UNREACHABLE("a packet for a transmit that is not submitted");
    case OperationKind::hang_up:
      IOCP_UNREACHABLE("a packet for a watch of a hang-up that is not submitted");
    case OperationKind::post:
      IOCP_UNREACHABLE("a packet for a post that is not submitted");
    case OperationKind::none:
      break;
  }
  IOCP_UNREACHABLE("a packet for an operation that was never submitted");
}

}  // namespace

void begin(Operation* operation, OperationKind kind, Socket* socket) noexcept {
  IOCP_CHECK(operation->phase == OperationPhase::idle);
  operation->phase = OperationPhase::submitted;
  operation->kind = kind;
  Request* const request = new (operation->backend) Request();
  request->socket = socket;
  if (socket != nullptr) socket->references.fetch_add(1, std::memory_order_relaxed);
}

// The operation never reached the kernel, or came back with the call.
Submission Port::State::reject(Operation& operation, Status status) noexcept {
  Socket& socket = *request_of(operation).socket;
  operation.phase = OperationPhase::idle;
  release(socket);
  return {false, status, 0};
}

Submission Port::State::answer(Operation& operation, Socket& socket, bool failed, DWORD bytes) noexcept {
  if (failed) {
    const auto error = static_cast<unsigned long>(WSAGetLastError());
    if (error == ERROR_IO_PENDING) return kPending;
    return reject(operation, remember(socket, status_from_windows(error)));
  }
  // A packet follows a success too, unless the socket skips those. Read by value: the operation may be gone.
  if (!socket.skips_success) return kPending;
  operation.phase = OperationPhase::idle;
  count(operation, Status::ok);
  release(socket);
  return {false, Status::ok, bytes};
}

void Port::State::count(const Operation& operation, Status status) noexcept {
  if (status != Status::ok) return;
  if (operation.kind == OperationKind::read) counters.reads.add();
  if (operation.kind == OperationKind::write) counters.writes.add();
  if (operation.kind == OperationKind::accept) counters.accepts.add();
}

// --- packets -------------------------------------------------------------------------------------------------------

bool Port::State::complete(Operation& operation, const OVERLAPPED_ENTRY& entry, Completion* out) noexcept {
  check_submitted(operation);
  Socket* const socket = request_of(operation).socket;
  // A posted packet carries no result; every other one carries the kernel's.
  const auto result = static_cast<unsigned long>(request_of(operation).overlapped.Internal);
  Status status = socket == nullptr ? Status::ok : status_from_kernel(result);
  std::uint32_t bytes = 0;
  bool again = false;
  switch (operation.kind) {
    case OperationKind::accept:
      status = complete_accept(static_cast<AcceptOperation&>(operation), *socket, status, &again);
      break;
    case OperationKind::connect:
      status = complete_connect(*socket, status);
      break;
    case OperationKind::read:
      bytes = status == Status::ok ? entry.dwNumberOfBytesTransferred : 0;
      if (status == Status::ok && bytes == 0) status = known_error(*socket);
      break;
    case OperationKind::write:
      bytes = status == Status::ok ? entry.dwNumberOfBytesTransferred : 0;
      break;
    case OperationKind::transmit:
      bytes = status == Status::ok ? entry.dwNumberOfBytesTransferred : 0;
      // The file ended between the look at its size and the kernel's reading; what went out before is not told.
      if (status == Status::file_shrank) status = Status::connection_aborted;
      count_transmit(bytes);
      break;
    case OperationKind::hang_up: {
      const std::unique_ptr<DriverPoll> poll(static_cast<DriverPoll*>(request_of(operation).extra));
      status = complete_hang_up(*socket, *poll, status);
      break;
    }
    case OperationKind::zero_byte_read:
    case OperationKind::post:
      break;
    case OperationKind::none:
      IOCP_UNREACHABLE("a packet of an operation that was never submitted");
  }
  if (again) {
    release(*socket);
    return false;
  }
  if (socket != nullptr) {
    const bool closed = socket->closed.load(std::memory_order_acquire);
    status = closed && status != Status::ok ? Status::cancelled : remember(*socket, status);
    count(operation, status);
    release(*socket);
  }
  operation.phase = OperationPhase::idle;
  *out = {&operation, status, bytes};
  return true;
}

// The listener's lock keeps its handle open, without which the accepted socket cannot be made whole.
Status Port::State::complete_accept(AcceptOperation& operation, Socket& listener, Status status, bool* again) noexcept {
  std::unique_ptr<AcceptBuffer> buffer(accept_buffer(operation));
  request_of(operation).extra = nullptr;
  const ScopedLock guard(listener.lock);
  const SOCKET from = listener.handle;
  if (from == INVALID_SOCKET) {
    if (status == Status::ok) make_close_reset(buffer->socket.get());
    return Status::cancelled;
  }
  if (status == Status::ok && setsockopt(buffer->socket.get(), SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT,
                                         reinterpret_cast<const char*>(&from), sizeof(from)) != 0) {
    status = last_socket_error();
  }
  if (ends_connection(status) || status == Status::not_connected) {
    // The peer gave up in the backlog: no fault of the listener's, and nothing its owner asked to hear.
    // A reference of this thread's own: the operation's goes with the new packet, which may be gone at once.
    listener.references.fetch_add(1, std::memory_order_relaxed);
    const Submission retried = start_accept(operation, listener);
    if (!retried.pending) listener.references.fetch_sub(1, std::memory_order_relaxed);
    *again = retried.pending;
    return retried.status;
  }
  if (status != Status::ok) return status;
  sockaddr* local = nullptr;
  sockaddr* peer = nullptr;
  SocketAddress address;
  int local_length = 0;
  winsock().get_accept_ex_addresses(buffer->addresses.data(), 0, AcceptBuffer::kAddressBytes,
                                    AcceptBuffer::kAddressBytes, &local, &local_length, &peer, &address.length);
  std::memcpy(&address.storage, peer, static_cast<std::size_t>(address.length));
  operation.peer = from_socket_address(address);
  operation.accepted = static_cast<RawSocket>(buffer->socket.release());
  return Status::ok;
}

Status Port::State::complete_connect(Socket& socket, Status status) noexcept {
  if (status != Status::ok) return status;
  const ScopedLock guard(socket.lock);
  if (socket.handle == INVALID_SOCKET) return Status::cancelled;
  // Until then shutdown() and getpeername() would say that the socket is not connected.
  if (setsockopt(socket.handle, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, nullptr, 0) != 0) return last_socket_error();
  socket.role = SocketRole::stream;
  return Status::ok;
}

Status Port::State::complete_hang_up(Socket& socket, const DriverPoll& poll, Status status) noexcept {
  const ScopedLock guard(socket.lock);
  socket.hang_up = nullptr;
  if (status != Status::ok) return status;
  if (socket.handle == INVALID_SOCKET || (poll.entry.events & kDriverLocalClose) != 0) return Status::cancelled;
  if (known_error(socket) != Status::ok) return known_error(socket);
  return (poll.entry.events & kDriverAbort) != 0 ? Status::connection_reset : look_at_end(socket.handle);
}

// --- submissions ---------------------------------------------------------------------------------------------------

// Answers like a submission whose operation is submitted already and holds its reference; on failure both stay, for
// the caller to end.
Submission Port::State::start_accept(AcceptOperation& operation, Socket& listener) noexcept {
  sockaddr_storage bound = {};
  int length = sizeof(bound);
  if (getsockname(listener.handle, reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    return {false, last_socket_error(), 0};
  }
  std::unique_ptr<AcceptBuffer> buffer(new (std::nothrow) AcceptBuffer());
  if (buffer == nullptr) return {false, Status::out_of_memory, 0};
  const Status created = create_socket(bound.ss_family, &buffer->socket);
  if (created != Status::ok) return {false, created, 0};
  Request& request = request_of(operation);
  request.overlapped = {};
  AcceptBuffer* const given = buffer.get();
  request.extra = buffer.release();
  DWORD bytes = 0;
  // Passes to the kernel.
  const BOOL accepted =
      winsock().accept_ex(listener.handle, given->socket.get(), given->addresses.data(), 0, AcceptBuffer::kAddressBytes,
                          AcceptBuffer::kAddressBytes, &bytes, &request.overlapped);
  const auto error = accepted != 0 ? 0UL : static_cast<unsigned long>(WSAGetLastError());
  // A listener does not skip packets, so a connection that was there already comes with one too.
  if (error == 0 || error == ERROR_IO_PENDING) return kPending;
  delete given;
  return {false, status_from_windows(error), 0};
}

Submission Port::State::start_hang_up(Operation& operation, Socket& socket) noexcept {
  std::unique_ptr<DriverPoll> poll(new (std::nothrow) DriverPoll());
  if (poll == nullptr) return reject(operation, Status::out_of_memory);
  poll->entry.handle = driver_socket_of(socket.handle);
  poll->entry.events = kDriverDisconnect | kDriverAbort | kDriverLocalClose;
  DriverPoll* const given = poll.get();
  request_of(operation).extra = given;
  Status status = Status::ok;
  {
    // Held over the call, so that whoever fetches the packet finds `hang_up` set.
    const ScopedLock guard(socket.lock);
    socket.hang_up = &operation;
    // Passes to the kernel.
    status = start_driver_poll(driver, given, &request_of(operation).overlapped);
    if (status == Status::ok) {
      static_cast<void>(poll.release());
      return kPending;
    }
    socket.hang_up = nullptr;
  }
  return reject(operation, status);
}

// --- the submissions of port.h -------------------------------------------------------------------------------------

Submission Port::submit_accept(AcceptOperation* operation, Socket* listener) noexcept {
  IOCP_CHECK(listener->role == SocketRole::listener);
  begin(operation, OperationKind::accept, listener);
  const Submission started = state_->start_accept(*operation, *listener);
  return started.pending ? started : state_->reject(*operation, started.status);
}

Submission Port::submit_connect(Operation* operation, Socket* socket, const Address& to, const std::string&) noexcept {
  IOCP_CHECK(socket->role == SocketRole::fresh);
  begin(operation, OperationKind::connect, socket);
  state_->counters.connects.add();
  SocketAddress address;
  const Status translated = to_socket_address(to, &address);
  if (translated != Status::ok) return state_->reject(*operation, translated);
  DWORD bytes = 0;
  // Passes to the kernel.
  const BOOL connected = winsock().connect_ex(socket->handle, address.get(), address.length, nullptr, 0, &bytes,
                                              &request_of(*operation).overlapped);
  const Submission answered = state_->answer(*operation, *socket, connected == 0, 0);
  if (answered.pending || answered.status != Status::ok) return answered;
  return {false, state_->complete_connect(*socket, Status::ok), 0};
}

Submission Port::submit_zero_byte_read(Operation* operation, Socket* socket) noexcept {
  begin(operation, OperationKind::zero_byte_read, socket);
  state_->counters.zero_byte_reads.add();
  char nothing = 0;
  WSABUF none = {0, &nothing};
  DWORD bytes = 0;
  DWORD flags = 0;
  // Passes to the kernel. Without a buffer there is no memory it would lock.
  const int result = WSARecv(socket->handle, &none, 1, &bytes, &flags, &request_of(*operation).overlapped, nullptr);
  return state_->answer(*operation, *socket, result != 0, 0);
}

Submission Port::submit_read(Operation* operation, Socket* socket, MutableBytes target) noexcept {
  IOCP_DCHECK(!target.empty());
  begin(operation, OperationKind::read, socket);
  WSABUF buffer = {static_cast<ULONG>(std::min(target.size(), kMostBytesPerCall)),
                   reinterpret_cast<char*>(target.data())};
  DWORD bytes = 0;
  DWORD flags = 0;
  // Passes to the kernel, with the target.
  const int result = WSARecv(socket->handle, &buffer, 1, &bytes, &flags, &request_of(*operation).overlapped, nullptr);
  const Submission answered = state_->answer(*operation, *socket, result != 0, bytes);
  if (answered.pending || answered.status != Status::ok || answered.bytes != 0) return answered;
  return {false, known_error(*socket), 0};
}

Submission Port::submit_write(Operation* operation, Socket* socket, std::span<const ConstBytes> slices) noexcept {
  begin(operation, OperationKind::write, socket);
  // The kernel copies the list before the call returns; only the bytes stay where they are.
  std::array<WSABUF, kMaxSlices> buffers;
  const DWORD count = describe(slices, &buffers);
  DWORD bytes = 0;
  // Passes to the kernel, with the bytes.
  const int result =
      WSASend(socket->handle, buffers.data(), count, &bytes, 0, &request_of(*operation).overlapped, nullptr);
  const Submission answered = state_->answer(*operation, *socket, result != 0, bytes);
  if (answered.pending && result != 0) state_->counters.blocked_writes.add();
  return answered;
}

Submission Port::submit_hang_up(Operation* operation, Socket* socket) noexcept {
  begin(operation, OperationKind::hang_up, socket);
  const Status error = known_error(*socket);
  if (error != Status::ok) return state_->reject(*operation, error);
  return state_->start_hang_up(*operation, *socket);
}

Status Port::read_now(Socket* socket, MutableBytes target, std::uint32_t* bytes) noexcept {
  IOCP_DCHECK(!target.empty());
  *bytes = 0;
  const int asked = static_cast<int>(std::min(target.size(), kMostBytesPerCall));
  const int got = recv(socket->handle, reinterpret_cast<char*>(target.data()), asked, 0);
  const Status status = got < 0 ? last_socket_error() : Status::ok;
  if (status == Status::would_block) {
    state_->counters.empty_reads.add();
    return status;
  }
  state_->counters.reads.add();
  if (status != Status::ok) return remember(*socket, status);
  if (got == 0) return known_error(*socket);
  *bytes = static_cast<std::uint32_t>(got);
  return Status::ok;
}

Status Port::write_now(Socket* socket, std::span<const ConstBytes> slices, std::uint32_t* bytes) noexcept {
  *bytes = 0;
  std::array<WSABUF, kMaxSlices> buffers;
  const DWORD count = describe(slices, &buffers);
  DWORD sent = 0;
  // Without an OVERLAPPED the call does not outlive this function, and the socket does not block.
  const int result = WSASend(socket->handle, buffers.data(), count, &sent, 0, nullptr, nullptr);
  const Status status = result != 0 ? last_socket_error() : Status::ok;
  if (status == Status::would_block) {
    state_->counters.blocked_writes.add();
    return status;
  }
  if (status != Status::ok) return remember(*socket, status);
  state_->counters.writes.add();
  *bytes = static_cast<std::uint32_t>(sent);
  return Status::ok;
}

}  // namespace iocp
