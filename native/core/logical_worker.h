// A logical worker as the engine knows it: an environment on a thread of its own that is not the engine's owner, yet
// sends to contexts, and may have contexts' packages delivered to it. One that only visits (to send) has no contexts;
// one that serves is given some, and takes all that happens on them from a mailbox of its own.
//
// Pointers to contexts are safe on its thread inside of its gate: the owner withdraws a context from the table and then
// passes through every gate before it frees the context. When the engine goes, it passes through every gate once more
// and takes itself away; from then on every call answers "gone".
//
// Lock order: the gate, then a context's lock, then at most one leaf lock. Never the gate of another.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "core/bell.h"
#include "core/engine.h"
#include "core/event_source.h"
#include "core/mailbox.h"
#include "core/outgoing.h"
#include "core/room.h"
#include "port/mutex.h"

namespace iocp {

class Roster;

class LogicalWorker final : public EventSource {
 public:
  // `number`: no other of its engine has or had it. `bell`: rouses its thread when has_events().
  LogicalWorker(std::uint32_t number, std::shared_ptr<Bell> bell) : number_(number), bell_(std::move(bell)) {}
  LogicalWorker(const LogicalWorker&) = delete;
  LogicalWorker& operator=(const LogicalWorker&) = delete;

  // --- its own thread: coming and going --------------------------------------------------------------------------

  // From now on it is given contexts: those that nobody serves, and its share of those that others do.
  void serve() IOCP_EXCLUDES(gate_);
  // No more contexts; each one that it has gets a `leaving` record, whose answer is release().
  void retire() IOCP_EXCLUDES(gate_);
  // Answers `leaving`: whatever it had to do for the context is done. `luggage` goes to whoever serves it next.
  bool release(std::uint32_t slot, std::uint32_t generation, std::unique_ptr<Luggage> luggage) IOCP_EXCLUDES(gate_);
  // What came along with a context that another served before; null = nothing.
  std::unique_ptr<Luggage> take_luggage(std::uint32_t slot, std::uint32_t generation) IOCP_EXCLUDES(gate_);
  // For good, at any moment: contexts that it still has are reset. What waits in the mailbox is lost.
  void leave() IOCP_EXCLUDES(gate_);
  // Contexts that it has.
  std::uint32_t contexts() const noexcept { return contexts_.load(std::memory_order_seq_cst); }

  // --- its own thread: events (one lane, 0) ----------------------------------------------------------------------

  std::size_t lane_count() const noexcept override { return 1; }
  void supply(std::uint32_t lane, std::uint32_t slab_index, std::uint8_t* memory, std::size_t bytes) override;
  void take(std::uint32_t lane, Mailbox::Batch* batch) override;
  void delivered(std::uint32_t, const Mailbox::Batch& batch) override { mailbox_.were_read(batch); }
  bool has_events() const noexcept override { return mailbox_.has_events(); }

  // --- its own thread: the engine's calls, gone = no such context, or no engine any more ----------------------------

  Engine::Sent send(std::uint32_t slot, std::uint32_t generation, ConstBytes payload, std::uint32_t flags)
      IOCP_EXCLUDES(gate_);
  // Tells the lanes what send() queued since the last time.
  void flush() IOCP_EXCLUDES(gate_);
  bool disconnect(std::uint32_t slot, std::uint32_t generation, bool graceful, std::uint32_t grace_ms)
      IOCP_EXCLUDES(gate_);
  bool finish(std::uint32_t slot, std::uint32_t generation) IOCP_EXCLUDES(gate_);
  bool pause(std::uint32_t slot, std::uint32_t generation) IOCP_EXCLUDES(gate_);
  bool resume(std::uint32_t slot, std::uint32_t generation) IOCP_EXCLUDES(gate_);
  bool figures(std::uint32_t slot, std::uint32_t generation, ContextFigures* out) IOCP_EXCLUDES(gate_);
  bool tcp_info(std::uint32_t slot, std::uint32_t generation, TcpInfo* out) IOCP_EXCLUDES(gate_);
  bool describe(std::uint32_t slot, std::uint32_t generation, ContextEnds* out) IOCP_EXCLUDES(gate_);

  // --- the engine's workers: any thread ------------------------------------------------------------------------------

  std::uint32_t number() const noexcept { return number_; }
  // Whether it may be given contexts. Sequentially consistent: who gives it one says so first and asks afterwards;
  // who stops serving says so first and looks for contexts afterwards. So one of them sees the other.
  bool serving() const noexcept { return duty_.load(std::memory_order_seq_cst) == Duty::serving; }
  void gain_context() noexcept { contexts_.fetch_add(1, std::memory_order_seq_cst); }
  // The record that says so is in the mailbox.
  void lose_context();
  Mailbox& mailbox() noexcept { return mailbox_; }
  Room& room() noexcept { return room_; }
  // After records were written, under no lock.
  void ring_if_needed();

 private:
  friend class Roster;
  enum class Duty : std::uint8_t { visiting, serving, retiring, gone };

  // Nobody else knows it yet.
  void enter(Engine& engine, std::shared_ptr<Roster> roster) IOCP_NO_THREAD_SAFETY_ANALYSIS;
  void pass_gate() IOCP_EXCLUDES(gate_) { const ScopedLock<Mutex> guard(gate_); }
  // The engine goes, on its owner's thread.
  void dismiss() IOCP_EXCLUDES(gate_);
  bool order(std::uint32_t slot, std::uint32_t generation, Command command) IOCP_EXCLUDES(gate_);
  void tell_lanes_of_room() IOCP_EXCLUDES(gate_);

  const std::uint32_t number_;
  const std::shared_ptr<Bell> bell_;
  std::atomic<Duty> duty_{Duty::visiting};
  std::atomic<std::uint32_t> contexts_{0};
  Mailbox mailbox_;
  Room room_;
  std::shared_ptr<Roster> roster_;  // its own thread's
  Mutex gate_;
  Engine* engine_ IOCP_GUARDED_BY(gate_) = nullptr;  // null: not yet, or not any more
  std::optional<Outgoing> outgoing_ IOCP_GUARDED_BY(gate_);
};

}  // namespace iocp
