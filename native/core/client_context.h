// One connection, from its socket to its last event. A context is named by slot and generation (context_table.h);
// nothing outside the core holds a pointer to it. Plain state: the reactions are Worker's.
//
// Lifetime: every pending operation, scheduled timer, queued command and list entry holds one reference, each with
// its reason (the article's EnterIoLoop / ReleaseClientContext). The context that closed and lost its last
// reference is reported as disconnected, once, and recycled when its owner has taken that record.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/file_transfer.h"
#include "core/framer.h"
#include "core/limits.h"
#include "core/read_allowance.h"
#include "core/records.h"
#include "core/send_queue.h"
#include "core/sequencer.h"
#include "core/timer_wheel.h"
#include "port/mutex.h"
#include "port/port.h"

namespace iocp {

class Lane;
class LogicalWorker;

// What a Timer in a lane's wheel belongs to.
struct Timer : TimerNode {
  enum class Kind : std::uint8_t { context, connect, accept, retry };
  Kind kind = Kind::context;
  void* owner = nullptr;
};

// Operation::tag of everything a worker submits.
enum class Tag : std::uint8_t { wake, accept, connect, zero_byte_read, read, write, transmit, hang_up };

// Why a context may not be recycled yet.
enum class Reference : std::uint8_t { zero_byte_read, read, write, hang_up, timer, command, stalled, retry };
constexpr std::size_t kReferenceReasons = 8;

enum class ContextState : std::uint8_t {
  open,    // packages flow both ways
  ending,  // no more sends are taken; what is queued goes out, then FIN, then the peer's FIN is awaited
  closed,  // the socket is gone; pending operations are on their way back
};

struct WriteOperation : Operation {
  std::size_t bytes = 0;  // in all slices
  std::array<ConstBytes, Port::kMaxSlices> slices;
};

// One pending (overlapped) read with its buffer. A parked one remembers its own result.
struct ReadOperation : Operation {
  std::uint64_t number = 0;
  std::uint8_t* buffer = nullptr;
  Status status = Status::ok;
  std::uint32_t bytes = 0;
  std::uint32_t used = 0;  // bytes already framed, when a full mailbox interrupted it
};

// The several pending reads of one context and the order of their bytes.
struct PendingReads {
  explicit PendingReads(std::uint32_t capacity) : sequencer(capacity), allowance(capacity), live(capacity) {}
  Sequencer<ReadOperation> sequencer;
  ReadAllowance allowance;
  std::uint32_t in_flight = 0;
  std::uint64_t bytes_at_timer = 0;  // received in all when the timer was set that gives them back
  bool giving_back = false;          // idle: cancelled, to wait with a zero-byte read again
  std::vector<ReadOperation*> live;  // in flight, by number % capacity, for cancelling
};

// Bytes that were read but could not be framed because the mailbox had no room.
struct Backlog {
  std::unique_ptr<std::uint8_t[]> bytes;
  std::size_t length = 0;
  std::size_t used = 0;
};

// A `written` record is due once that many bytes were sent in all.
struct SendMark {
  std::uint64_t position;
  std::uint32_t token;
};

// What a context takes along from one logical worker to the next: bytes that mean nothing here.
using Luggage = std::vector<std::uint8_t>;

struct DisconnectReason {
  DisconnectedBy by = DisconnectedBy::local;
  Status status = Status::disconnected;
  Syscall syscall = Syscall::none;
  std::string message;  // empty = the status' own
};

// What few contexts have at a time. Apart from them, so that one that is quiet pays for one pointer.
struct Seldom {
  std::unique_ptr<Operation> hang_up;
  std::unique_ptr<Backlog> backlog;
  std::unique_ptr<Luggage> luggage;
  std::unique_ptr<std::deque<SendMark>> marks;
  std::unique_ptr<ContextFiles> files;
  std::unique_ptr<DisconnectReason> disconnect_reason;
};

class ClientContext {
 public:
  ClientContext(Lane& lane_of, std::uint32_t slot_of, std::uint32_t generation_of)
      : lane(lane_of), slot(slot_of), generation(generation_of) {
    zero_byte_read.owner = this;
    zero_byte_read.tag = static_cast<std::uint8_t>(Tag::zero_byte_read);
    timer.kind = Timer::Kind::context;
    timer.owner = this;
  }
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  Lane& lane;
  const std::uint32_t slot;
  const std::uint32_t generation;

