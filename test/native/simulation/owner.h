// An engine's owner in the simulator: lends slabs, takes events, checks every promise about their order, and acts as
// JavaScript would (echoes, pauses, disconnects, is slow now and then). One class plays servers and clients.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/engine.h"
#include "core/worker.h"
#include "simulation/traffic.h"
#include "support/output_batch.h"

namespace simulation {

// How a stream's life ended, as its receiving side saw it.
struct StreamOutcome {
  std::uint32_t packages = 0;  // received whole, in order
  bool disconnected = false;
  iocp::Status status = iocp::Status::ok;
};

// Which stream a connection belongs to: known by the connecting side's port.
struct Directory {
  std::map<std::uint16_t, std::uint32_t> stream_of_port;
};

struct OwnerHabits {
  bool rude = false;                 // disconnects contexts at random
  std::uint32_t lazy_percent = 0;    // chance to leave the events where they are for a round
  std::uint32_t stingy_percent = 0;  // chance to hold a retired slab's replacement back
  std::uint32_t pausing_percent = 0;
  std::uint32_t packages_to_send = 0;  // as a client, on every connection
  std::uint32_t restless_percent = 0;  // chance to have a thread step instead, or no longer
  bool lossy = false;                  // a policy drops packages: what arrives has gaps, and is not compared
};

class Owner {
 public:
  Owner(const iocp::EngineOptions& options, const OwnerHabits& habits, Directory& directory, Random& random);
  ~Owner();

  iocp::Engine& engine() { return engine_; }
  // One round: take what is there, react, now and then misbehave. True when anything happened.
  bool act();
  // Steps every worker of the engine once, in random order, at that time. True when anything happened. A worker that a
  // thread steps sleeps as that thread would: only a completion or its own deadline rouses it.
  bool step(std::uint64_t now_ms);
  // How long all workers may sleep; -1 = until woken.
  std::int32_t sleep_limit_ms(std::uint64_t now_ms);

  iocp::Address listen();
  void connect(const iocp::Address& to, std::uint32_t stream);
  void close(std::uint32_t grace_ms);
  void stop_misbehaving();

  bool closed() const { return closed_; }
  // No context left, and nothing untaken that could bring one.
  bool idle() const { return contexts_.empty() && !engine_.has_events(); }
  std::size_t connects_pending() const { return connecting_.size(); }
  const std::map<std::uint32_t, StreamOutcome>& outcomes() const { return outcomes_; }
  std::uint32_t refused() const { return refused_; }
  std::uint32_t connect_failures() const { return connect_failures_; }
  std::uint32_t hand_overs() const { return hand_overs_; }
  std::uint64_t arenas_begun() { return engine_.payload_arenas().counts().allocated; }

 private:
  struct Context {
    std::uint32_t generation = 0;
    std::uint16_t port = 0;
    bool outgoing = false;
    std::uint32_t stream = 0;
    bool stream_known = false;
    std::uint32_t received = 0;
    std::vector<std::uint8_t> unframed;  // framing none: bytes of the package in progress
    std::uint32_t sent = 0;
    bool aborted = false;
    bool ended = false;
    bool paused = false;
    std::uint32_t next_token = 1;
    std::uint32_t written_token = 1;
  };

  void supply(std::uint32_t lane);
  void read_records(const std::uint8_t* bytes, std::size_t length, const std::vector<iocp::LargePayload>& larges,
                    std::size_t* next_large);
  void on_connected(std::uint32_t slot, const std::uint32_t* words);
  void on_package(std::uint32_t slot, iocp::ConstBytes payload);
  void on_disconnected(std::uint32_t slot, const std::uint32_t* words);
  Context& context_at(std::uint32_t slot);
  bool know_stream(Context& context);
  void on_written(Context& context, std::uint32_t token);
  void verify(Context& context, iocp::ConstBytes payload);
  void send(std::uint32_t slot, Context& context, iocp::ConstBytes payload);
  void flush();
  void send_more(std::uint32_t slot, Context& context);
  void misbehave();
  // Who steps a worker. A thread that was recalled ends with one more step, and for a while nobody steps.
  enum class Stepper : std::uint8_t { owner, thread, recalled_thread, nobody };
  struct Seat {
    Stepper stepper = Stepper::owner;
    bool asleep = false;
    std::uint64_t wakes_at_ms = 0;
  };
  static constexpr std::uint64_t kNever = UINT64_MAX;
  bool thread_turn(iocp::Worker& worker, Seat& seat, std::uint64_t now_ms);
  // A round of every one that there is.
  void threads_turn();
  void hand_over(std::uint32_t lane);

  Directory& directory_;
  Random& random_;
  OwnerHabits habits_;
  iocp::Engine engine_;
  std::map<std::uint32_t, std::unique_ptr<std::uint8_t[]>> slabs_;
  std::vector<std::uint32_t> owed_;  // slabs each lane waits for
  std::vector<Seat> seats_;          // by lane; one worker each
  std::uint32_t next_slab_ = 0;
  std::uint64_t now_ms_ = 0;  // of the last step
  iocp::Mailbox::Batch batch_;
  support::OutputBatch output_;
  std::map<std::uint32_t, Context> contexts_;           // by slot
  std::map<std::uint32_t, std::uint32_t> generations_;  // highest seen by slot
  std::map<std::uint32_t, std::uint32_t> connecting_;   // token -> stream
  std::map<std::uint32_t, StreamOutcome> outcomes_;     // by stream
  std::uint32_t next_token_ = 1;
  std::uint32_t refused_ = 0;
  std::uint32_t connect_failures_ = 0;
  std::uint32_t hand_overs_ = 0;
  bool closing_ = false;
  bool closed_ = false;
};

}  // namespace simulation
