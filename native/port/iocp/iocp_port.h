// The inside of the port on Windows: one I/O completion port, stepped by any number of threads. Nothing outside this
// folder may include this header.
//
// Ownership. An Operation and what it names are the kernel's from the system call that submits it until wait() takes
// its packet off the completion port, or until the call has failed or (with FILE_SKIP_COMPLETION_PORT_ON_SUCCESS)
// succeeded at once. A pending operation holds a reference of its Socket, so close_socket() may return while packets
// are still to come: the memory goes with the last of them.
//
// A packet may be taken by another thread before the submitting call has returned. So after a call that left the
// operation pending, neither the operation nor the socket is touched again.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <type_traits>

#include "port/check.h"
#include "port/iocp/socket_windows.h"
#include "port/iocp/winsock.h"
#include "port/mutex.h"
#include "port/port.h"

namespace iocp {

// What an accept needs beyond the operation: the socket that becomes the connection, and room for both addresses.
struct AcceptBuffer {
  static constexpr DWORD kAddressBytes = sizeof(sockaddr_storage) + 16;  // 16 more, says AcceptEx()
  SocketHandle socket;
  std::array<std::byte, 2 * kAddressBytes> addresses;
};

// What this port keeps in Operation::backend while the operation is submitted.
struct Request {
  OVERLAPPED overlapped = {};  // first: a packet carries its address
  Socket* socket = nullptr;    // null for a post
  void* extra = nullptr;       // accept: AcceptBuffer. hang_up: DriverPoll
};
static_assert(sizeof(Request) <= sizeof(Operation::backend) && alignof(Request) <= 8);
static_assert(std::is_standard_layout_v<Operation>, "operation_of() goes back from the member to the whole");

inline Request& request_of(Operation& operation) noexcept {
  return *std::launder(reinterpret_cast<Request*>(operation.backend));
}

inline Operation& operation_of(OVERLAPPED* overlapped) noexcept {
  auto* const bytes = reinterpret_cast<std::byte*>(overlapped) - offsetof(Operation, backend);
  return *std::launder(reinterpret_cast<Operation*>(bytes));
}

enum class SocketRole : std::uint8_t { fresh, stream, listener };

class Socket {
 public:
  Socket(SOCKET handle_of, SocketRole role_of, bool skips) : handle(handle_of), role(role_of), skips_success(skips) {}

  // Against wait(), which finishes accepts and connects with calls on the handle while another thread may close it.
  // Everything else that uses the handle is ordered by the caller.
  CompactMutex lock;
  SOCKET handle;  // INVALID_SOCKET once it is closed
  Operation* hang_up IOCP_GUARDED_BY(lock) = nullptr;
  std::atomic<std::uint32_t> references{1};  // its owner's, and one for each pending operation
  std::atomic<bool> closed{false};
  // What ended the connection. Kept, for a system may tell it once only.
  std::atomic<Status> error{Status::ok};
  SocketRole role;
  const bool skips_success;
};
static_assert(sizeof(Socket) <= 64, "tens of thousands exist");

class Counter {
 public:
  void add(std::uint64_t more = 1) noexcept { value_.fetch_add(more, std::memory_order_relaxed); }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct Counters {
  Counter waits, completions, accepts, connects, zero_byte_reads, reads, empty_reads, writes, blocked_writes;
  Counter transmits, transmit_bytes;
  Counter posts, wakes;
};

struct Port::State {
  // --- iocp_port.cc: the port itself, and the life of its sockets
  Status open() noexcept;
  void close() noexcept;
  std::size_t wait(std::span<Completion> out, std::int32_t timeout_ms) noexcept;
  // Packets turned into completions; fewer than packets when one was not the end of its operation.
  std::size_t fetch(std::span<Completion> out, DWORD timeout_ms) noexcept;
  void post(Operation& operation) noexcept;
  Status adopt(SocketHandle* handle, SocketRole role, Socket** out) noexcept;
  void close_socket(Socket& socket, CloseMode mode) noexcept;
  void cancel(Operation& operation, Socket& socket) noexcept;
  void release(Socket& socket) noexcept;
  PortCounters snapshot() const noexcept;

  // --- iocp_operations.cc: what is asked of the kernel, and what its answers mean
  // False: the operation was submitted anew and is not over.
  bool complete(Operation& operation, const OVERLAPPED_ENTRY& entry, Completion* out) noexcept;
  Status complete_accept(AcceptOperation& operation, Socket& listener, Status status, bool* again) noexcept;
  Status complete_connect(Socket& socket, Status status) noexcept;
  Status complete_hang_up(Socket& socket, const DriverPoll& poll, Status status) noexcept;
  void count(const Operation& operation, Status status) noexcept;
  // After a call of the kernel: what submit_*() answers. `failed` = the call did not succeed at once.
  Submission answer(Operation& operation, Socket& socket, bool failed, DWORD bytes) noexcept;
  Submission reject(Operation& operation, Status status) noexcept;
  Submission start_accept(AcceptOperation& operation, Socket& listener) noexcept;
  Submission start_hang_up(Operation& operation, Socket& socket) noexcept;

  // --- iocp_transmit.cc
  Submission start_transmit(TransmitOperation& operation, Socket& socket) noexcept;
  void count_transmit(std::uint32_t bytes) noexcept;

  HANDLE port = nullptr;
  HANDLE driver = nullptr;  // hang-ups are asked for here
  Counters counters;
  std::atomic<std::size_t> open_sockets{0};  // until their memory is freed
  std::atomic<std::uint32_t> sleeping{0};
};

void begin(Operation* operation, OperationKind kind, Socket* socket) noexcept;

}  // namespace iocp
