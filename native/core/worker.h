// A worker: one turn of the engine at a time. collect() fetches completions from the lane's port, sleeping there if
// it may; step() reacts to them. Neither holds a thread or looks at a clock, so the same code is driven by an I/O
// thread, by JavaScript's event loop, and by the simulator with virtual time.
//
// The reactions are spread over worker.cc (the turn itself), worker_accepts.cc, worker_connects.cc, worker_reads.cc,
// worker_writes.cc, worker_files.cc, worker_service.cc and worker_endings.cc. They run under the context's lock and
// never call out.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/engine.h"
#include "core/lane.h"
#include "core/limits.h"
#include "core/payload_allocator.h"
#include "port/port.h"

namespace iocp {

class Worker {
 public:
  Worker(Engine& engine, Lane& lane);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Fetches completions, sleeping up to `timeout_ms` (-1 = no limit) if there is nothing to do. Returns how many.
  std::size_t collect(std::int32_t timeout_ms);
  // Reacts to what was collected and commanded, and fires the timers due at `now_ms`. Bounded work.
  void step(std::uint64_t now_ms);
  // The part of a step that follows from the owner's commands, without timers or completions. For an owner that
  // steps on its own thread and has just given some.
  void run_commands(std::uint64_t now_ms);
  // True when step() would find something without collect().
  bool has_work() const;
  // How long collect() may sleep: 0 … , -1 = until woken.
  std::int32_t sleep_limit_ms(std::uint64_t now_ms);

  Lane& lane() noexcept { return lane_; }

  // ANY_THREAD. Memory for large payloads that is begun but not in use at this moment is no longer kept for later.
  void give_arena_back() noexcept { payload_allocator_.give_back(); }

 private:
  // --- the turn (worker.cc) ------------------------------------------------------------------------------------
  void fire_timers();
  void run_inbox();
  void run(const Command& command);
  void run_on_context(const Command& command);
  void react_to_finished();
  void react(const Completion& completion);
  void react_in_context(const Completion& completion);
  void note(Operation* operation, const Submission& submission);
  void release(ClientContext& context, Reference reason) IOCP_EXCLUDES(context.lock);
  void publish_disconnected(ClientContext& context);
  void unstall();
  void retry();
  // At the end of a turn, under no lock: rouses those for whom something was written.
  void ring();

  // --- accepting (worker_accepts.cc) -----------------------------------------------------------------------------
  void open_listener(Listener* listener);
  void post_accepts(Listener& listener) IOCP_REQUIRES(lane_.connections_mutex);
  void on_accept(AcceptOperation* operation, Status status);
  void resume_accepts();
  void hold_accepts();
  void release_accepts();
  void close_listeners();
  std::unique_ptr<Listener> take_out(const Listener& listener) IOCP_REQUIRES(lane_.connections_mutex);
  bool listener_is_done(const Listener& listener) const IOCP_REQUIRES(lane_.connections_mutex);
  void place(RawSocket raw, const Address& peer, std::uint32_t listener_id);
  void adopt(const Adoption& adoption);
  void refuse(Status status, const Address& peer);
  void announce(ClientContext& context, std::uint32_t token, std::uint32_t listener_id) IOCP_REQUIRES(context.lock);
  // Writes a `connected` record; `subject` as Mailbox::control().
  void write_connected(Mailbox& mailbox, ClientContext& context, std::uint32_t token, std::uint32_t listener_id,
                       ClientContext* subject) IOCP_REQUIRES(context.lock);
  // Makes a context around a connected socket and starts reading. Null: out of memory, socket closed.
  ClientContext* welcome(Socket* socket, std::uint32_t token, std::uint32_t listener_id);

  // --- connecting (worker_connects.cc) -----------------------------------------------------------------------------
  void start_connect(ConnectRequest* request);
  void on_connect(ConnectRequest* request, Status status);
  void on_connect_timer(ConnectRequest* request);
  void cancel_connect(std::uint32_t token);
  void cancel_connects();
  void connect_failed(std::uint32_t token, Status status, Syscall syscall);

