// The owner's side of the engine: starting, taking events, giving commands, and the orderly end. Packages on their way
// out are in engine_sends.cc, figures in engine_figures.cc.
#include "core/engine.h"

#include <array>
#include <cstdlib>
#include <utility>

#include "core/worker.h"
#include "port/check.h"

namespace iocp {
namespace {

std::size_t read_buffer_bytes(const EngineOptions& options) {
  return options.pending_reads == 1 && options.zero_byte_reads ? kBusyBufferBytes : kReadBufferBytes;
}

}  // namespace

Engine::Engine(const EngineOptions& options, Doorbell doorbell)
    : options_(options),
      doorbell_(doorbell),
      send_buffers_(kSendBufferBytes, options.max_free_buffers),
      read_buffers_(read_buffer_bytes(options), options.max_free_buffers),
      table_(options.lanes, options.max_free_contexts),
      outgoing_(options.lanes),
      roster_(std::make_shared<Roster>(*this)) {
  IOCP_CHECK(options.lanes >= 1 && options.lanes <= kIoThreadsMax);
  IOCP_CHECK(options.pending_reads >= 1 && options.pending_reads <= kPendingReadsMax);
  IOCP_CHECK(options.workers_per_lane == 1 || Port::kSharedByWorkers);
  payload_arenas_.admit(!options.deliver_to_workers);
  for (std::uint32_t i = 0; i < options.lanes; ++i) {
    lanes_.push_back(std::make_unique<Lane>(i));
    lanes_.back()->wake_operation.tag = static_cast<std::uint8_t>(Tag::wake);
    lanes_.back()->stepped_by_threads.store(options.wake_workers);
    for (std::uint32_t k = 0; k < options.workers_per_lane; ++k) {
      workers_.push_back(std::make_unique<Worker>(*this, *lanes_.back()));
    }
  }
}

Engine::~Engine() {
  IOCP_CHECK(!started_);
  roster_->dismiss_all();
}

Status Engine::start() {
  IOCP_CHECK(!started_);
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const Status status = lanes_[i]->port.open();
    if (status == Status::ok) continue;
    while (i-- > 0) lanes_[i]->port.close();
    return status;
  }
  started_ = true;
  return Status::ok;
}

void Engine::hand_over(std::uint32_t lane, bool to_threads) {
  if (lanes_[lane]->stepped_by_threads.exchange(to_threads, std::memory_order_seq_cst) != to_threads) ++hand_overs_;
}

void Engine::trim_payload_arenas() noexcept {
  for (const std::unique_ptr<Worker>& worker : workers_) worker->give_arena_back();
  payload_arenas_.trim();
}

// --- events --------------------------------------------------------------------------------------------------

void Engine::supply(std::uint32_t lane_index, std::uint32_t slab_index, std::uint8_t* memory, std::size_t bytes) {
  Lane& lane = *lanes_[lane_index];
  lane.mailbox.supply(slab_index, memory, bytes);
  if (lane.make_room()) lane.wake_thread();
  ring_if_needed(lane);  // control records that waited for this slab are in it now
}

void Engine::take(std::uint32_t lane_index, Mailbox::Batch* batch) {
  Lane& lane = *lanes_[lane_index];
  lane.mailbox.take(batch);
  for (ClientContext* context : batch->connected) {
    ScopedLock guard(context->lock);
    context->announced = true;
  }
  if (lane.make_room()) lane.wake_thread();
}

void Engine::delivered(std::uint32_t lane, const Mailbox::Batch& batch) {
  lanes_[lane]->mailbox.were_read(batch);
  recycle(batch.disconnected);
  tell_closed_when_quiet();
}

void Engine::recycle(const std::vector<ClientContext*>& contexts) {
  if (contexts.empty()) return;
  for (ClientContext* context : contexts) table_.withdraw(context);
  roster_->pass_gates();
  for (ClientContext* context : contexts) {
    table_.recycle(context);
    leave_busy();
  }
}

bool Engine::has_events() const noexcept {
  for (const auto& lane : lanes_) {
    if (lane->mailbox.has_events()) return true;
  }
  return false;
}

void Engine::ring_if_needed(Lane& lane) {
  // An owner that steps the lane itself looks after every step.
  if (!lane.stepped_by_threads.load(std::memory_order_relaxed) || doorbell_.ring == nullptr) return;
  if (lane.mailbox.wants_ring()) doorbell_.ring(doorbell_.context);
}

// --- connections -------------------------------------------------------------------------------------------------

Engine::Listening Engine::listen(const ListenOptions& options) {
  Listening result;
  auto listener = std::make_unique<Listener>();
  Lane& lane = *lanes_[0];
  result.status = lane.port.listen(options, &listener->socket, &result.bound);
  if (result.status != Status::ok) return result;
  result.id = listener->id = next_listener_id_++;
  enter_busy();
  Command command;
  command.verb = Command::Verb::listen;
  command.object = listener.release();
  lane.enqueue(command);
  return result;
}

Status Engine::connect(std::uint32_t token, const Address& to, const std::string& path, const Address& local,
                       std::uint32_t timeout_ms) {
  if (closing()) return Status::closed;
  auto request = std::make_unique<ConnectRequest>();
  request->token = token;
  request->to = to;
  request->path = path;
  request->local = local;
  request->timeout_ms = timeout_ms;
  enter_busy();
  Command command;
  command.verb = Command::Verb::connect;
  command.object = request.release();
  lanes_[token % lanes_.size()]->enqueue(command);
  return Status::ok;
}

void Engine::cancel_connect(std::uint32_t token) {
  Command command;
  command.verb = Command::Verb::cancel_connect;
  command.a = token;
  lanes_[token % lanes_.size()]->enqueue(command);
}

