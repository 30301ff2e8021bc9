// The owner's side of the engine: taking events, queueing packages, giving commands, and the orderly end.
#include "core/engine.h"

#include <array>
#include <cstring>
#include <utility>

#include "core/worker.h"
#include "port/check.h"

namespace iocp {

Engine::Engine(const EngineOptions& options, Doorbell doorbell)
    : options_(options),
      doorbell_(doorbell),
      send_buffers_(kSendBufferBytes, options.max_free_buffers),
      read_buffers_(kReadBufferBytes, options.max_free_buffers),
      table_(options.lanes, options.max_free_contexts),
      flushes_(options.lanes) {
  IOCP_CHECK(options.lanes >= 1 && options.lanes <= kIoThreadsMax);
  IOCP_CHECK(options.workers_per_lane == 1 || Port::kSharedByWorkers);
  for (std::uint32_t i = 0; i < options.lanes; ++i) {
    lanes_.push_back(std::make_unique<Lane>(i));
    lanes_.back()->wake_operation.tag = static_cast<std::uint8_t>(Tag::wake);
    for (std::uint32_t k = 0; k < options.workers_per_lane; ++k) {
      workers_.push_back(std::make_unique<Worker>(*this, *lanes_.back()));
    }
  }
}

Engine::~Engine() { IOCP_CHECK(!started_); }

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

// --- events --------------------------------------------------------------------------------------------------

void Engine::supply(std::uint32_t lane_index, std::uint32_t slab_index, std::uint8_t* memory, std::size_t bytes) {
  Lane& lane = *lanes_[lane_index];
  lane.mailbox.supply(slab_index, memory, bytes);
  if (lane.make_room() && options_.wake_workers) lane.wake();
  ring_if_needed(lane);  // control records that waited for this slab are in it now
}

void Engine::take(std::uint32_t lane_index, Mailbox::Batch* batch) {
  Lane& lane = *lanes_[lane_index];
  lane.mailbox.take(batch);
  for (ClientContext* context : batch->connected) {
    ScopedLock guard(context->lock);
    context->announced = true;
  }
  if (lane.make_room() && options_.wake_workers) lane.wake();
}

void Engine::delivered(std::uint32_t, const Mailbox::Batch& batch) {
  for (ClientContext* context : batch.disconnected) recycle(context);
  tell_closed_when_quiet();
}

void Engine::recycle(ClientContext* context) {
  table_.recycle(context);
  leave_busy();
}

bool Engine::has_events() const noexcept {
  for (const auto& lane : lanes_) {
    if (lane->mailbox.has_events()) return true;
  }
  return false;
}

void Engine::ring_if_needed(Lane& lane) {
  if (doorbell_.ring != nullptr && lane.mailbox.wants_ring()) doorbell_.ring(doorbell_.context);
}

// --- packages out ----------------------------------------------------------------------------------------------

void Engine::submit_batch(ConstBytes batch) {
  ++batches_;
  std::size_t at = 0;
  while (at < batch.size()) {
    OutputHeader header;
    IOCP_CHECK(batch.size() - at >= sizeof header);
    std::memcpy(&header, batch.data() + at, sizeof header);
    IOCP_CHECK(header.length <= batch.size() - at - sizeof header);
    const ConstBytes payload = batch.subspan(at + sizeof header, header.length);
    at += output_record_bytes(header.length);
    ClientContext* context = table_.find(header.slot, header.generation);
    if (context == nullptr) {
      ++sends_to_the_gone_;
      continue;
    }
    ScopedLock guard(context->lock);
    queue_package(*context, payload, header.flags);
  }
  send_flushes();
}

Status Engine::send(std::uint32_t slot, std::uint32_t generation, ConstBytes payload, std::uint32_t flags) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) return Status::gone;
  Status status = Status::ok;
  SharedBytes* bytes = frame_shared(payload, flags, &status);
  if (bytes == nullptr) return status;
  {
    ScopedLock guard(context->lock);
    if (!context->accepts_sends()) {
      status = Status::gone;
    } else if (queue_shared(*context, bytes, flags) == Queued::no) {
      status = Status::queue_overflow;
    }
  }
  bytes->release();
  send_flushes();
  return status;
}

