// The engine as its owner sees it: one JavaScript environment, one test, one benchmark. Every public function is
// for the owner's thread, unless marked otherwise. The engine starts no thread (worker_threads.h does) and reads no
// clock: whoever steps the workers brings the time.
//
// The owner lends slabs (supply), is told by the doorbell that there is something to take, takes it, reads the
// records, and says delivered(). Operating errors are Status values; nothing here throws.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/context_table.h"
#include "core/disk_queue.h"
#include "core/event_source.h"
#include "core/file_transfer.h"
#include "core/framing.h"
#include "core/lane.h"
#include "core/mailbox.h"
#include "core/outgoing.h"
#include "core/payload_arena.h"
#include "core/roster.h"
#include "port/port.h"

namespace iocp {

class Worker;

enum class OverflowPolicy : std::uint8_t { disconnect, drop, refuse };

struct EngineOptions {
  std::uint32_t lanes = 1;             // completion ports; 1 where workers share a port
  std::uint32_t workers_per_lane = 1;  // more than 1 only where Port::kSharedByWorkers
  bool wake_workers = false;           // threads step the workers from the start; they sleep and must be woken
  std::uint32_t max_connections = 10'000;
  std::int64_t max_free_buffers = 1024;   // 0 = no limit, -1 = never reuse
  std::int64_t max_free_contexts = 1024;  // same rule
  std::uint32_t pending_reads = 1;        // overlapped reads kept pending per busy context
  bool zero_byte_reads = true;            // idle contexts wait with a zero-byte read
  // Whether a busy context with one pending read waits with that read (true) or with a zero-byte read as well.
  bool buffer_when_busy = Port::kPendingReadsSaveCalls;
  Framing framing;
  SocketOptions socket;
  std::uint64_t high_water_mark = 64 * 1024;
  std::uint64_t low_water_mark = 32 * 1024;
  std::uint64_t max_queued_bytes = 16 * 1024 * 1024;
  OverflowPolicy on_overflow = OverflowPolicy::disconnect;
  bool deliver_to_workers = false;  // packages are for logical workers (logical_worker.h) instead of the owner
  bool file_transfer = false;       // packages of type kFileChunkType are chunks of files
};

// What travels of a file: `length` bytes, of a source from `begin`. Raw: as they are, in one run; else in chunks that
// name `id`, as far as `credit` goes.
struct FileRun {
  bool raw = false;
  std::uint32_t id = 0;
  std::uint64_t begin = 0;
  std::uint64_t length = 0;
  std::uint64_t credit = 0;
};

// Told, from any thread and never under a lock, that take() would find something it was not told of before. Silent for
// a lane that its owner steps.
struct Doorbell {
  void (*ring)(void* context) = nullptr;
  void* context = nullptr;
};

struct ContextFigures {
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t packages_received = 0;
  std::uint64_t packages_sent = 0;
  std::uint64_t queued_bytes = 0;
  bool peer_ended = false;
  bool connected = false;
};

struct ContextEnds {
  Address remote;
  Address local;
};

class Engine final : public EventSource {
 public:
  Engine(const EngineOptions& options, Doorbell doorbell);
  ~Engine() override;  // shut_down() must have been called, or start() never
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const EngineOptions& options() const noexcept { return options_; }

  // Where large payloads are received. None when packages are for logical workers: an arena holds payloads of several
  // contexts, and has one owner.
  PayloadArenas& payload_arenas() noexcept { return payload_arenas_; }
  // Gives memory of arenas back that nobody has wanted for a while.
  void trim_payload_arenas() noexcept;

  // Opens the ports. Anything but ok leaves nothing open.
  Status start();
  // Ends everything at once: resets every connection, swallows every event, closes the ports. No worker may be
  // stepping meanwhile (stop the threads first). Idempotent.
  void shut_down();

  std::size_t lane_count() const noexcept override { return lanes_.size(); }
  // Threads that step the same lane each need a worker of their own; `worker` 0 … worker_count() - 1.
  Worker& worker(std::size_t index) noexcept { return *workers_[index]; }
  std::size_t worker_count() const noexcept { return workers_.size(); }