  CompactMutex lock;

  void enter(Reference reason) IOCP_REQUIRES(lock) {
    ++references;
#if defined(IOCP_DEBUG_CHECKS)
    ++reasons[static_cast<std::size_t>(reason)];
#else
    static_cast<void>(reason);
#endif
  }

  // True when this was the last reference of a closed context: the caller, after unlocking, must publish its end
  // and never touch it again.
  [[nodiscard]] bool leave(Reference reason) IOCP_REQUIRES(lock) {
    IOCP_CHECK(references > 0);
    --references;
#if defined(IOCP_DEBUG_CHECKS)
    IOCP_CHECK(reasons[static_cast<std::size_t>(reason)]-- > 0);
#else
    static_cast<void>(reason);
#endif
    if (references > 0 || state != ContextState::closed || finalized) return false;
    finalized = true;
    return true;
  }

  // Nobody wants its packages now; its end is watched for all the same.
  bool rests() const IOCP_REQUIRES(lock) { return paused || unserved; }
  bool accepts_sends() const IOCP_REQUIRES(lock) { return state == ContextState::open && !abort_queued; }

  // --- state -------------------------------------------------------------------------------------------------
  ContextState state IOCP_GUARDED_BY(lock) = ContextState::open;
  bool finalized : 1 IOCP_GUARDED_BY(lock) = false;  // the disconnected record was or is being written
  bool announced : 1 IOCP_GUARDED_BY(lock) = false;  // its owner has taken the connected record
  bool paused : 1 IOCP_GUARDED_BY(lock) = false;
  bool unserved : 1 IOCP_GUARDED_BY(lock) = false;  // a logical worker is to have its packages, and there is none
  bool leaving : 1 IOCP_GUARDED_BY(lock) = false;   // … because the one that it has is asked to let go of it
  bool ends_when_released : 1 IOCP_GUARDED_BY(lock) = false;  // … and the engine closes then; timer: at the latest
  bool introduced : 1 IOCP_GUARDED_BY(lock) = false;          // some logical worker knew it
  bool peer_ended : 1 IOCP_GUARDED_BY(lock) = false;          // the peer's FIN was read
  bool end_seen : 1 IOCP_GUARDED_BY(lock) = false;            // … or seen while bytes before it are unread
  bool end_told : 1 IOCP_GUARDED_BY(lock) = false;            // the `ended` record was written
  bool write_shut : 1 IOCP_GUARDED_BY(lock) = false;          // our FIN is out
  bool flush_queued : 1 IOCP_GUARDED_BY(lock) = false;        // a flush command is on its way
  bool abort_queued : 1 IOCP_GUARDED_BY(lock) = false;        // a command that ends it is on its way
  bool drain_armed : 1 IOCP_GUARDED_BY(lock) = false;         // the owner wants to know when the queue is low
  bool worker_drain_armed : 1 IOCP_GUARDED_BY(lock) = false;  // the logical worker does
  bool stalled : 1 IOCP_GUARDED_BY(lock) = false;             // waits for room in the mailbox
  bool zero_byte_pending : 1 IOCP_GUARDED_BY(lock) = false;
  bool hang_up_pending : 1 IOCP_GUARDED_BY(lock) = false;
  bool retry_queued : 1 IOCP_GUARDED_BY(lock) = false;
  bool waits_for_disk : 1 IOCP_GUARDED_BY(lock) = false;     // a file's bytes come faster than they can be written
  bool busy : 1 IOCP_GUARDED_BY(lock) = false;               // bytes come often enough to wait for them with buffers
  bool absolute_deadline : 1 IOCP_GUARDED_BY(lock) = false;  // progress does not extend the grace period
  bool counted_as_drained : 1 IOCP_GUARDED_BY(lock) = false;
  std::uint8_t last_read_kib IOCP_GUARDED_BY(lock) = 0;  // what its last read into a slab brought, rounded up
  std::uint32_t grace_ms IOCP_GUARDED_BY(lock) = 0;
  std::uint32_t references IOCP_GUARDED_BY(lock) = 0;
  // No write asks for more; lowered when the system ran out of buffers.
  std::uint32_t most_write_bytes IOCP_GUARDED_BY(lock) = kAnyWriteBytes;
  Socket* socket IOCP_GUARDED_BY(lock) = nullptr;
  Timer timer;                                                    // guarded by the lane's timer lock
  std::uint64_t timer_due_ms IOCP_GUARDED_BY(lock) = UINT64_MAX;  // what its owner knows of it; UINT64_MAX = not set

