// An I/O completion port behind port.h: the port itself, and the life of its sockets. What operations ask of the
// kernel is in iocp_operations.cc.
#include "port/iocp/iocp_port.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "port/iocp/windows_status.h"

namespace iocp {
namespace {

constexpr std::size_t kPacketBatch = 64;

SOCKET handle_of(RawSocket raw) { return static_cast<SOCKET>(raw); }

// Milliseconds left, rounded up so that a wait never ends early.
class Deadline {
 public:
  explicit Deadline(std::int32_t timeout_ms) : timeout_ms_(timeout_ms) {
    if (timeout_ms > 0) at_ = Clock::now() + std::chrono::milliseconds(timeout_ms);
  }

  DWORD left_ms() const {
    if (timeout_ms_ < 0) return INFINITE;
    if (timeout_ms_ == 0) return 0;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now()).count();
    return static_cast<DWORD>(std::max<decltype(left)>(left, 0));
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::int32_t timeout_ms_;
  Clock::time_point at_;
};

}  // namespace

const bool Port::kSharedByWorkers = true;
const bool Port::kPendingReadsSaveCalls = true;
const std::uint32_t Port::kBestTransmitBytes = 1024 * 1024;
const char* Port::name() noexcept { return "iocp"; }

// --- the port itself -----------------------------------------------------------------------------------------------

Status Port::State::open() noexcept {
  if (winsock().status != Status::ok) return winsock().status;
  // 0: as many threads run at once as there are processors.
  port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 0);
  if (port == nullptr) return status_from_windows(GetLastError());
  const Status status = open_driver(port, &driver);
  if (status != Status::ok) IOCP_CHECK(CloseHandle(port) != 0);
  return status;
}

void Port::State::close() noexcept {
  IOCP_CHECK(open_sockets.load(std::memory_order_acquire) == 0);
  IOCP_CHECK(CloseHandle(driver) != 0);
  IOCP_CHECK(CloseHandle(port) != 0);
}

// Packets need not end an operation (a connection that died in the backlog), and a sleep may end early by a tick of
// the clock: then the rest of the time is slept too.
std::size_t Port::State::wait(std::span<Completion> out, std::int32_t timeout_ms) noexcept {
  IOCP_CHECK(!out.empty());
  const Deadline deadline(timeout_ms);
  DWORD left_ms = deadline.left_ms();
  std::size_t count = 0;
  do {
    count = fetch(out, left_ms);
    left_ms = deadline.left_ms();
  } while (count == 0 && left_ms != 0);
  counters.completions.add(count);
  return count;
}

std::size_t Port::State::fetch(std::span<Completion> out, DWORD timeout_ms) noexcept {
  std::array<OVERLAPPED_ENTRY, kPacketBatch> packets;
  const auto most = static_cast<ULONG>(std::min(out.size(), packets.size()));
  ULONG taken = 0;
  counters.waits.add();
  if (timeout_ms != 0) sleeping.fetch_add(1, std::memory_order_relaxed);
  const BOOL got = GetQueuedCompletionStatusEx(port, packets.data(), most, &taken, timeout_ms, FALSE);
  if (timeout_ms != 0) sleeping.fetch_sub(1, std::memory_order_relaxed);
  if (got == 0) {
    IOCP_CHECK(GetLastError() == WAIT_TIMEOUT);
    return 0;
  }
  std::size_t count = 0;
  for (ULONG i = 0; i < taken; ++i) {
    if (complete(operation_of(packets[i].lpOverlapped), packets[i], &out[count])) ++count;
  }
  return count;
}