  // --- reading (worker_reads.cc) -------------------------------------------------------------------------------------
  void continue_reading(ClientContext& context) IOCP_REQUIRES(context.lock);
  bool may_read(const ClientContext& context) const IOCP_REQUIRES(context.lock);
  // Sees to it that something is pending that brings the context's next turn.
  void wait_for_bytes(ClientContext& context) IOCP_REQUIRES(context.lock);
  bool waits_with_buffers(ClientContext& context) IOCP_REQUIRES(context.lock);
  void arm_zero_byte_read(ClientContext& context) IOCP_REQUIRES(context.lock);
  void on_zero_byte_read(ClientContext& context, Status status) IOCP_REQUIRES(context.lock);
  void read_until_empty(ClientContext& context) IOCP_REQUIRES(context.lock);
  // One read, into the mailbox if that is possible: whole packages that come there need not be copied.
  struct Read {
    Status status = Status::ok;
    std::uint32_t bytes = 0;
    ConstBytes rest;       // still to be framed
    bool no_room = false;  // nothing was read, for the mailbox could not take it
  };
  ReceivingRun open_run(ClientContext& context) IOCP_REQUIRES(context.lock);
  MutableBytes read_target(ClientContext& context, const ReceivingRun& run) IOCP_REQUIRES(context.lock);
  Read read_some(ClientContext& context, MutableBytes target) IOCP_REQUIRES(context.lock);
  bool may_read_in_place(const ClientContext& context) const IOCP_REQUIRES(context.lock);
  Read read_in_place(ClientContext& context, Mailbox::Writer& writer, MutableBytes place) IOCP_REQUIRES(context.lock);
  bool feed_all(ClientContext& context, ConstBytes bytes, ReceivingRun* run = nullptr) IOCP_REQUIRES(context.lock);
  void top_up_reads(ClientContext& context) IOCP_REQUIRES(context.lock);
  bool submit_read(ClientContext& context) IOCP_REQUIRES(context.lock);
  void on_read(ClientContext& context, ReadOperation* operation, Status status, std::uint32_t bytes)
      IOCP_REQUIRES(context.lock);
  void on_read_while_paused(ClientContext& context) IOCP_REQUIRES(context.lock);
  bool take_parked_reads(ClientContext& context) IOCP_REQUIRES(context.lock);
  bool feed_parked(ClientContext& context, ReadOperation& operation) IOCP_REQUIRES(context.lock);
  void free_read(ReadOperation* operation);
  void give_reads_back(ClientContext& context) IOCP_REQUIRES(context.lock);
  void finish_giving_back(ClientContext& context) IOCP_REQUIRES(context.lock);
  // Frames bytes; returns how many were used. Fewer than all: the context stalled or was closed.
  std::size_t feed(ClientContext& context, ConstBytes bytes, ReceivingRun* run = nullptr) IOCP_REQUIRES(context.lock);
  std::size_t feed_packages(ClientContext& context, ConstBytes bytes, ReceivingRun* run) IOCP_REQUIRES(context.lock);
  bool feed_backlog(ClientContext& context) IOCP_REQUIRES(context.lock);
  void keep_backlog(ClientContext& context, ConstBytes bytes) IOCP_REQUIRES(context.lock);
  void stall(ClientContext& context, std::uint32_t room_epoch) IOCP_REQUIRES(context.lock);
  void on_end_of_stream(ClientContext& context) IOCP_REQUIRES(context.lock);
  void watch_hang_up(ClientContext& context) IOCP_REQUIRES(context.lock);
  void on_hang_up(ClientContext& context, Status status) IOCP_REQUIRES(context.lock);
  void watch_paused(ClientContext& context) IOCP_REQUIRES(context.lock);
  void look_for_end_while_paused(ClientContext& context) IOCP_REQUIRES(context.lock);
  void pause(ClientContext& context) IOCP_REQUIRES(context.lock);
  void resume(ClientContext& context) IOCP_REQUIRES(context.lock);

  // --- logical workers (worker_service.cc)
  // ----------------------------------------------------------------------------- Where the context's packages go, and
  // how to wait for room there.
  Mailbox& mailbox_of(ClientContext& context) IOCP_REQUIRES(context.lock) {
    if (context.worker == nullptr) return lane_.mailbox;
    return workers_mailbox(context);
  }
  Mailbox& workers_mailbox(ClientContext& context) IOCP_REQUIRES(context.lock);
  Room& room_of(ClientContext& context) IOCP_REQUIRES(context.lock) {
    if (context.worker == nullptr) return lane_.room;
    return workers_room(context);
  }
  static Room& workers_room(ClientContext& context) IOCP_REQUIRES(context.lock);
  void touch(const std::shared_ptr<LogicalWorker>& worker);
  // Gives an unserved context to the logical worker that has the fewest, if there is any.
  void assign(ClientContext& context) IOCP_REQUIRES(context.lock);
  // Starts to wait for packages, or only for the end while nobody wants them.
  void wait(ClientContext& context) IOCP_REQUIRES(context.lock);
  // Goes on after assign() of a context whose service was interrupted.
  void continue_service(ClientContext& context) IOCP_REQUIRES(context.lock);
  void on_assign(ClientContext& context) IOCP_REQUIRES(context.lock);
  void on_depart(ClientContext& context, std::uint32_t worker_number) IOCP_REQUIRES(context.lock);
  void on_release(ClientContext& context, std::uint32_t worker_number, std::unique_ptr<Luggage> luggage)
      IOCP_REQUIRES(context.lock);
  void on_orphan(ClientContext& context, std::uint32_t worker_number) IOCP_REQUIRES(context.lock);
  // The engine closes. True: a logical worker is first to process what it has of the context.
  bool finish_service(ClientContext& context, std::uint32_t grace_ms) IOCP_REQUIRES(context.lock);
  // The peer has finished sending: whoever is to answer that is told; nobody there means that nobody has to.
  void tell_end(ClientContext& context) IOCP_REQUIRES(context.lock);
  void tell_worker_of_drain(ClientContext& context) IOCP_REQUIRES(context.lock);