std::size_t Engine::broadcast(ConstBytes payload, std::uint32_t except_slot, const std::vector<std::uint32_t>* only) {
  Status status = Status::ok;
  SharedBytes* bytes = frame_shared(payload, 0, &status);
  if (bytes == nullptr) return 0;
  std::size_t count = 0;
  const auto queue_to = [&](ClientContext& context) {
    ScopedLock guard(context.lock);
    if (context.announced && queue_shared(context, bytes, 0) == Queued::yes) ++count;
  };
  if (only == nullptr) {
    table_.for_each([&](ClientContext& context) {
      if (context.slot != except_slot) queue_to(context);
    });
  } else {
    for (std::size_t i = 0; i + 1 < only->size(); i += 2) {
      ClientContext* context = table_.find((*only)[i], (*only)[i + 1]);
      if (context != nullptr && context->slot != except_slot) queue_to(*context);
    }
  }
  bytes->release();
  send_flushes();
  return count;
}

bool Engine::admits(ClientContext& context, std::uint64_t bytes) {
  if (!context.accepts_sends()) {
    ++sends_to_the_gone_;
    return false;
  }
  if (context.queue.queued_bytes() + bytes <= options_.max_queued_bytes) return true;
  ++packages_dropped_;
  if (options_.on_overflow == OverflowPolicy::disconnect) {
    context.abort_queued = true;
    context.enter(Reference::command);
    Command command;
    command.verb = Command::Verb::overflow;
    command.context = &context;
    flushes_[context.lane.index].push_back(command);
  }
  return false;
}

Engine::Queued Engine::queue_package(ClientContext& context, ConstBytes payload, std::uint32_t flags) {
  if (payload.size() > kSendCopyMax) {
    Status status = Status::ok;
    SharedBytes* bytes = frame_shared(payload, flags, &status);
    if (bytes == nullptr) {
      ++packages_dropped_;
      return Queued::no;
    }
    const Queued queued = queue_shared(context, bytes, flags);
    bytes->release();
    return queued;
  }
  Envelope envelope;
  if ((flags & kOutputRaw) == 0 && !encode_envelope(options_.framing, payload, &envelope)) {
    ++packages_dropped_;
    return Queued::no;
  }
  const ConstBytes header(envelope.header.data(), envelope.header_bytes);
  if (!admits(context, header.size() + payload.size() + envelope.trailer.size())) return Queued::no;
  if (!context.queue.append_copy(send_buffers_, {header, payload, envelope.trailer})) {
    ++packages_dropped_;
    return Queued::no;
  }
  note_queued(context, flags);
  return Queued::yes;
}

Engine::Queued Engine::queue_shared(ClientContext& context, SharedBytes* bytes, std::uint32_t flags) {
  if (!admits(context, bytes->length())) return Queued::no;
  if (!context.queue.append_shared(bytes)) {
    ++packages_dropped_;
    return Queued::no;
  }
  note_queued(context, flags);
  return Queued::yes;
}

void Engine::note_queued(ClientContext& context, std::uint32_t flags) {
  if ((flags & kOutputRaw) == 0) {
    ++context.packages_sent;
    ++packages_sent_;
  }
  if ((flags & kOutputNotify) != 0) {
    if (context.marks == nullptr) context.marks = std::make_unique<std::deque<SendMark>>();
    context.marks->push_back({context.bytes_sent + context.queue.queued_bytes(), flags >> kOutputTokenShift});
  }
  if (context.flush_queued) return;
  context.flush_queued = true;
  context.enter(Reference::command);
  Command command;
  command.verb = Command::Verb::flush;
  command.context = &context;
  flushes_[context.lane.index].push_back(command);
}

void Engine::send_flushes() {
  for (std::size_t i = 0; i < flushes_.size(); ++i) {
    if (flushes_[i].empty()) continue;
    lanes_[i]->enqueue_all(flushes_[i], options_.wake_workers);
    flushes_[i].clear();
  }
}

