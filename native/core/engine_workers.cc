// The engine as logical workers see it, on their own threads and inside of their gates: sends that collect in an
// Outgoing of theirs, and orders to contexts. Nothing here touches what belongs to the owner's thread.
#include <map>

#include "core/engine.h"
#include "core/logical_worker.h"

namespace iocp {

Engine::Sent Engine::queue(Outgoing& out, const LogicalWorker* sender, std::uint32_t slot, std::uint32_t generation,
                           ConstBytes payload, std::uint32_t flags) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) {
    ++out.sends_to_the_gone;
    return {Status::gone, 0};
  }
  ScopedLock guard(context->lock);
  const bool held = context->files() != nullptr && context->files()->holds_others;
  const Status status =
      held ? keep_package(out, *context, payload, flags) : queue_package(out, *context, payload, flags);
  const std::uint64_t queued = context->queue.queued_bytes() + (held ? context->files()->held_bytes : 0);
  if (queued > options_.high_water_mark && context->worker.get() == sender) context->worker_drain_armed = true;
  return {status, queued};
}

Status Engine::keep_package(Outgoing& out, ClientContext& context, ConstBytes payload, std::uint32_t flags) {
  Envelope envelope;
  if ((flags & kOutputRaw) == 0 && !encode_envelope(options_.framing, payload, &envelope)) {
    ++out.packages_dropped;
    return Status::package_too_large;
  }
  ContextFiles& files = *context.files();
  const Status admitted = admit(out, context, files.held_bytes + payload.size());
  if (admitted != Status::ok) return admitted;
  files.held.push_back({std::vector<std::uint8_t>(payload.begin(), payload.end()), flags});
  files.held_bytes += payload.size();
  return Status::ok;
}

void Engine::tell_lanes(Outgoing& out) {
  // Before anything is sent: who has an answer finds it counted.
  others_sent_.fetch_add(out.packages_sent, std::memory_order_relaxed);
  others_dropped_.fetch_add(out.packages_dropped, std::memory_order_relaxed);
  others_to_the_gone_.fetch_add(out.sends_to_the_gone, std::memory_order_relaxed);
  out.packages_sent = out.packages_dropped = out.sends_to_the_gone = 0;
  for (std::size_t i = 0; i < out.flushes.size(); ++i) {
    if (out.flushes[i].empty()) continue;
    lanes_[i]->enqueue_all(out.flushes[i]);
    lanes_[i]->wake_owner();
    out.flushes[i].clear();
  }
}

bool Engine::describe(std::uint32_t slot, std::uint32_t generation, ContextEnds* out) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) return false;
  ScopedLock guard(context->lock);
  if (context->state == ContextState::closed) return false;
  out->remote = context->lane.port.peer_address(context->socket);
  out->local = context->lane.port.local_address(context->socket);
  return true;
}

std::unique_ptr<Luggage> Engine::take_luggage(std::uint32_t slot, std::uint32_t generation) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) return nullptr;
  ScopedLock guard(context->lock);
  return context->seldom == nullptr ? nullptr : std::move(context->seldom->luggage);
}

void Engine::share_out() {
  const Roster::Members serving = roster_->serving();
  if (serving.empty()) return;
  const auto live = static_cast<std::int64_t>(table_.live());
  const auto members = static_cast<std::int64_t>(serving.size());
  const std::int64_t share = (live + members - 1) / members;
  std::map<std::uint32_t, std::int64_t> surplus;
  for (const auto& member : serving) surplus[member->number()] = member->contexts() - share;
  table_.for_each([&](ClientContext& context) {
    Command command;
    command.context = &context;
    {
      ScopedLock guard(context.lock);
      if (context.state == ContextState::closed) return;
      if (context.worker == nullptr) {
        command.verb = Command::Verb::assign;
      } else {
        std::int64_t& too_many = surplus[context.worker->number()];
        if (context.leaving || too_many <= 0) return;
        --too_many;
        command.verb = Command::Verb::depart;
        command.a = context.worker->number();
      }
      context.enter(Reference::command);
    }
    context.lane.enqueue(command);
    context.lane.wake_owner();
  });
}

void Engine::order_all_of(std::uint32_t worker_number, Command::Verb verb) {
  table_.for_each([&](ClientContext& context) {
    {
      ScopedLock guard(context.lock);
      if (context.state == ContextState::closed || context.worker == nullptr) return;
      if (context.worker->number() != worker_number) return;
      context.enter(Reference::command);
    }
    Command command;
    command.verb = verb;
    command.a = worker_number;
    command.context = &context;
    context.lane.enqueue(command);
    context.lane.wake_owner();
  });
}

void Engine::tell_lanes_of_room() {
  for (const auto& lane : lanes_) {
    lane->unstall_requested.store(true, std::memory_order_release);
    lane->wake();
  }
}

}  // namespace iocp