  // --- writing (worker_writes.cc)
  // --------------------------------------------------------------------------------------
  void write_queued(ClientContext& context) IOCP_REQUIRES(context.lock);
  void on_written(ClientContext& context, Status status, std::uint32_t bytes) IOCP_REQUIRES(context.lock);
  void note_progress(ClientContext& context, std::uint64_t bytes) IOCP_REQUIRES(context.lock);
  void queue_retry(ClientContext& context) IOCP_REQUIRES(context.lock);
  // The system had no buffers, or no memory for the request, which therefore moved nothing.
  static bool is_shortage(Status status) noexcept {
    return status == Status::no_buffer_space || status == Status::out_of_memory;
  }

  // --- files (worker_files.cc) ---------------------------------------------------------------------------------------
  // False: it is pending, or its completion is noted.
  bool transmit_front(ClientContext& context, FilePiece& piece, std::size_t* budget) IOCP_REQUIRES(context.lock);
  void on_transmitted(ClientContext& context, Status status, std::uint32_t bytes) IOCP_REQUIRES(context.lock);
  void on_source_failed(ClientContext& context, Status status) IOCP_REQUIRES(context.lock);
  void on_piece_sent(ClientContext& context, const FilePiece& piece) IOCP_REQUIRES(context.lock);
  // Where the next bytes of a raw run go; empty when there is none.
  MutableBytes raw_target(ClientContext& context) IOCP_REQUIRES(context.lock);
  void raw_received(ClientContext& context, std::size_t bytes) IOCP_REQUIRES(context.lock);
  std::size_t feed_raw(ClientContext& context, ConstBytes bytes) IOCP_REQUIRES(context.lock);
  void to_disk(const FileTransferPointer& transfer, const LargePayload& payload);
  void wait_for_disk(ClientContext& context, FileTransfer& transfer) IOCP_REQUIRES(context.lock);
  void take_chunk(ClientContext& context, LargePayload chunk) IOCP_REQUIRES(context.lock);

  // --- endings (worker_endings.cc)
  // ---------------------------------------------------------------------------------------
  struct Grace {
    bool limited = false;   // false: no deadline
    bool absolute = false;  // false: progress extends it
    std::uint32_t ms = 0;
  };
  void begin_ending(ClientContext& context, DisconnectReason reason, Grace grace) IOCP_REQUIRES(context.lock);
  void advance_ending(ClientContext& context) IOCP_REQUIRES(context.lock);
  void fail(ClientContext& context, DisconnectedBy by, Status status, Syscall syscall, std::string message = {})
      IOCP_REQUIRES(context.lock);
  // A read or write that failed: by the peer or by an error, according to the status.
  void fail_io(ClientContext& context, Status status, Syscall syscall) IOCP_REQUIRES(context.lock);
  void close_socket(ClientContext& context, CloseMode mode) IOCP_REQUIRES(context.lock);
  void set_timer(ClientContext& context, std::uint32_t delay_ms) IOCP_REQUIRES(context.lock);
  void cancel_timer(ClientContext& context) IOCP_REQUIRES(context.lock);
  void on_context_timer(ClientContext& context) IOCP_REQUIRES(context.lock);

  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t amount) noexcept {
    counter.fetch_add(amount, std::memory_order_relaxed);
  }

  Engine& engine_;
  Lane& lane_;
  std::uint64_t now_ms_ = 0;
  std::array<Completion, kCompletionsPerWait> collected_;
  std::size_t collected_count_ = 0;
  // Submissions that finished at once, reacted to in order, without recursion.
  std::vector<Completion> finished_;
  std::size_t finished_next_ = 0;
  std::vector<Command> commands_;
  std::unique_ptr<std::uint8_t[]> scratch_;
  PayloadAllocator payload_allocator_;
  const std::size_t series_room_;
  std::vector<std::shared_ptr<LogicalWorker>> touched_;  // for whom something was written in this turn; each once
};

}  // namespace iocp