void Engine::hold_accepts(bool hold) {
  Command command;
  command.verb = hold ? Command::Verb::hold_accepts : Command::Verb::resume_accepts;
  lanes_[0]->enqueue(command);
}

bool Engine::order(std::uint32_t slot, std::uint32_t generation, Command command) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) return false;
  {
    ScopedLock guard(context->lock);
    if (context->state == ContextState::closed || context->abort_queued) return false;
    const bool aborts = command.verb == Command::Verb::disconnect && command.a == 0;
    if (aborts) context->abort_queued = true;
    context->enter(Reference::command);
  }
  command.context = context;
  context->lane.enqueue(command);
  return true;
}

bool Engine::disconnect(std::uint32_t slot, std::uint32_t generation, bool graceful, std::uint32_t grace_ms) {
  Command wish;
  wish.verb = Command::Verb::disconnect;
  wish.a = graceful ? 1 : 0;
  wish.b = grace_ms;
  return order(slot, generation, wish);
}

bool Engine::finish(std::uint32_t slot, std::uint32_t generation) {
  Command wish;
  wish.verb = Command::Verb::finish;
  return order(slot, generation, wish);
}

bool Engine::pause(std::uint32_t slot, std::uint32_t generation) {
  Command wish;
  wish.verb = Command::Verb::pause;
  return order(slot, generation, wish);
}

bool Engine::resume(std::uint32_t slot, std::uint32_t generation) {
  Command wish;
  wish.verb = Command::Verb::resume;
  return order(slot, generation, wish);
}

bool Engine::take_connection() noexcept {
  std::uint32_t count = connections_.load(std::memory_order_relaxed);
  while (count < options_.max_connections) {
    if (connections_.compare_exchange_weak(count, count + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

void Engine::leave_busy() {
  if (busy_.fetch_sub(1, std::memory_order_seq_cst) != 1 || !closing()) return;
  lanes_[0]->mailbox.poke();
  ring_if_needed(*lanes_[0]);
}

void Engine::close(std::uint32_t grace_ms) {
  if (closing()) return;
  close_grace_ms_.store(grace_ms, std::memory_order_relaxed);
  closing_.store(true, std::memory_order_seq_cst);
  for (const auto& lane : lanes_) {
    for (const Command::Verb verb : {Command::Verb::close_listeners, Command::Verb::cancel_connects}) {
      Command command;
      command.verb = verb;
      lane->enqueue(command);
    }
  }
  table_.for_each([&](ClientContext& context) {
    {
      ScopedLock guard(context.lock);
      if (context.state == ContextState::closed || context.abort_queued) return;
      context.enter(Reference::command);
    }
    Command command;
    command.verb = Command::Verb::end;
    command.b = grace_ms;
    command.context = &context;
    context.lane.enqueue(command);
  });
  tell_closed_when_quiet();
}

void Engine::tell_closed_when_quiet() {
  if (!closing() || closed_told_ || busy_.load(std::memory_order_seq_cst) != 0) return;
  // Other lanes may have written since they were taken from. That comes first; when it has, this is asked again.
  for (const auto& lane : lanes_) {
    const bool first = lane == lanes_.front();
    if (!first && (lane->mailbox.has_events() || lane->mailbox.congested())) return;
  }
  closed_told_ = true;
  const std::array<std::uint32_t, 2> words = {drained.load(), reset.load()};
  lanes_[0]->mailbox.control(RecordKind::closed, 0, 0,
                             {ConstBytes(reinterpret_cast<const std::uint8_t*>(words.data()), sizeof words)});
  ring_if_needed(*lanes_[0]);
}

void Engine::abort_everything() {
  closing_.store(true, std::memory_order_seq_cst);
  for (const auto& lane : lanes_) {
    lane->mailbox.discard_everything();
    lane->make_room();
    lane->unstall_requested.store(true);
    for (const Command::Verb verb : {Command::Verb::close_listeners, Command::Verb::cancel_connects}) {
      Command command;
      command.verb = verb;
      lane->enqueue(command);
    }
  }
  table_.for_each([&](ClientContext& context) {
    {
      ScopedLock guard(context.lock);
      if (context.finalized) return;
      context.enter(Reference::command);
    }
    Command command;
    command.verb = Command::Verb::end;
    command.a = 1;
    command.context = &context;
    context.lane.enqueue(command);
  });
}

void Engine::shut_down() {
  if (!started_) return;
  roster_->dismiss_all();
  for (std::uint32_t lane = 0; lane < lanes_.size(); ++lane) hand_over(lane, false);
  stop_all_files();
  abort_everything();
  // Cancelled operations come home through the ports, some perhaps only after a moment, hence the millisecond;
  // far-future time lets every retry run out.
  std::uint64_t now_ms = UINT64_MAX / 4;
  const auto pending = [this] {
    if (busy_.load() != 0) return true;
    for (const auto& lane : lanes_) {
      if (lane->wake_posted.load() || lane->has_commands()) return true;
    }
    return false;
  };
  Mailbox::Batch batch;
  while (pending() || disk_.step()) {
    now_ms += 1'000;
    for (const auto& worker : workers_) {
      worker->collect(1);
      worker->step(now_ms);
    }
    // A context may wait for what is on its way to the disk.
    static_cast<void>(disk_.step());
    for (const auto& lane : lanes_) {
      lane->mailbox.take(&batch);
      for (const LargePayload& payload : batch.larges) payload.free();
      recycle(batch.disconnected);
    }
  }
  for (const auto& lane : lanes_) lane->port.close();
  for (const auto& worker : workers_) worker->give_arena_back();
  payload_arenas_.retire();
  started_ = false;
}

}  // namespace iocp
