// A lane: one completion port and what lives on it. The workers that step a lane share it (on Windows one lane has
// many workers; elsewhere exactly one). A context stays in its lane for life, and so do its events, which is what
// keeps them in order.
//
// Lock order: a context's lock first, then at most one of the leaf locks here (inbox, timers, lists, mailbox, pools).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/buffer_pool.h"
#include "core/client_context.h"
#include "core/mailbox.h"
#include "core/room.h"
#include "core/timer_wheel.h"
#include "port/port.h"

namespace iocp {

// A listening socket. Lives in the first lane; its connections are dealt out to all.
struct Listener {
  std::uint32_t id = 0;
  Socket* socket = nullptr;
  std::vector<std::unique_ptr<AcceptOperation>> operations;
  std::vector<AcceptOperation*> resting;  // not submitted now
  Timer timer;                            // ends a rest after the system ran out of something
  bool closing = false;
};

// An outgoing connection until it is one.
struct ConnectRequest {
  Operation operation;
  Socket* socket = nullptr;
  std::uint32_t token = 0;
  Address to;
  std::string path;
  Address local;  // family none = the system chooses
  std::uint32_t timeout_ms = 0;
  Timer timer;
  bool timed_out = false;
};

// What is asked of a lane from outside its workers. A command about a context holds one reference of it.
struct Command {
  enum class Verb : std::uint8_t {
    flush,       // write what is queued
    finish,      // the owner's answer to `ended`
    disconnect,  // a = 1 graceful with grace b ms, a = 0 reset
    abort,       // a = Status: maxQueuedBytes was exceeded, or memory for the rest of a package
    pause,
    resume,
    assign,     // find it a logical worker, if it has none
    depart,     // a = the logical worker that is to let go of it
    release,    // a = the logical worker that did; object: Luggage or null
    orphan,     // a = the logical worker that has gone
    file_room,  // the disk took what the context waited with
    end,        // the engine closes: graceful, absolute deadline after b ms; a = 1: reset now
    adopt,      // object: Adoption
    listen,     // object: Listener
    close_listeners,
    hold_accepts,
    resume_accepts,
    connect,         // object: ConnectRequest
    cancel_connect,  // a = token
    cancel_connects,
  };
  Verb verb = Verb::flush;
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  ClientContext* context = nullptr;
  void* object = nullptr;
};

// An accepted socket on its way to the lane that will serve it.
struct Adoption {
  RawSocket raw = RawSocket::none;
  Address peer;
  std::uint32_t listener_id = 0;
};

// Written by the lane's workers, read by anyone.
struct LaneCounters {
  std::atomic<std::uint64_t> packages_received{0};
  std::atomic<std::uint64_t> bytes_received{0};
  std::atomic<std::uint64_t> bytes_sent{0};
  std::atomic<std::uint64_t> file_bytes_received{0};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> connected{0};
  std::atomic<std::uint64_t> disconnected{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> stalls{0};
  std::atomic<std::uint64_t> buffer_shortages{0};  // ENOBUFS met and survived
  std::atomic<std::uint64_t> steps{0};
};

class Lane {
 public:
  explicit Lane(std::uint32_t index_of) : index(index_of) { retry_timer.kind = Timer::Kind::retry; }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  const std::uint32_t index;
  Port port;
  Mailbox mailbox;
  LaneCounters counters;
  BufferPool write_operations{sizeof(WriteOperation), 0};
  BufferPool read_operations{sizeof(ReadOperation), 0};

  // --- commands ------------------------------------------------------------------------------------------------

  // Whether threads step this lane, who sleep and must be woken, rather than its owner. Only the owner changes it, and
  // only while nobody steps (Engine::hand_over); anybody may look.
  std::atomic<bool> stepped_by_threads{false};

  // ANY_THREAD. A thread that sleeps is woken (once per idle-to-busy change).
  void enqueue(const Command& command) {
    {
      ScopedLock guard(inbox_mutex_);
      inbox_.push_back(command);
    }
    wake_thread();
  }
  void enqueue_all(const std::vector<Command>& commands) {
    {
      ScopedLock guard(inbox_mutex_);
      inbox_.insert(inbox_.end(), commands.begin(), commands.end());
    }
    wake_thread();
  }
  // As wake(), but an owner that steps the lane needs none.
  void wake_thread() {
    if (stepped_by_threads.load(std::memory_order_relaxed)) wake();
  }
  // … and the other way round: after enqueue() by somebody else than the owner, who may be the one that steps.
  void wake_owner() {
    if (!stepped_by_threads.load(std::memory_order_relaxed)) wake();
  }
  void wake() {
    if (!wake_posted.exchange(true, std::memory_order_acq_rel)) port.post(&wake_operation);
  }
  // Commands are run by one worker at a time: two that each took some would run a resume() before the pause() that
  // came first. False when there are none, or another worker is at it; else commands_done() must follow.
  bool take_commands(std::vector<Command>* into) {
    into->clear();
    ScopedLock guard(inbox_mutex_);
    if (commands_running_ || inbox_.empty()) return false;
    commands_running_ = true;
    inbox_.swap(*into);
    return true;
  }
  void commands_done() {
    ScopedLock guard(inbox_mutex_);
    commands_running_ = false;
  }
  // True when take_commands() would find some. What comes while another worker runs commands is that worker's, who
  // looks again before it sleeps.
  bool has_commands() const {
    ScopedLock guard(inbox_mutex_);
    return !commands_running_ && !inbox_.empty();
  }

