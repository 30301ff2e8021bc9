// A logical worker's side: its way into the engine, through its gate, and its mailbox.
#include "core/logical_worker.h"

#include <utility>

#include "core/roster.h"

namespace iocp {

// --- coming and going ------------------------------------------------------------------------------------------

void LogicalWorker::enter(Engine& engine, std::shared_ptr<Roster> roster) {
  engine_ = &engine;
  outgoing_.emplace(engine.lane_count());
  roster_ = std::move(roster);
}

void LogicalWorker::serve() {
  duty_.store(Duty::serving, std::memory_order_seq_cst);
  ScopedLock guard(gate_);
  if (engine_ != nullptr) engine_->share_out();
}

void LogicalWorker::retire() {
  duty_.store(Duty::retiring, std::memory_order_seq_cst);
  ScopedLock guard(gate_);
  if (engine_ != nullptr) engine_->order_all_of(number_, Command::Verb::depart);
}

bool LogicalWorker::release(std::uint32_t slot, std::uint32_t generation, std::unique_ptr<Luggage> luggage) {
  ScopedLock guard(gate_);
  if (engine_ == nullptr) return false;
  engine_->tell_lanes(*outgoing_);  // its last words come before the next one's first
  Command command;
  command.verb = Command::Verb::release;
  command.a = number_;
  command.object = luggage.get();
  if (!engine_->order(slot, generation, command)) return false;
  static_cast<void>(luggage.release());  // the command's
  engine_->lane(slot % engine_->lane_count()).wake_owner();
  return true;
}

std::unique_ptr<Luggage> LogicalWorker::take_luggage(std::uint32_t slot, std::uint32_t generation) {
  ScopedLock guard(gate_);
  return engine_ == nullptr ? nullptr : engine_->take_luggage(slot, generation);
}

void LogicalWorker::leave() {
  duty_.store(Duty::gone, std::memory_order_seq_cst);
  mailbox_.discard_everything();
  {
    ScopedLock guard(gate_);
    if (engine_ != nullptr) {
      engine_->tell_lanes(*outgoing_);
      engine_->order_all_of(number_, Command::Verb::orphan);
      // Some may wait for room here.
      static_cast<void>(room_.make());
      engine_->tell_lanes_of_room();
    }
    engine_ = nullptr;
  }
  if (roster_ != nullptr) roster_->remove(*this);
  roster_ = nullptr;
}

void LogicalWorker::dismiss() {
  ScopedLock guard(gate_);
  // Each command that is not told holds a context.
  if (engine_ != nullptr) engine_->tell_lanes(*outgoing_);
  engine_ = nullptr;
  mailbox_.discard_everything();
}

void LogicalWorker::lose_context() {
  contexts_.fetch_sub(1, std::memory_order_seq_cst);
  // One that retires waits for the last one to go, which perhaps left no other trace.
  mailbox_.poke();
}

// --- events ------------------------------------------------------------------------------------------------------

void LogicalWorker::supply(std::uint32_t, std::uint32_t slab_index, std::uint8_t* memory, std::size_t bytes) {
  mailbox_.supply(slab_index, memory, bytes);
  tell_lanes_of_room();
  ring_if_needed();  // control records that waited for this slab are in it now
}

void LogicalWorker::take(std::uint32_t, Mailbox::Batch* batch) {
  mailbox_.take(batch);
  tell_lanes_of_room();
}

void LogicalWorker::tell_lanes_of_room() {
  if (!room_.make()) return;
  ScopedLock guard(gate_);
  if (engine_ != nullptr) engine_->tell_lanes_of_room();
}

void LogicalWorker::ring_if_needed() {
  if (mailbox_.wants_ring()) bell_->ring();
}

// --- the engine's calls ----------------------------------------------------------------------------------------

Engine::Sent LogicalWorker::send(std::uint32_t slot, std::uint32_t generation, ConstBytes payload,
                                 std::uint32_t flags) {
  ScopedLock guard(gate_);
  if (engine_ == nullptr) return {Status::gone, 0};
  return engine_->queue(*outgoing_, this, slot, generation, payload, flags);
}

void LogicalWorker::flush() {
  ScopedLock guard(gate_);
  if (engine_ != nullptr) engine_->tell_lanes(*outgoing_);
}

bool LogicalWorker::order(std::uint32_t slot, std::uint32_t generation, Command command) {
  ScopedLock guard(gate_);
  if (engine_ == nullptr) return false;
  engine_->tell_lanes(*outgoing_);  // in the order of the calls
  if (!engine_->order(slot, generation, command)) return false;
  engine_->lane(slot % engine_->lane_count()).wake_owner();
  return true;
}

bool LogicalWorker::disconnect(std::uint32_t slot, std::uint32_t generation, bool graceful, std::uint32_t grace_ms) {
  Command command;
  command.verb = Command::Verb::disconnect;
  command.a = graceful ? 1 : 0;
  command.b = grace_ms;
  return order(slot, generation, command);
}

bool LogicalWorker::finish(std::uint32_t slot, std::uint32_t generation) {
  Command command;
  command.verb = Command::Verb::finish;
  return order(slot, generation, command);
}

bool LogicalWorker::pause(std::uint32_t slot, std::uint32_t generation) {
  Command command;
  command.verb = Command::Verb::pause;
  return order(slot, generation, command);
}

bool LogicalWorker::resume(std::uint32_t slot, std::uint32_t generation) {
  Command command;
  command.verb = Command::Verb::resume;
  return order(slot, generation, command);
}

bool LogicalWorker::figures(std::uint32_t slot, std::uint32_t generation, ContextFigures* out) {
  ScopedLock guard(gate_);
  return engine_ != nullptr && engine_->figures(slot, generation, out);
}

bool LogicalWorker::tcp_info(std::uint32_t slot, std::uint32_t generation, TcpInfo* out) {
  ScopedLock guard(gate_);
  return engine_ != nullptr && engine_->tcp_info(slot, generation, out);
}

bool LogicalWorker::describe(std::uint32_t slot, std::uint32_t generation, ContextEnds* out) {
  ScopedLock guard(gate_);
  return engine_ != nullptr && engine_->describe(slot, generation, out);
}

}  // namespace iocp