void Port::State::post(Operation& operation) noexcept {
  counters.posts.add();
  if (sleeping.load(std::memory_order_relaxed) != 0) counters.wakes.add();
  // The operation is the kernel's from this line; another thread may have it before the call returns. The call fails
  // only when the kernel has no memory left for a packet, which nobody could be told about.
  IOCP_CHECK(PostQueuedCompletionStatus(port, 0, 0, &request_of(operation).overlapped) != 0);
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

// --- the life of a socket ------------------------------------------------------------------------------------------

Status Port::State::adopt(SocketHandle* handle, SocketRole role, Socket** out) noexcept {
  bool skips_success = false;
  const bool may_skip = role != SocketRole::listener;
  const Status status = associate(handle->get(), port, may_skip ? &skips_success : nullptr);
  if (status != Status::ok) return status;
  auto* const socket = new (std::nothrow) Socket(handle->get(), role, skips_success);
  if (socket == nullptr) return Status::out_of_memory;
  open_sockets.fetch_add(1, std::memory_order_relaxed);
  static_cast<void>(handle->release());
  *out = socket;
  return Status::ok;
}

void Port::State::close_socket(Socket& socket, CloseMode mode) noexcept {
  {
    const ScopedLock guard(socket.lock);
    // Before the kernel is told: whatever comes home from now on with an error was cancelled.
    socket.closed.store(true, std::memory_order_release);
    if (mode == CloseMode::reset) make_close_reset(socket.handle);
    if (socket.hang_up != nullptr) cancel_driver_poll(driver, &request_of(*socket.hang_up).overlapped);
    // closesocket() alone would do, but may tell it as a lost connection rather than as cancelled.
    if (CancelIoEx(reinterpret_cast<HANDLE>(socket.handle), nullptr) == 0) {
      IOCP_CHECK(GetLastError() == ERROR_NOT_FOUND);
    }
    close_socket_handle(socket.handle);
    socket.handle = INVALID_SOCKET;
  }
  release(socket);
}

// An operation whose packet is queued or was handed out is no longer known to the kernel: nothing to do then.
void Port::State::cancel(Operation& operation, Socket& socket) noexcept {
  if (operation.kind == OperationKind::hang_up) {
    const ScopedLock guard(socket.lock);
    if (socket.hang_up == &operation) cancel_driver_poll(driver, &request_of(operation).overlapped);
    return;
  }
  if (CancelIoEx(reinterpret_cast<HANDLE>(socket.handle), &request_of(operation).overlapped) != 0) return;
  IOCP_CHECK(GetLastError() == ERROR_NOT_FOUND);
}

void Port::State::release(Socket& socket) noexcept {
  if (socket.references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  delete &socket;
  open_sockets.fetch_sub(1, std::memory_order_release);
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
  begin(operation, OperationKind::post, nullptr);
  state_->post(*operation);
}

// The queue is the kernel's, and it cannot be asked without being waited on.
bool Port::has_queued() const noexcept { return false; }

// Windows has nothing an event loop could poll for a completion port.
int Port::host_descriptor() const noexcept { return -1; }

PortCounters Port::counters() const noexcept { return state_ == nullptr ? PortCounters{} : state_->snapshot(); }

Status Port::listen(const ListenOptions& options, Socket** listener, Address* bound) noexcept {
  SocketHandle handle;
  const Status status = open_listener(options, &handle);
  if (status != Status::ok) return status;
  const Address address = local_address_of(handle.get());
  const Status adopted = state_->adopt(&handle, SocketRole::listener, listener);
  if (adopted == Status::ok) *bound = address;
  return adopted;
}

Status Port::attach(RawSocket raw, const SocketOptions& options, Socket** out) noexcept {
  SocketHandle handle(handle_of(raw));
  Status status = apply_stream_options(handle.get(), options);
  if (status == Status::ok) status = state_->adopt(&handle, SocketRole::stream, out);
  if (status != Status::ok) make_close_reset(handle.get());
  return status;
}

void Port::discard(RawSocket raw) noexcept {
  make_close_reset(handle_of(raw));
  close_socket_handle(handle_of(raw));
}

Status Port::open_stream(Family family, const SocketOptions& options, const Address* local, Socket** out) noexcept {
  SocketHandle handle;
  const Status status = open_unconnected(family, options, local, &handle);
  if (status != Status::ok) return status;
  return state_->adopt(&handle, SocketRole::fresh, out);
}

Status Port::shutdown_write(Socket* socket) noexcept {
  return ::shutdown(socket->handle, SD_SEND) == 0 ? Status::ok : last_socket_error();
}

void Port::close_socket(Socket* socket, CloseMode mode) noexcept { state_->close_socket(*socket, mode); }

Address Port::local_address(const Socket* socket) const noexcept { return local_address_of(socket->handle); }

Address Port::peer_address(const Socket* socket) const noexcept { return peer_address_of(socket->handle); }

TcpInfo Port::tcp_info(const Socket* socket) const noexcept { return read_tcp_info(socket->handle); }

void Port::cancel(Operation* operation, Socket* socket) noexcept { state_->cancel(*operation, *socket); }

}  // namespace iocp
