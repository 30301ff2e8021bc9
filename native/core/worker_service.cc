// Contexts and the logical workers that serve them: who gets a context, and how it goes from one to another. The one
// that has it is told with `leaving`, behind the last package, and answers with release() when it is done with them
// all; only then is the next one given the context, and the packages that came meanwhile. So a context moves between
// packages, and none is lost, repeated or overtaken.
#include <algorithm>

#include "core/logical_worker.h"
#include "core/worker.h"

namespace iocp {

Mailbox& Worker::workers_mailbox(ClientContext& context) {
  touch(context.worker);
  return context.worker->mailbox();
}

Room& Worker::workers_room(ClientContext& context) { return context.worker->room(); }

void Worker::touch(const std::shared_ptr<LogicalWorker>& worker) {
  if (std::find(touched_.begin(), touched_.end(), worker) == touched_.end()) touched_.push_back(worker);
}

void Worker::assign(ClientContext& context) {
  for (;;) {
    std::shared_ptr<LogicalWorker> worker = engine_.roster()->least_busy();
    if (worker == nullptr) return;
    worker->gain_context();
    context.worker = worker;
    if (worker->serving()) break;
    // It stopped meanwhile, and has perhaps not seen that this one is its.
    context.worker = nullptr;
    worker->lose_context();
    touch(worker);
  }
  context.unserved = false;
  // The words that an outgoing connection's token and its listener have for the owner: is it new to all of them, and
  // does it bring luggage.
  write_connected(workers_mailbox(context), context, context.introduced ? 0 : 1, context.luggage() == nullptr ? 0 : 1,
                  nullptr);
  context.introduced = true;
  const bool low = context.queue.queued_bytes() <= engine_.options().low_water_mark;
  if (context.worker_drain_armed && low) tell_worker_of_drain(context);
}

void Worker::wait(ClientContext& context) {
  if (context.rests()) {
    watch_paused(context);
  } else {
    wait_for_bytes(context);
  }
}

void Worker::continue_service(ClientContext& context) {
  if (context.state == ContextState::closed) return;
  if (context.peer_ended && context.state == ContextState::open) tell_end(context);
  // It may wait for room with somebody who has none to give any more.
  if (context.stalled) lane_.unstall_requested.store(true, std::memory_order_release);
  if (!context.rests()) continue_reading(context);
}

void Worker::on_assign(ClientContext& context) {
  if (context.state == ContextState::closed || context.worker != nullptr || !context.unserved) return;
  assign(context);
  continue_service(context);
}

void Worker::on_depart(ClientContext& context, std::uint32_t worker_number) {
  const bool has_it = context.worker != nullptr && context.worker->number() == worker_number;
  if (context.state == ContextState::closed || !has_it || context.leaving) return;
  context.leaving = context.unserved = true;
  workers_mailbox(context).control(RecordKind::leaving, context.slot, 0, {});
  watch_paused(context);
}

void Worker::on_release(ClientContext& context, std::uint32_t worker_number, std::unique_ptr<Luggage> luggage) {
  // Of a closed one the logical worker hears the end.
  if (context.state == ContextState::closed || !context.leaving || context.worker->number() != worker_number) return;
  workers_mailbox(context).control(RecordKind::leaving, context.slot, 1, {});
  context.worker->lose_context();
  context.worker = nullptr;
  context.leaving = false;
  context.end_told = false;  // if it was told, it did not answer that
  context.some().luggage = std::move(luggage);
  assign(context);
  if (context.ends_when_released && context.state == ContextState::open) {
    const std::uint64_t left_ms = context.timer_due_ms > now_ms_ ? context.timer_due_ms - now_ms_ : 0;
    begin_ending(context, {DisconnectedBy::local, Status::closed, Syscall::none, {}},
                 {true, true, static_cast<std::uint32_t>(std::min<std::uint64_t>(left_ms, UINT32_MAX))});
  }
  continue_service(context);
}

bool Worker::finish_service(ClientContext& context, std::uint32_t grace_ms) {
  if (context.state != ContextState::open || context.worker == nullptr) return false;
  context.ends_when_released = true;
  set_timer(context, grace_ms);
  on_depart(context, context.worker->number());
  return true;
}

void Worker::on_orphan(ClientContext& context, std::uint32_t worker_number) {
  if (context.worker == nullptr || context.worker->number() != worker_number) return;
  fail(context, DisconnectedBy::error, Status::worker_died, Syscall::none);
}

void Worker::tell_end(ClientContext& context) {
  if (context.end_told || context.leaving) return;
  if (engine_.options().deliver_to_workers && context.worker == nullptr) {
    begin_ending(context, {DisconnectedBy::peer, Status::peer_closed, Syscall::none, {}}, {});
    return;
  }
  context.end_told = true;
  mailbox_of(context).control(RecordKind::ended, context.slot, 0, {});
}

void Worker::tell_worker_of_drain(ClientContext& context) {
  if (context.worker == nullptr) return;
  context.worker_drain_armed = false;
  workers_mailbox(context).control(RecordKind::drain, context.slot,
                                   static_cast<std::uint32_t>(context.queue.queued_bytes()), {});
}

}  // namespace iocp
