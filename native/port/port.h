// The completion port: the one contract between the engine and an operating system.
//
// I/O completion ports are the model and the other backends imitate them. A caller *submits* an operation; the
// port performs it and hands back a *completion*. Backends live beside this file, one folder each, and one of
// them is chosen when the program is linked: same class, no virtual call. README.md lists what a backend must
// define, and the conformance suite (test/native/conformance) says what it must mean.
//
// Rules that hold in every backend:
//  1. Every submitted operation completes exactly once: either its Submission says so at once, or exactly one
//     Completion returned by wait() does. This also holds when it is cancelled or its socket is closed.
//  2. submit_*() never blocks and never calls back.
//  3. The caller owns the Operation and the memory it names. From submit_*() until its completion both belong
//     to the port: they must not move, change or be freed.
//  4. A completion may be returned to another worker before submit_*() has returned to this one (real completion
//     ports do that): the caller must have written all it will need beforehand.
//  5. wait() never sleeps while completions are queued.
//
// Threads: a function marked WORKER may be called by any thread that steps the port. In a port with
// kSharedByWorkers == false that is one thread at a time; else several may call at once. ANY_THREAD means that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "port/address.h"
#include "port/file.h"
#include "port/status.h"

namespace iocp {

class Port;
class Socket;  // Owned by its port from the call that makes it until close(); each backend defines it.

// A system socket that belongs to no port yet: what an accept yields. Whoever holds it must attach() or
// discard() it.
enum class RawSocket : std::uintptr_t { none = ~std::uintptr_t{0} };

enum class OperationKind : std::uint8_t {
  none,
  accept,          // one new connection from a listener
  connect,         // an outgoing connection
  zero_byte_read,  // tells that a read would not block, and locks no buffer meanwhile
  read,            // bytes into one buffer
  write,           // gather write
  transmit,        // a head and a range of a file, without a copy in this process
  hang_up,         // the peer closed or reset its sending side, told even while bytes are unread
  post,            // no I/O: a message to whoever steps the port
};

enum class OperationPhase : std::uint8_t { idle, submitted };

using ConstBytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

// One request. Reusable after its completion. Not movable while submitted.
struct Operation {
  OperationKind kind = OperationKind::none;     // written by the port on submit
  OperationPhase phase = OperationPhase::idle;  // written by the port; asserted on every edge
  std::uint8_t tag = 0;                         // the caller's; the port never looks at it
  void* owner = nullptr;                        // the caller's; the port never looks at it
  alignas(8) std::byte backend[48] = {};        // OVERLAPPED, list links, … ; each backend asserts the fit

  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
};
static_assert(sizeof(Operation) <= 64, "thousands of these exist: keep one in a cache line");

struct AcceptOperation : Operation {
  RawSocket accepted = RawSocket::none;  // valid when the completion's status is ok, and then the caller's
  Address peer;                          // also filled for too_many_open_files when the backend could tell
};

struct TransmitOperation : Operation {
  // Kept here by submit_transmit() for the port; the caller has no business with them.
  ConstBytes head;
  RawFile file = RawFile::none;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  alignas(8) std::byte transmit_backend[32] = {};  // TRANSMIT_FILE_BUFFERS; each backend asserts the fit
};

struct Completion {
  Operation* operation = nullptr;
  Status status = Status::ok;
  std::uint32_t bytes = 0;  // read: 0 with ok = end of stream. write: may be less than was asked
};

// What submit_*() answers. Not pending: the operation is finished, with this result, and no Completion will
// follow (FILE_SKIP_COMPLETION_PORT_ON_SUCCESS made the rule). Pending: exactly one Completion will follow.
struct Submission {
  bool pending = true;
  Status status = Status::ok;
  std::uint32_t bytes = 0;
};

struct KeepAlive {
  bool enabled = true;
  std::uint32_t initial_delay_ms = 60'000;
  std::uint32_t interval_ms = 20'000;
  std::uint32_t count = 3;
};

struct SocketOptions {
  bool no_delay = true;
  KeepAlive keep_alive;
  std::uint32_t user_timeout_ms = 0;  // TCP_USER_TIMEOUT where the system has it; 0 = the system's default
};

struct ListenOptions {
  Address address;   // family local: `path` instead
  std::string path;  // Unix-domain socket path
  std::uint32_t backlog = 511;
  bool ipv6_only = false;   // false on "::" = dual stack
  bool reuse_port = false;  // SO_REUSEPORT; not_supported where the system lacks load balancing
};

enum class CloseMode : std::uint8_t {
  normal,  // what the kernel still holds is sent, then FIN
  reset,   // RST: unsent bytes are thrown away
};

// TCP's own view of a connection; fields the system cannot tell stay 0.
struct TcpInfo {
  std::uint32_t rtt_us = 0;
  std::uint32_t rtt_variance_us = 0;
  std::uint32_t retransmits_total = 0;
  std::uint32_t congestion_window_segments = 0;
  std::uint32_t unacknowledged_segments = 0;
  std::uint64_t delivery_rate_bytes_per_second = 0;
};

// How often the port did what; monotonous, cheap, read for stats() and asserted by tests.
struct PortCounters {
  std::uint64_t waits = 0;            // system calls that fetch completions or readiness
  std::uint64_t completions = 0;      // returned by wait()
  std::uint64_t accepts = 0;          // accepted sockets
  std::uint64_t connects = 0;         // connect operations submitted
  std::uint64_t zero_byte_reads = 0;  // submitted
  std::uint64_t reads = 0;            // read() and read_now() that moved bytes or met the end
  std::uint64_t empty_reads = 0;      // … that found nothing
  std::uint64_t writes = 0;           // write system calls that moved bytes, write_now() included
  std::uint64_t blocked_writes = 0;   // … that found the socket full, transmits included
  std::uint64_t transmits = 0;        // transmits that moved bytes
  std::uint64_t transmit_bytes = 0;   // … and how many, heads included
  std::uint64_t posts = 0;
  std::uint64_t wakes = 0;  // posts that had to wake a sleeping wait()
};

class Port {
 public:
  // True when several workers share one port (Windows); false when each worker has its own.
  static const bool kSharedByWorkers;
  // True when a pending read costs one call and its completion, so that a busy connection is served best by one; false
  // where it is a read tried too early, which costs a call more than waiting for readiness does.
  static const bool kPendingReadsSaveCalls;
  // What one transmit is best asked for: much, where its completion tells in time how far it came; where it comes only
  // when everything has been sent, as much as may go unmentioned.
  static const std::uint32_t kBestTransmitBytes;
  // "epoll", "iocp", "kqueue", "sim".
  static const char* name() noexcept;