SharedBytes* Engine::frame_shared(ConstBytes payload, std::uint32_t flags, Status* status) {
  Envelope envelope;
  if ((flags & kOutputRaw) == 0 && !encode_envelope(options_.framing, payload, &envelope)) {
    *status = Status::package_too_large;
    return nullptr;
  }
  SharedBytes* bytes = SharedBytes::create(envelope.header_bytes + payload.size() + envelope.trailer.size());
  if (bytes == nullptr) {
    *status = Status::out_of_memory;
    return nullptr;
  }
  std::uint8_t* at = bytes->data();
  for (const ConstBytes part : {ConstBytes(envelope.header.data(), envelope.header_bytes), payload, envelope.trailer}) {
    if (part.empty()) continue;
    std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  return bytes;
}

std::int64_t Engine::queued(std::uint32_t slot, std::uint32_t generation) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) return -1;
  ScopedLock guard(context->lock);
  if (context->state == ContextState::closed || context->abort_queued) return -1;
  const std::uint64_t bytes = context->queue.queued_bytes();
  if (bytes > options_.high_water_mark) context->drain_armed = true;
  return static_cast<std::int64_t>(bytes);
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
  enqueue(lane, command);
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
  enqueue(*lanes_[token % lanes_.size()], command);
  return Status::ok;
}

void Engine::cancel_connect(std::uint32_t token) {
  Command command;
  command.verb = Command::Verb::cancel_connect;
  command.a = token;
  enqueue(*lanes_[token % lanes_.size()], command);
}

void Engine::hold_accepts(bool hold) {
  Command command;
  command.verb = hold ? Command::Verb::hold_accepts : Command::Verb::resume_accepts;
  enqueue(*lanes_[0], command);
}

bool Engine::command(std::uint32_t slot, std::uint32_t generation, Command command) {
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
  enqueue(context->lane, command);
  return true;
}

bool Engine::disconnect(std::uint32_t slot, std::uint32_t generation, bool graceful, std::uint32_t grace_ms) {
  Command wish;
  wish.verb = Command::Verb::disconnect;
  wish.a = graceful ? 1 : 0;
  wish.b = grace_ms;
  return command(slot, generation, wish);
}

bool Engine::finish(std::uint32_t slot, std::uint32_t generation) {
  Command wish;
  wish.verb = Command::Verb::finish;
  return command(slot, generation, wish);
}

bool Engine::pause(std::uint32_t slot, std::uint32_t generation) {
  Command wish;
  wish.verb = Command::Verb::pause;
  return command(slot, generation, wish);
}

bool Engine::resume(std::uint32_t slot, std::uint32_t generation) {
  Command wish;
  wish.verb = Command::Verb::resume;
  return command(slot, generation, wish);
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
      enqueue(*lane, command);
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
    enqueue(context.lane, command);
  });
  tell_closed_when_quiet();
}

void Engine::tell_closed_when_quiet() {
  if (!closing() || closed_told_ || busy_.load(std::memory_order_seq_cst) != 0) return;
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
      lane->enqueue(command, false);
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
    context.lane.enqueue(command, false);
  });
}

void Engine::shut_down() {
  if (!started_) return;
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
  while (pending()) {
    now_ms += 1'000;
    for (const auto& worker : workers_) {
      worker->collect(1);
      worker->step(now_ms);
    }
    for (const auto& lane : lanes_) {
      lane->mailbox.take(&batch);
      for (const LargePayload& payload : batch.larges) std::free(payload.memory);
      for (ClientContext* context : batch.disconnected) recycle(context);
    }
  }
  for (const auto& lane : lanes_) lane->port.close();
  started_ = false;
}

// --- figures -------------------------------------------------------------------------------------------------------

bool Engine::figures(std::uint32_t slot, std::uint32_t generation, ContextFigures* out) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) return false;
  ScopedLock guard(context->lock);
  if (context->state == ContextState::closed) return false;
  out->bytes_received = context->bytes_received;
  out->bytes_sent = context->bytes_sent;
  out->packages_received = context->packages_received;
  out->packages_sent = context->packages_sent;
  out->queued_bytes = context->queue.queued_bytes();
  out->peer_ended = context->peer_ended || context->end_seen;
  return true;
}