  // Says who steps a lane from now on: threads, who must be woken and who ring the doorbell, or the owner, for whom
  // both would be in vain. Nobody may be stepping it at this moment. Nothing is lost: whoever takes over looks at what
  // is there before sleeping.
  void hand_over(std::uint32_t lane, bool to_threads);

  // --- events --------------------------------------------------------------------------------------------------

  void supply(std::uint32_t lane, std::uint32_t slab_index, std::uint8_t* memory, std::size_t bytes) override;
  void take(std::uint32_t lane, Mailbox::Batch* batch) override;
  void delivered(std::uint32_t lane, const Mailbox::Batch& batch) override;
  bool has_events() const noexcept override;

  // --- packages out ----------------------------------------------------------------------------------------------

  // Sends every record of an output batch (records.h); the bytes are the caller's again when it returns. What the owner
  // may write itself goes out from where it is, framed in place, unless `more` of the same turn follows; the rest is
  // copied and queued.
  void submit_batch(MutableBytes batch, bool more);
  // Sends one payload. What the system takes at once is written straight from the caller's memory, when the owner may
  // do that; the rest is copied and queued.
  Status send(std::uint32_t slot, std::uint32_t generation, ConstBytes payload, std::uint32_t flags);
  // Frames once; queues to `only` (pairs of slot and generation), or to every announced context when it is null.
  // Returns to how many.
  std::size_t broadcast(ConstBytes payload, std::uint32_t except_slot, const std::vector<std::uint32_t>* only);
  // Exact bytes queued, or -1 = gone. Above the high-water mark the `drain` record is armed.
  std::int64_t queued(std::uint32_t slot, std::uint32_t generation);

  // --- connections -------------------------------------------------------------------------------------------------

  struct Listening {
    Status status = Status::ok;
    std::uint32_t id = 0;
    Address bound;
  };
  Listening listen(const ListenOptions& options);
  Status connect(std::uint32_t token, const Address& to, const std::string& path, const Address& local,
                 std::uint32_t timeout_ms);
  void cancel_connect(std::uint32_t token);
  void hold_accepts(bool hold);
  // False = gone.
  bool disconnect(std::uint32_t slot, std::uint32_t generation, bool graceful, std::uint32_t grace_ms);
  bool finish(std::uint32_t slot, std::uint32_t generation);
  bool pause(std::uint32_t slot, std::uint32_t generation);
  bool resume(std::uint32_t slot, std::uint32_t generation);
  // Stops accepting, ends every context gracefully, resets the rest after `grace_ms`. A `closed` record follows.
  void close(std::uint32_t grace_ms);

  // --- files (engine_files.cc): named by a token of the owner's, which is free again after stop_file() ------------

  // `opened` or `failed` follows. False = the context is gone, or the engine closes.
  bool open_source(std::uint32_t token, std::uint32_t slot, std::uint32_t generation, const std::string& path);
  bool open_target(std::uint32_t token, std::uint32_t slot, std::uint32_t generation, FileTarget target);
  // After `opened`; `sent` follows. Packages sent from now on stand behind a raw run.
  bool send_file(std::uint32_t token, const FileRun& run);
  // Computes the CRC-32C of that range meanwhile; `checked` follows.
  void check_file(std::uint32_t token, std::uint64_t begin, std::uint64_t length);
  // While a classic file is announced: what logical workers send to that context is kept, in order, or goes out now.
  void hold_others(std::uint32_t slot, std::uint32_t generation, bool hold);
  // So many more bytes may be sent, or may arrive.
  void give_credit(std::uint32_t token, std::uint64_t bytes);
  // After `opened`, before the peer is told to send; `written` follows. False = gone, or nobody can know where a raw
  // run begins.
  bool receive_file(std::uint32_t token, const FileRun& run);
  // When everything is written: `finished` or `failed` follows.
  void finish_file(std::uint32_t token, bool compare, std::uint32_t check);
  // Lets go of it, whatever state it is in. `keep`: what was received of an unfinished file stays, for a later try.
  void stop_file(std::uint32_t token, bool keep);
  // Bytes of the file given to the system, or written to the disk.
  double file_moved(std::uint32_t token) const;
  DiskQueue& disk() noexcept { return disk_; }

