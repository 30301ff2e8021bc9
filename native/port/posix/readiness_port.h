// The inside of the port on systems that report readiness (epoll, kqueue): sockets that remember what they are
// ready for, operations parked until they can be tried, and the queue of finished ones.
//
// How readiness becomes completions: a socket is registered once, edge-triggered. An operation is tried at once
// when the socket is thought ready, else parked on it; an event retries what is parked. Nothing outside this
// folder may include this header.
//
// No Socket* survives its socket: events are turned into completions before wait() returns, and what stays
// queued between two calls names operations only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

#include "port/check.h"
#include "port/mutex.h"
#include "port/port.h"
#include "port/posix/descriptor.h"
#include "port/posix/poller.h"
#include "port/posix/socket_posix.h"
#include "port/posix/transmitter.h"

namespace iocp {

// What this port keeps in Operation::backend while the operation is submitted.
struct Parked {
  Operation* next = nullptr;
  void* data = nullptr;  // read: the target. write: the first slice
  std::size_t size = 0;  // read: bytes. write: slices
  std::uint32_t bytes = 0;
  Status status = Status::ok;
};
static_assert(sizeof(Parked) <= sizeof(Operation::backend));

inline Parked& parked(Operation& operation) noexcept {
  return *std::launder(reinterpret_cast<Parked*>(operation.backend));
}

// First in, first out; linked through the operations, so it never allocates.
class OperationQueue {
 public:
  bool empty() const noexcept { return last_ == nullptr; }
  Operation* front() const noexcept { return last_ == nullptr ? nullptr : parked(*last_).next; }
  void push(Operation& operation) noexcept;
  Operation* pop() noexcept;  // null when empty
  bool remove(const Operation& operation) noexcept;

 private:
  void take_behind(Operation& before) noexcept;

  Operation* last_ = nullptr;  // whose next is the first
};

enum class SocketRole : std::uint8_t {
  fresh,       // not connected and not registered with the poller
  connecting,  // its connect operation is parked in `outbound`
  stream,
  listener,
};

// What is known about a socket since the last event or the last system call on it.
constexpr std::uint8_t kMaybeReadable = 1;  // worth a system call
constexpr std::uint8_t kReadable = 2;       // a read will not block
constexpr std::uint8_t kWritable = 4;       // worth a system call
constexpr std::uint8_t kPeerClosed = 8;     // FIN came; bytes may be unread
constexpr std::uint8_t kFailed = 16;        // `error` holds what ended the connection
constexpr std::uint8_t kRoomAwaited = 32;   // the poller will report room to write
constexpr std::uint8_t kSentFiles = 64;     // prepare_for_files() has been called
constexpr std::uint8_t kRoomIgnored = 128;  // the poller does not report room: the transmitter waits for it

class Socket {
 public:
  int fd = -1;
  std::uint8_t flags = kWritable | kRoomAwaited;  // the poller reports room to a socket that is new to it
  SocketRole role = SocketRole::fresh;
  Status error = Status::ok;
  OperationQueue inbound;         // reads and zero-byte reads; accepts of a listener
  Operation* outbound = nullptr;  // the write or transmit, or the connect
  Operation* hang_up = nullptr;