  // --- the way in --------------------------------------------------------------------------------------------
  Operation zero_byte_read IOCP_GUARDED_BY(lock);
  Framer framer IOCP_GUARDED_BY(lock);
  std::unique_ptr<PendingReads> reads IOCP_GUARDED_BY(lock);
  std::uint64_t last_turn_ms IOCP_GUARDED_BY(lock) = 0;  // when a zero-byte read last completed

  std::shared_ptr<LogicalWorker> worker
      IOCP_GUARDED_BY(lock);  // that its packages are for; null = the owner, or nobody yet

  // --- the way out -------------------------------------------------------------------------------------------
  SendQueue queue IOCP_GUARDED_BY(lock);
  WriteOperation* write IOCP_GUARDED_BY(lock) = nullptr;  // in flight

  // A write or a transmit is in flight: the queue's front is the port's.
  bool writing() const IOCP_REQUIRES(lock) { return write != nullptr || (files() != nullptr && files()->transmitting); }

  // --- what few contexts have at a time --------------------------------------------------------------------------
  std::unique_ptr<Seldom> seldom IOCP_GUARDED_BY(lock);  // null until there was some of it
  Seldom& some() IOCP_REQUIRES(lock) {
    if (seldom == nullptr) seldom = std::make_unique<Seldom>();
    return *seldom;
  }
  // Null until there was one:
  ContextFiles* files() const IOCP_REQUIRES(lock) { return seldom == nullptr ? nullptr : seldom->files.get(); }
  ContextFiles& files_made() IOCP_REQUIRES(lock) {
    if (files() == nullptr) some().files = std::make_unique<ContextFiles>();
    return *files();
  }
  Backlog* backlog() const IOCP_REQUIRES(lock) { return seldom == nullptr ? nullptr : seldom->backlog.get(); }
  Luggage* luggage() const IOCP_REQUIRES(lock) { return seldom == nullptr ? nullptr : seldom->luggage.get(); }

  // --- figures --------------------------------------------------------------------------------------------------
  std::uint64_t bytes_received IOCP_GUARDED_BY(lock) = 0;
  std::uint64_t bytes_sent IOCP_GUARDED_BY(lock) = 0;
  std::uint64_t packages_received IOCP_GUARDED_BY(lock) = 0;
  std::uint64_t packages_sent IOCP_GUARDED_BY(lock) = 0;

#if defined(IOCP_DEBUG_CHECKS)
  std::array<std::uint32_t, kReferenceReasons> reasons IOCP_GUARDED_BY(lock) = {};
#endif
};
#if !defined(IOCP_DEBUG_CHECKS)
static_assert(sizeof(ClientContext) <= 288, "tens of thousands exist");
#endif

}  // namespace iocp