  // --- figures -------------------------------------------------------------------------------------------------------

  bool figures(std::uint32_t slot, std::uint32_t generation, ContextFigures* out);
  bool tcp_info(std::uint32_t slot, std::uint32_t generation, TcpInfo* out);
  static std::size_t stat_count() noexcept;
  static const char* stat_name(std::size_t index) noexcept;
  // ANY_THREAD.
  std::uint64_t file_bytes_received() const noexcept;
  // The owner's. Received and sent.
  std::uint64_t packages_moved() const noexcept;
  // Writes stat_count() figures, in the order of their names.
  void stats(double* out) const;

  // --- for logical workers, inside of their gates
  // ----------------------------------------------------------------------

  // Where they attach; outlives the engine.
  const std::shared_ptr<Roster>& roster() const noexcept { return roster_; }
  struct Sent {
    Status status = Status::ok;
    std::uint64_t queued_bytes = 0;  // of the context now
  };
  // Queues one package; `sender`, if the context is its, is told when the queue is low again after it was high.
  Sent queue(Outgoing& out, const LogicalWorker* sender, std::uint32_t slot, std::uint32_t generation,
             ConstBytes payload, std::uint32_t flags);
  // Tells the lanes, and takes over the figures.
  void tell_lanes(Outgoing& out);
  // Queues a command about a live context, with a reference. False = gone, or already on its way out.
  bool order(std::uint32_t slot, std::uint32_t generation, Command command);
  bool describe(std::uint32_t slot, std::uint32_t generation, ContextEnds* out);
  std::unique_ptr<Luggage> take_luggage(std::uint32_t slot, std::uint32_t generation);
  // Gives everybody who serves about as many contexts as the others have.
  void share_out();
  // Gives that command (depart or orphan) to every context of the logical worker of that number.
  void order_all_of(std::uint32_t worker_number, Command::Verb verb);
  void tell_lanes_of_room();

  // --- for workers: any thread ---------------------------------------------------------------------------------------

  BufferPool& send_buffers() noexcept { return send_buffers_; }
  BufferPool& read_buffers() noexcept { return read_buffers_; }
  ContextTable& table() noexcept { return table_; }
  Lane& lane(std::size_t index) noexcept { return *lanes_[index]; }
  Lane& next_lane() noexcept { return *lanes_[next_lane_.fetch_add(1, std::memory_order_relaxed) % lanes_.size()]; }
  bool closing() const noexcept { return closing_.load(std::memory_order_seq_cst); }
  std::uint32_t close_grace_ms() const noexcept { return close_grace_ms_.load(std::memory_order_relaxed); }
  // Takes a place under max_connections; given back when the connection is over or never came to be.
  bool take_connection() noexcept;
  void give_connection() noexcept { connections_.fetch_sub(1, std::memory_order_relaxed); }
  // Counts what must be gone before close() is complete: listeners, connects, adoptions, contexts.
  void enter_busy() noexcept { busy_.fetch_add(1, std::memory_order_seq_cst); }
  void leave_busy();
  void ring_if_needed(Lane& lane);