  Port();
  ~Port();  // close() must have been called, or open() never have succeeded
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  // --- the port itself -------------------------------------------------------------------------------------

  // Makes the system objects. Anything but ok leaves the port as it was; it may be tried again.
  Status open() noexcept;
  // Frees them. Every socket must be closed and every operation completed.
  void close() noexcept;
  // Returns up to out.size() completions, at least one if any is due within timeout_ms (-1 = no limit,
  // 0 = do not sleep). More may be left: call again. WORKER.
  std::size_t wait(std::span<Completion> out, std::int32_t timeout_ms) noexcept;
  // Completes `operation` through wait() with ok and `bytes` = 0. ANY_THREAD; wakes a sleeping wait().
  void post(Operation* operation) noexcept;
  // True when the next wait(…, 0) would return something without asking the system. WORKER.
  bool has_queued() const noexcept;
  // A descriptor that polls readable when wait(…, 0) would ask the system and find something, for a host's
  // event loop; -1 where the system has none.
  int host_descriptor() const noexcept;
  // ANY_THREAD; each figure exact, not all at one instant; zeros while the port is not open.
  PortCounters counters() const noexcept;

  // --- sockets ---------------------------------------------------------------------------------------------

  // Binds and listens. `bound` receives the address with the port the system chose. ANY_THREAD.
  Status listen(const ListenOptions& options, Socket** listener, Address* bound) noexcept;
  // Takes a raw socket over. On failure the raw socket is discarded. WORKER.
  Status attach(RawSocket raw, const SocketOptions& options, Socket** out) noexcept;
  // Resets and closes a connection nobody wants. ANY_THREAD.
  static void discard(RawSocket raw) noexcept;
  // A new unconnected socket for submit_connect(); `local` (may be null) is bound first. WORKER.
  Status open_stream(Family family, const SocketOptions& options, const Address* local, Socket** out) noexcept;
  // No more writes: FIN follows what was written. WORKER.
  Status shutdown_write(Socket* socket) noexcept;
  // Ends the socket; `socket` is invalid afterwards. Its pending operations complete with cancelled (or with
  // the result they had reached). Works for listeners too. WORKER.
  void close_socket(Socket* socket, CloseMode mode) noexcept;
  Address local_address(const Socket* socket) const noexcept;
  Address peer_address(const Socket* socket) const noexcept;
  TcpInfo tcp_info(const Socket* socket) const noexcept;