  bool is(std::uint8_t flag) const noexcept { return (flags & flag) != 0; }
  void set(int more) noexcept { flags = static_cast<std::uint8_t>(flags | more); }
  void clear(int less) noexcept { flags = static_cast<std::uint8_t>(flags & ~less); }
};
static_assert(sizeof(Socket) <= 32, "tens of thousands exist");

// A figure with one writer at a time (the stepping thread, or whoever holds the lock) and readers anywhere.
class Counter {
 public:
  void add(std::uint64_t more = 1) noexcept {
    // Not a read-modify-write: there is only one writer, and this is on every hot path.
    value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct Counters {
  Counter waits, completions, accepts, connects, zero_byte_reads, reads, empty_reads, writes, blocked_writes;
  Counter transmits, transmit_bytes;
  Counter posts, wakes;  // written under the lock of the posted list
};

struct Port::State {
  // --- readiness_port.cc: the port itself
  Status open() noexcept;
  void close() noexcept;
  std::size_t wait(std::span<Completion> out, std::int32_t timeout_ms) noexcept;
  void poll_until_something(std::int32_t timeout_ms) noexcept;
  void poll_once(int timeout_ms) noexcept;
  void post(Operation& operation) noexcept IOCP_EXCLUDES(posted_lock);
  // Puts it where wait() finds it; true if there was nothing else.
  bool add_posted(Operation& operation) noexcept IOCP_REQUIRES(posted_lock);
  void take_posted() noexcept IOCP_EXCLUDES(posted_lock);
  void deliver(Operation& operation, Status status, std::uint32_t bytes) noexcept;
  void hand_out(Operation& operation, Status status, std::uint32_t bytes) noexcept;
  void hand_out_ready() noexcept;
  // Takes the descriptor out of `fd`, unless it fails.
  Status adopt(Descriptor* fd, SocketRole role, Socket** out) noexcept;
  void close_socket(Socket& socket, CloseMode mode) noexcept;
  void cancel(Operation& operation, Socket& socket) noexcept;
  PortCounters snapshot() const noexcept;

  // --- readiness_operations.cc: what a socket's events and submissions do
  void on_event(const PollEvent& event) noexcept;
  bool finish_connect(Socket& socket, const PollEvent& event) noexcept;
  void serve_accepts(Socket& listener) noexcept;
  void serve_reads(Socket& socket) noexcept;
  void serve_write(Socket& socket) noexcept;
  void serve_hang_up(Socket& socket) noexcept;
  Submission submit_connect(Operation& operation, Socket& socket, const Address& to, const std::string& path) noexcept;
  Status accept(Socket& listener, AcceptOperation& operation) noexcept;
  Status turn_away(Socket& listener, AcceptOperation& operation, Status why) noexcept;
  Status receive(Socket& socket, MutableBytes target, std::uint32_t* bytes) noexcept;
  Status send(Socket& socket, std::span<const ConstBytes> slices, std::uint32_t* bytes) noexcept;
  bool would_read(Socket& socket) noexcept;
  // For a write that the socket has no room for: would_block, once the poller is bound to tell when there is some.
  Status await_room(Socket& socket) noexcept;

  // --- readiness_transmit.cc
  // would_block: it is not short, or the socket is full.
  Status transmit_at_once(Socket& socket, TransmitOperation& operation, std::uint32_t* bytes) noexcept;
  Status give_away(Socket& socket, TransmitOperation& operation) noexcept;
  Status after_transmit_failed(Socket& socket, int error) noexcept;
  static void on_transmitted(void* self, TransmitOperation& operation) noexcept;
  void complete_transmit(TransmitOperation& operation) noexcept;
  void cancel_transmit(TransmitOperation& operation, Socket& socket) noexcept;
  // True: the transmitter uses the descriptor at this moment, and closes it afterwards.
  bool abandon_transmit(TransmitOperation& operation, Socket& socket) noexcept;

  Poller poller;
  // Given up for a moment when no descriptor is left, so that a waiting connection can still be turned away.
  Descriptor spare;
  Counters counters;
  std::atomic<std::size_t> open_sockets{0};  // listen() adds from any thread

  // The stepping thread's own.
  OperationQueue ready;          // finished, not handed out yet; results are in Parked
  Completion* cursor = nullptr;  // where the wait() in progress puts the next completion
  Completion* end = nullptr;
  bool skipped_poll = false;

  Mutex posted_lock;
  OperationQueue posted IOCP_GUARDED_BY(posted_lock);  // and transmits that are through
  std::atomic<bool> has_posted{false};                 // mirrors !posted.empty(), so that looking needs no lock

  Transmitter transmitter{{&State::on_transmitted, this}};
};

// Shared by these files: the edges of an operation's life, and what a failed call does to its socket.
void begin(Operation* operation, OperationKind kind) noexcept;
Submission finish(Operation* operation, Status status, std::uint32_t bytes) noexcept;
// Keeps the first error, which is the answer from then on.
Status remember(Socket& socket, Status error) noexcept;

}  // namespace iocp