 private:
  // Sends the record at the front of `batch`, and those after it that are for the same context; returns the rest.
  MutableBytes queue_run(ClientContext& context, OutputHeader header, MutableBytes batch, bool more);
  // Whether what is sent now may be written by this thread, with nothing before it.
  static bool owner_may_write(const ClientContext& context) IOCP_REQUIRES(context.lock);
  // What is written now would overtake nothing.
  static bool nothing_waits_before(const ClientContext& context) IOCP_REQUIRES(context.lock);
  // The same for records that may be written now; stops at the first that must be queued.
  MutableBytes write_run(ClientContext& context, std::uint32_t slot, std::uint32_t generation, MutableBytes batch)
      IOCP_REQUIRES(context.lock);
  // The body of a series record; `direct`: what may be written now.
  void send_series(ClientContext& context, MutableBytes series, bool direct) IOCP_REQUIRES(context.lock);
  // Makes the headers of as many packages as may be written at once, and writes them; returns the rest.
  MutableBytes write_series(ClientContext& context, MutableBytes series) IOCP_REQUIRES(context.lock);
  // What lies ready to be written, with nothing before it. `framed` of the packages count as such.
  struct Ready {
    std::span<const ConstBytes> slices;
    std::size_t bytes = 0;
    std::size_t packages = 0;
    std::size_t framed = 0;
  };
  void send_ready(ClientContext& context, const Ready& ready) IOCP_REQUIRES(context.lock);
  // While the kernel is busy with one context, the next one's memory may come.
  void prefetch_next(ConstBytes batch) const noexcept;
  // Whether so many bytes may be queued. Not ok: counted, and dealt with as the options say.
  Status admit(Outgoing& out, ClientContext& context, std::uint64_t bytes) IOCP_REQUIRES(context.lock);
  // Keeps a logical worker's package until hold_others() ends.
  Status keep_package(Outgoing& out, ClientContext& context, ConstBytes payload, std::uint32_t flags)
      IOCP_REQUIRES(context.lock);
  Status queue_package(Outgoing& out, ClientContext& context, ConstBytes payload, std::uint32_t flags)
      IOCP_REQUIRES(context.lock);
  Status queue_shared(Outgoing& out, ClientContext& context, SharedBytes* bytes, std::uint32_t flags)
      IOCP_REQUIRES(context.lock);
  // After bytes were queued: the mark for `written`, and one flush command per context and batch.
  static void note_queued(Outgoing& out, ClientContext& context, std::uint32_t flags) IOCP_REQUIRES(context.lock);
  void send_flushes();
  Status send_parts(ClientContext& context, std::span<const ConstBytes> parts, std::uint32_t flags)
      IOCP_REQUIRES(context.lock);
  // Writes what the system takes at once, if nothing is queued before it; returns how many bytes that was.
  std::size_t write_through(ClientContext& context, std::span<const ConstBytes> parts) IOCP_REQUIRES(context.lock);
  // After a package went out without being queued.
  void note_sent_whole(ClientContext& context, std::uint32_t flags) IOCP_REQUIRES(context.lock);
  static void count_package(Outgoing& out, ClientContext& context, std::uint32_t flags) IOCP_REQUIRES(context.lock);
  // Has it ended, by the command that goes out with the flushes.
  static void abort(Outgoing& out, ClientContext& context, Status why) IOCP_REQUIRES(context.lock);
  // Header, payload and trailer in one piece with one reference; null with the reason in `status`.
  SharedBytes* frame_shared(ConstBytes payload, std::uint32_t flags, Status* status);
  void tell_closed_when_quiet();
  void recycle(const std::vector<ClientContext*>& contexts);
  void abort_everything();
  FileTransferPointer make_transfer(std::uint32_t token, bool sending, std::uint32_t slot, std::uint32_t generation);
  FileTransferPointer find_transfer(std::uint32_t token) const;
  void queue_piece(ClientContext& context, const FileTransferPointer& transfer) IOCP_REQUIRES(context.lock);
  void stop_all_files();

  const EngineOptions options_;
  const Doorbell doorbell_;
  BufferPool send_buffers_;
  BufferPool read_buffers_;
  PayloadArenas payload_arenas_;
  ContextTable table_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Outgoing outgoing_;  // collected while a batch is queued
  const std::shared_ptr<Roster> roster_;
  DiskQueue disk_;
  std::map<std::uint32_t, FileTransferPointer> files_;

  std::atomic<std::uint32_t> next_lane_{0};
  std::atomic<std::uint32_t> connections_{0};
  std::atomic<std::uint64_t> busy_{0};
  std::atomic<bool> closing_{false};
  std::atomic<std::uint32_t> close_grace_ms_{0};
  bool started_ = false;
  bool closed_told_ = false;
  std::uint32_t next_listener_id_ = 1;
  // What logical workers sent.
  std::atomic<std::uint64_t> others_sent_{0};
  std::atomic<std::uint64_t> others_dropped_{0};
  std::atomic<std::uint64_t> others_to_the_gone_{0};
  std::uint64_t batches_ = 0;
  std::uint64_t hand_overs_ = 0;

 public:
  // Outcome of close(), for the `closed` record. ANY_THREAD.
  std::atomic<std::uint32_t> drained{0};
  std::atomic<std::uint32_t> reset{0};
};

}  // namespace iocp