  Operation wake_operation;
  std::atomic<bool> wake_posted{false};

  // --- timers --------------------------------------------------------------------------------------------------

  // True when it was not scheduled before (so the caller's object gained a reference).
  bool schedule(Timer* timer, std::uint64_t deadline_ms) {
    ScopedLock guard(timers_mutex_);
    const bool fresh = !timer->scheduled();
    timers_.schedule(timer, deadline_ms);
    return fresh;
  }
  // As schedule(), but a deadline that is set already stays.
  void schedule_once(Timer* timer, std::uint64_t deadline_ms) {
    ScopedLock guard(timers_mutex_);
    if (!timer->scheduled()) timers_.schedule(timer, deadline_ms);
  }
  // True when it was scheduled (so a reference is to be given back).
  bool cancel(Timer* timer) {
    ScopedLock guard(timers_mutex_);
    const bool was = timer->scheduled();
    timers_.cancel(timer);
    return was;
  }
  // What a due timer belongs to, or false. Read under the lock: once it is released, another worker may find the
  // timer no longer scheduled and free it.
  struct Due {
    Timer::Kind kind = Timer::Kind::context;
    void* owner = nullptr;
  };
  bool expire(std::uint64_t now_ms, Due* due) {
    ScopedLock guard(timers_mutex_);
    const auto* timer = static_cast<const Timer*>(timers_.expire(now_ms));
    if (timer == nullptr) return false;
    *due = {timer->kind, timer->owner};
    return true;
  }
  std::int32_t next_due_in(std::uint64_t now_ms) {
    ScopedLock guard(timers_mutex_);
    return timers_.next_due_in(now_ms);
  }

  // --- contexts that wait ----------------------------------------------------------------------------------------

  // For room in the mailbox, this one or a logical worker's.
  Room room;
  std::atomic<bool> unstall_requested{false};
  void want_room(Room& wanted, std::uint32_t epoch_when_refused) {
    if (wanted.want(epoch_when_refused)) unstall_requested.store(true, std::memory_order_release);
  }
  // Owner. True: somebody waits, and a step must follow.
  bool make_room() {
    if (!room.make()) return false;
    unstall_requested.store(true, std::memory_order_release);
    return true;
  }
  void add_stalled(ClientContext* context) {
    ScopedLock guard(lists_mutex_);
    stalled_.push_back(context);
  }
  void take_stalled(std::vector<ClientContext*>* into) {
    into->clear();
    ScopedLock guard(lists_mutex_);
    stalled_.swap(*into);
  }

  // For memory or buffers of the system, until retry_timer fires.
  Timer retry_timer;
  void add_retry(ClientContext* context) {
    ScopedLock guard(lists_mutex_);
    retry_.push_back(context);
  }
  void take_retry(std::vector<ClientContext*>* into) {
    into->clear();
    ScopedLock guard(lists_mutex_);
    retry_.swap(*into);
  }

  // --- accepting and connecting: guarded by connections_mutex
  // ---------------------------------------------------------

  Mutex connections_mutex;
  std::vector<std::unique_ptr<Listener>> listeners IOCP_GUARDED_BY(connections_mutex);
  std::map<std::uint32_t, std::unique_ptr<ConnectRequest>> connects IOCP_GUARDED_BY(connections_mutex);
  bool accepts_held IOCP_GUARDED_BY(connections_mutex) = false;

 private:
  mutable Mutex inbox_mutex_;
  std::vector<Command> inbox_ IOCP_GUARDED_BY(inbox_mutex_);
  bool commands_running_ IOCP_GUARDED_BY(inbox_mutex_) = false;
  Mutex timers_mutex_;
  TimerWheel timers_ IOCP_GUARDED_BY(timers_mutex_);
  Mutex lists_mutex_;
  std::vector<ClientContext*> stalled_ IOCP_GUARDED_BY(lists_mutex_);
  std::vector<ClientContext*> retry_ IOCP_GUARDED_BY(lists_mutex_);
};

}  // namespace iocp