bool Engine::tcp_info(std::uint32_t slot, std::uint32_t generation, TcpInfo* out) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) return false;
  ScopedLock guard(context->lock);
  if (context->state == ContextState::closed) return false;
  *out = context->lane.port.tcp_info(context->socket);
  return true;
}

namespace {

constexpr const char* kStatNames[] = {
    "connections",
    "accepted",
    "connected",
    "disconnected",
    "refused",
    "packagesReceived",
    "packagesSent",
    "packagesDropped",
    "bytesReceived",
    "bytesSent",
    "sendsToTheGone",
    "outputBatches",
    "stalls",
    "bufferShortages",
    "steps",
    "contexts.live",
    "contexts.free",
    "contexts.reused",
    "sendBuffers.inUse",
    "sendBuffers.free",
    "sendBuffers.reused",
    "readBuffers.inUse",
    "readBuffers.free",
    "readBuffers.reused",
    "port.waits",
    "port.completions",
    "port.accepts",
    "port.connects",
    "port.zeroByteReads",
    "port.reads",
    "port.emptyReads",
    "port.writes",
    "port.blockedWrites",
    "port.posts",
    "port.wakes",
};

}  // namespace

const char* const* Engine::stat_names() noexcept { return kStatNames; }

std::size_t Engine::stat_count() noexcept { return std::size(kStatNames); }

void Engine::stats(double* out) const {
  LaneCounters sum;
  PortCounters port;
  const auto add = [](std::atomic<std::uint64_t>& into, const std::atomic<std::uint64_t>& from) {
    into.store(into.load(std::memory_order_relaxed) + from.load(std::memory_order_relaxed), std::memory_order_relaxed);
  };
  for (const auto& lane : lanes_) {
    const LaneCounters& from = lane->counters;
    add(sum.packages_received, from.packages_received);
    add(sum.bytes_received, from.bytes_received);
    add(sum.bytes_sent, from.bytes_sent);
    add(sum.accepted, from.accepted);
    add(sum.connected, from.connected);
    add(sum.disconnected, from.disconnected);
    add(sum.refused, from.refused);
    add(sum.stalls, from.stalls);
    add(sum.buffer_shortages, from.buffer_shortages);
    add(sum.steps, from.steps);
    const PortCounters one = lane->port.counters();
    port.waits += one.waits;
    port.completions += one.completions;
    port.accepts += one.accepts;
    port.connects += one.connects;
    port.zero_byte_reads += one.zero_byte_reads;
    port.reads += one.reads;
    port.empty_reads += one.empty_reads;
    port.writes += one.writes;
    port.blocked_writes += one.blocked_writes;
    port.posts += one.posts;
    port.wakes += one.wakes;
  }
  const BufferPool::Counts contexts = table_.pool_counts();
  const BufferPool::Counts sends = send_buffers_.counts();
  const BufferPool::Counts reads = read_buffers_.counts();
  const std::uint64_t figures[] = {
      connections_.load(),   sum.accepted,   sum.connected,       sum.disconnected,     sum.refused,
      sum.packages_received, packages_sent_, packages_dropped_,   sum.bytes_received,   sum.bytes_sent,
      sends_to_the_gone_,    batches_,       sum.stalls,          sum.buffer_shortages, sum.steps,
      contexts.in_use,       contexts.free,  contexts.reused,     sends.in_use,         sends.free,
      sends.reused,          reads.in_use,   reads.free,          reads.reused,         port.waits,
      port.completions,      port.accepts,   port.connects,       port.zero_byte_reads, port.reads,
      port.empty_reads,      port.writes,    port.blocked_writes, port.posts,           port.wakes,
  };
  static_assert(std::size(figures) == std::size(kStatNames));
  for (std::size_t i = 0; i < std::size(figures); ++i) out[i] = static_cast<double>(figures[i]);
}

}  // namespace iocp