  // --- operations: WORKER ------------------------------------------------------------------------------------

  // Several may be pending on one listener. too_many_open_files: the peer was turned away, `peer` tells whom.
  Submission submit_accept(AcceptOperation* operation, Socket* listener) noexcept;
  // `path` serves Family::local. At most one, on a fresh socket.
  Submission submit_connect(Operation* operation, Socket* socket, const Address& to, const std::string& path) noexcept;
  // Completes when read_now() would not answer would_block. bytes = 0.
  Submission submit_zero_byte_read(Operation* operation, Socket* socket) noexcept;
  // Several may be pending on one socket; the stream's bytes fill them in the order of submission, but their
  // completions may be returned in any order.
  Submission submit_read(Operation* operation, Socket* socket, MutableBytes target) noexcept;
  // At most one write or transmit pending per socket. `slices` (not only the bytes) must live until completion; at most
  // kMaxSlices.
  Submission submit_write(Operation* operation, Socket* socket, std::span<const ConstBytes> slices) noexcept;
  // `head`, then `length` bytes of `file` from `offset`, as one stretch of the stream. The file's bytes do not pass
  // through this process's memory. Counts as the socket's one write. `head` and `length` are not both empty; `length`
  // is at most kMostTransmitBytes. The file stays open, and the head where it is, until completion.
  //   ok           `bytes` of head and range, in order, at least one; fewer than asked: go on from there. POSIX systems
  //                tell it after a tenth of a second if not everything was sent by then.
  //   file_shrank  The file ends at or before `offset`. This and io_error, file_too_large, invalid_argument and
  //                out_of_memory are the file's: this operation sent nothing, and the connection is as it was.
  //   others       The connection's, as for a write.
  // POSIX systems send up to 64 KiB on the calling thread, which sleeps while what is not in memory is read
  // (File::prefetch() helps), and everything else on a thread of their own. out_of_memory: there is no such thread.
  Submission submit_transmit(TransmitOperation* operation, Socket* socket, const File& file, std::uint64_t offset,
                             std::uint32_t length, ConstBytes head) noexcept;
  // Completes with ok on the peer's FIN, with the error on a reset. At most one pending per socket.
  Submission submit_hang_up(Operation* operation, Socket* socket) noexcept;
  // Asks for an early end. The completion still arrives through wait(): cancelled, or the result already reached.
  void cancel(Operation* operation, Socket* socket) noexcept;

  // A non-blocking read, no operation involved. ok with *bytes == 0 is the end of the stream.
  Status read_now(Socket* socket, MutableBytes target, std::uint32_t* bytes) noexcept;
  // A non-blocking gather write, no operation involved, not while a write or transmit is pending: the slices are the
  // caller's again when it returns. May take less than it was given; would_block = nothing, submit_write() waits.
  Status write_now(Socket* socket, std::span<const ConstBytes> slices, std::uint32_t* bytes) noexcept;

  // Most slices one write takes.
  static constexpr std::size_t kMaxSlices = 64;
  // Most bytes of a file one transmit takes: what every system's call can be asked for.
  static constexpr std::uint32_t kMostTransmitBytes = std::uint32_t{1} << 30;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iocp
