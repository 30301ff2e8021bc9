// The owner of one engine, as the JavaScript environment is in the addon: a thread that sleeps until the doorbell
// rings, lends slabs, takes batches, reads the records and hands them to a Handler. It keeps the engine's promises
// in view: connected first and disconnected last and once for every context, no pair of slot and generation twice,
// ranges that join, slabs that are untouched once retired (they are freed), one `closed` record and nothing after it.
// A breach is noted as a complaint; the test reads them when the thread has ended.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/engine.h"
#include "core/worker_threads.h"
#include "support/output_batch.h"

namespace stress {

// Names a context; comparable, and safe to keep after its end.
struct Peer {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;

  friend auto operator<=>(const Peer&, const Peer&) = default;
};

struct Ending {
  iocp::DisconnectedBy by = iocp::DisconnectedBy::local;
  iocp::Status status = iocp::Status::ok;
};

class Owner;

// Told of every record, on the owner's thread.
class Handler {
 public:
  Handler() = default;
  virtual ~Handler() = default;
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;

  virtual void connected(Owner&, Peer, std::uint32_t /*token*/) {}
  virtual void package(Owner&, Peer, iocp::ConstBytes) {}
  virtual void ended(Owner& owner, Peer peer);  // answers with finish
  virtual void drain(Owner&, Peer) {}
  virtual void written(Owner&, Peer, std::uint32_t /*token*/) {}
  virtual void disconnected(Owner&, Peer, const Ending&) {}
  virtual void connect_failed(Owner&, std::uint32_t /*token*/, iocp::Status) {}
  virtual void closed(Owner&, std::uint32_t /*drained*/, std::uint32_t /*reset*/) {}
};

class Owner {
 public:
  struct Slabs {
    std::size_t per_lane = 4;
    std::size_t bytes = 64 * 1024;
  };

  // Who steps the engine: threads of its own, or the owner's thread and a standby thread in turns, each for a moment.
  enum class Stepping : std::uint8_t { threads, turns };

  // Starts the engine, its workers and the owner's own thread.
  Owner(const iocp::EngineOptions& options, Handler& handler, Slabs slabs, Stepping stepping = Stepping::threads);
  Owner(const iocp::EngineOptions& options, Handler& handler) : Owner(options, handler, Slabs{}) {}
  ~Owner() { stop(); }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  // --- any thread --------------------------------------------------------------------------------------------------

  // Runs `task` on the owner's thread and waits for its end.
  void run(std::function<void()> task);
  // Runs it there some time.
  void post(std::function<void()> task);
  // Takes nothing while held, however often the doorbell rings.
  void hold(bool held);
  // Sleeps until the `closed` record has arrived.
  void wait_until_closed();
  // Ends the owner's thread, the workers and the engine, in this order, whatever is going on. Idempotent.
  void stop();
  // Listens on an ephemeral port of 127.0.0.1.
  iocp::Address listen();
  // Every breach of a promise so far; empty when all is well. After stop(), or from the owner's thread.
  const std::string& complaints() const { return complaints_; }
  // What must be zero once everything has ended; a complaint for each that is not.
  void expect_nothing_left();
  iocp::Engine& engine() { return engine_; }

  // --- the owner's thread only
  // ----------------------------------------------------------------------------------------

  // Queued until the records at hand are read, then submitted in one batch.
  void send(Peer peer, iocp::ConstBytes payload, std::uint32_t flags = 0);
  // Submits what send() collected.
  void flush();
  void complain(const std::string& what);
  // One of the engine's figures.
  double figure(const char* name) const;

 private:
  struct Slab {
    std::unique_ptr<std::uint64_t[]> memory;
    std::uint32_t read = 0;
    bool has_payloads = false;
  };

  static void ring(void* owner);
  void loop();
  bool steps_itself() const { return standby_ != nullptr && standby_->owner_steps(); }
  void step();
  void change_stepper();
  void take_everything();
  void supply(std::uint32_t lane);
  void read(std::uint32_t lane, const iocp::Mailbox::Range& range);
  void dispatch(std::uint32_t lane, const iocp::RecordHeader& header, iocp::ConstBytes body);
  void on_connected(const iocp::RecordHeader& header, iocp::ConstBytes body);
  void on_disconnected(Peer peer, iocp::ConstBytes body);
  void on_large(Peer peer);

  Handler& handler_;
  const Slabs slabs_;
  iocp::Engine engine_;
  iocp::WorkerThreads workers_;
  std::unique_ptr<iocp::StandbyThread> standby_;  // null: Stepping::threads
  std::size_t rounds_until_change_ = 1;
  std::size_t changes_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::function<void()>> tasks_;
  bool rung_ = false;
  bool held_ = false;
  bool stopping_ = false;
  bool closed_ = false;

  // The owner's thread's own.
  std::map<std::uint32_t, Slab> lent_;
  std::uint32_t next_index_ = 0;
  iocp::Mailbox::Batch batch_;
  std::size_t next_large_ = 0;
  std::map<std::uint32_t, std::uint32_t> live_;         // slot to generation
  std::map<std::uint32_t, std::uint32_t> generations_;  // the last one of every slot
  support::OutputBatch output_;
  std::string complaints_;
  bool closed_seen_ = false;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace stress
