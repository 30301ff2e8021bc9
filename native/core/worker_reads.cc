// The way in: zero-byte reads, non-blocking reads until the socket is empty, several pending reads put back in
// order, framing into the mailbox, and what happens when the mailbox is full, the user paused, or the peer ended.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "core/series.h"
#include "core/worker.h"
#include "port/check.h"

namespace iocp {
namespace {

// What the framer gives packages to: one context's view of its lane's mailbox.
struct PackageSink {
  Mailbox::Writer& writer;
  std::uint32_t slot;
  // Where chunks of files go, which are the disk's and not the owner's; null when files mean nothing here.
  std::vector<LargePayload>* chunks;
  std::uint64_t packages = 0;

  bool package(ConstBytes payload) {
    if (chunks != nullptr && is_file_chunk(payload)) return copy_chunk(payload);
    const bool taken = writer.package(slot, payload);
    packages += taken ? 1 : 0;
    return taken;
  }
  bool large(const LargePayload& payload) {
    if (chunks != nullptr && is_file_chunk(ConstBytes(payload.payload, payload.length))) {
      chunks->push_back(payload);
      return true;
    }
    const bool taken = writer.large(slot, payload);
    packages += taken ? 1 : 0;
    return taken;
  }
  bool copy_chunk(ConstBytes payload) {
    LargePayload chunk;
    chunk.memory = chunk.payload = static_cast<std::uint8_t*>(std::malloc(payload.size()));
    if (chunk.memory == nullptr) return false;
    std::memcpy(chunk.memory, payload.data(), payload.size());
    chunk.length = payload.size();
    chunks->push_back(chunk);
    return true;
  }
};

}  // namespace

bool Worker::may_read(const ClientContext& context) const {
  return context.state != ContextState::closed && !context.rests() && !context.stalled && !context.waits_for_disk &&
         !context.peer_ended;
}

void Worker::continue_reading(ClientContext& context) {
  if (!may_read(context) || !feed_backlog(context) || !may_read(context)) return;
  bool drained = false;
  if (context.reads != nullptr) {
    drained = !take_parked_reads(context);
    if (!may_read(context)) return;
    // What is pending brings its own turn, and comes before what a read without it would find.
    if (context.reads->sequencer.outstanding() > 0) {
      top_up_reads(context);
      return;
    }
  }
  if (context.zero_byte_pending) return;
  if (drained) {
    wait_for_bytes(context);
  } else {
    read_until_empty(context);
  }
}

void Worker::wait_for_bytes(ClientContext& context) {
  if (waits_with_buffers(context)) {
    top_up_reads(context);
  } else {
    arm_zero_byte_read(context);
  }
}

bool Worker::waits_with_buffers(ClientContext& context) {
  if (context.reads != nullptr && context.reads->allowance.now() == 0) return false;
  if (!engine_.options().zero_byte_reads) return true;
  if (!context.busy) return false;
  // The rest of a large package is better received in its place than through one pooled buffer.
  return engine_.options().pending_reads > 1 || context.framer.direct_target(&payload_allocator_).empty();
}

// --- zero-byte reads -----------------------------------------------------------------------------------------

void Worker::arm_zero_byte_read(ClientContext& context) {
  if (context.zero_byte_pending || !may_read(context)) return;
  context.zero_byte_pending = true;
  context.enter(Reference::zero_byte_read);
  // No buffer is locked while this is pending: tens of thousands of idle contexts cost the system nothing.
  note(&context.zero_byte_read, lane_.port.submit_zero_byte_read(&context.zero_byte_read, context.socket));
}

void Worker::on_zero_byte_read(ClientContext& context, Status status) {
  context.zero_byte_pending = false;
  if (context.state == ContextState::closed) return;
  if (is_shortage(status)) {
    add(lane_.counters.buffer_shortages, 1);
    queue_retry(context);
    return;
  }
  if (status != Status::ok) {
    fail_io(context, status, Syscall::read);
    return;
  }
  if (context.rests()) {
    watch_hang_up(context);
    return;
  }
  if (!may_read(context)) return;
  const bool buffers = engine_.options().buffer_when_busy || engine_.options().pending_reads > 1;
  context.busy = buffers && now_ms_ <= context.last_turn_ms + kBusyGapMs;
  context.last_turn_ms = now_ms_;
  read_until_empty(context);
}

void Worker::read_until_empty(ClientContext& context) {
  Room& room = room_of(context);
  const std::uint32_t epoch = room.epoch();
  if (room.full()) {
    // Bytes are better kept in the kernel, where they push back on the peer, than copied aside here.
    stall(context, epoch);
    return;
  }
  std::size_t budget = kReadBudgetBytes;
  Framer::Surplus surplus;
  while (budget > 0) {
    const MutableBytes raw = raw_target(context);
    if (context.state == ContextState::closed) return;
    ReceivingRun run = raw.empty() ? open_run(context) : ReceivingRun();
    const MutableBytes target = raw.empty() ? read_target(context, run) : raw;
    const auto [status, count, rest, no_room] = read_some(context, target);
    if (no_room) {
      room.set_full(true);
      stall(context, epoch);
      return;
    }
    if (status == Status::would_block) break;
    if (is_shortage(status)) {
      add(lane_.counters.buffer_shortages, 1);
      queue_retry(context);
      return;
    }
    if (status != Status::ok) {
      fail_io(context, status, Syscall::read);
      return;
    }
    if (count == 0) {
      on_end_of_stream(context);
      return;
    }
    context.bytes_received += count;
    add(lane_.counters.bytes_received, count);
    if (!raw.empty()) {
      raw_received(context, count);
    } else if (!run.empty()) {
      if (!feed_all(context, ConstBytes(target).first(count), &run)) return;
    } else if (target.data() != scratch_.get()) {
      if (!feed_all(context, context.framer.direct_received(count, surplus))) return;
    } else if (!rest.empty()) {
      if (!feed_all(context, rest)) return;
    }
    if (!may_read(context)) return;
    if (count < target.size()) break;  // a short read: the socket is empty, or the next wait will tell
    budget -= std::min<std::size_t>(budget, count);
  }
  if (context.reads != nullptr) context.reads->allowance.grow();
  wait_for_bytes(context);
}

// Where large packages follow each other they are received behind each other, as many as come, and stay there.
ReceivingRun Worker::open_run(ClientContext& context) {
  const std::uint64_t expected = context.framer.expected_large();
  if (expected > 0 && expected <= kPartialBytesFirst)
    return payload_allocator_.open(static_cast<std::size_t>(expected) + Framer::kSurplusMax);
  const std::uint8_t* const behind = context.framer.block_end();
  return behind == nullptr ? ReceivingRun() : payload_allocator_.open(Framer::kSurplusMax, behind);
}

MutableBytes Worker::read_target(ClientContext& context, const ReceivingRun& run) {
  if (!run.empty()) return context.framer.run_target(run, kRunReadBytes);
  const MutableBytes direct = context.framer.direct_target(&payload_allocator_);
  if (!direct.empty()) return direct;
  return {scratch_.get(), context.framer.expected_large() > 0 ? Framer::kSurplusMax : kScratchBytes};
}

Worker::Read Worker::read_some(ClientContext& context, MutableBytes target) {
  Read read;
  if (target.data() == scratch_.get() && may_read_in_place(context)) {
    Mailbox::Writer writer(lane_.mailbox);
    const std::size_t as_last_time = std::size_t{context.last_read_kib} * 1024;
    const MutableBytes place = writer.place(std::max(kReadInPlaceMin, as_last_time));
    if (!place.empty()) return read_in_place(context, writer, place.first(std::min(place.size(), target.size())));
    read.no_room = writer.full();
    if (read.no_room) return read;
  }
  read.status = lane_.port.read_now(context.socket, target, &read.bytes);
  read.rest = ConstBytes(target).first(read.bytes);
  return read;
}

// Only while the owner steps the lane: the mailbox is locked over the read, and it is the owner who empties it.
bool Worker::may_read_in_place(const ClientContext& context) const {
  const bool owner_steps = !lane_.stepped_by_threads.load(std::memory_order_relaxed) && context.worker == nullptr;
  return owner_steps && series_room_ > 0 && !context.framer.mid_package() && context.framer.expected_large() == 0;
}

Worker::Read Worker::read_in_place(ClientContext& context, Mailbox::Writer& writer, MutableBytes place) {
  Read read;
  read.status = lane_.port.read_now(context.socket, place, &read.bytes);
  const MutableBytes bytes = place.first(read.bytes);
  if (read.bytes > 0) context.last_read_kib = static_cast<std::uint8_t>((read.bytes + 1023) / 1024);
  const EngineOptions& options = engine_.options();
  const ReceivedSeries series = make_series(
      options.framing, bytes, [&](ConstBytes payload) { return !options.file_transfer || !is_file_chunk(payload); });
  // The next record may be where the rest is.
  const MutableBytes rest = bytes.subspan(series.bytes);
  std::copy(rest.begin(), rest.end(), scratch_.get());
  read.rest = ConstBytes(scratch_.get(), rest.size());
  if (series.packages == 0) return read;
  writer.series(context.slot, series.bytes);
  context.packages_received += series.packages;
  add(lane_.counters.packages_received, series.packages);
  return read;
}

// False: it is not to be read on, for what was left over is kept, or the context ended.
bool Worker::feed_all(ClientContext& context, ConstBytes bytes, ReceivingRun* run) {
  const std::size_t used = feed(context, bytes, run);
  if (context.state == ContextState::closed) return false;
  if (used == bytes.size()) return true;
  keep_backlog(context, bytes.subspan(used));
  return false;
}

// --- pending reads -------------------------------------------------------------------------------------------

void Worker::top_up_reads(ClientContext& context) {
  if (context.reads == nullptr) {
    context.reads = std::make_unique<PendingReads>(engine_.options().pending_reads);
  }
  PendingReads& reads = *context.reads;
  if (reads.giving_back) return;
  while (may_read(context) && reads.sequencer.outstanding() < reads.allowance.now()) {
    if (!submit_read(context)) break;
  }
  if (reads.sequencer.outstanding() == 0) {
    // No memory for even one: wait with none.
    arm_zero_byte_read(context);
    return;
  }
  // A timer that is set already finds out by itself whether bytes came meanwhile.
  const bool unwatched = context.timer_due_ms == UINT64_MAX;
  if (engine_.options().zero_byte_reads && unwatched && context.state == ContextState::open) {
    context.reads->bytes_at_timer = context.bytes_received;
    set_timer(context, kActiveReadIdleMs);
  }
}

// False: no more of them now, because memory or buffers ran out.
bool Worker::submit_read(ClientContext& context) {
  PendingReads& reads = *context.reads;
  void* memory = lane_.read_operations.acquire();
  void* buffer = memory == nullptr ? nullptr : engine_.read_buffers().acquire();
  if (buffer == nullptr) {
    lane_.read_operations.release(memory);
    add(lane_.counters.buffer_shortages, 1);
    reads.allowance.cut(reads.sequencer.next(), reads.sequencer.next());
    return false;
  }
  auto* operation = new (memory) ReadOperation;
  operation->tag = static_cast<std::uint8_t>(Tag::read);
  operation->owner = &context;
  operation->buffer = static_cast<std::uint8_t*>(buffer);
  // Number and submission under one lock, or the numbers would not follow the kernel's order.
  operation->number = reads.sequencer.issue();
  reads.live[operation->number % reads.live.size()] = operation;
  ++reads.in_flight;
  context.enter(Reference::read);
  const MutableBytes target(operation->buffer, engine_.read_buffers().buffer_bytes());
  // From here operation and buffer are the port's until the completion.
  const Submission submission = lane_.port.submit_read(operation, context.socket, target);
  note(operation, submission);
  return submission.pending || !is_shortage(submission.status);
}

void Worker::free_read(ReadOperation* operation) {
  engine_.read_buffers().release(operation->buffer);
  operation->~ReadOperation();
  lane_.read_operations.release(operation);
}

void Worker::on_read(ClientContext& context, ReadOperation* operation, Status status, std::uint32_t bytes) {
  PendingReads& reads = *context.reads;
  --reads.in_flight;
  reads.live[operation->number % reads.live.size()] = nullptr;
  if (context.state == ContextState::closed) {
    free_read(operation);
    return;
  }
  if (is_shortage(status)) {
    // Answered now and not at its turn, which may be long in coming. It took no bytes: others have what came.
    add(lane_.counters.buffer_shortages, 1);
    reads.allowance.cut(operation->number, reads.sequencer.next());
    status = Status::cancelled;
  }
  operation->status = status;
  operation->bytes = bytes;
  operation->used = 0;
  reads.sequencer.park(operation->number, operation);
  if (context.rests()) {
    on_read_while_paused(context);
  } else if (!context.stalled) {
    continue_reading(context);
  }
}

// Bytes stay parked until resume(); an end or an error that is next in order stays visible.
void Worker::on_read_while_paused(ClientContext& context) {
  Sequencer<ReadOperation>& sequencer = context.reads->sequencer;
  while (sequencer.peek() != nullptr && sequencer.peek()->status == Status::cancelled) free_read(sequencer.take());
  finish_giving_back(context);
  const ReadOperation* next = sequencer.peek();
  if (next != nullptr && (next->status != Status::ok || next->bytes == 0)) {
    const bool paused = context.paused;
    const bool unserved = context.unserved;
    context.paused = context.unserved = false;
    take_parked_reads(context);
    context.paused = paused;
    context.unserved = unserved;
    return;
  }
  watch_paused(context);
  look_for_end_while_paused(context);
}

// Frames what is parked, in order. False: the last read did not fill its buffer, or was given back because nothing
// came, so the socket is probably empty.
bool Worker::take_parked_reads(ClientContext& context) {
  PendingReads& reads = *context.reads;
  bool more = true;
  while (may_read(context)) {
    ReadOperation* operation = reads.sequencer.peek();
    if (operation == nullptr) break;
    if (!feed_parked(context, *operation)) return true;
    const Status status = operation->status;
    const bool end = status == Status::ok && operation->bytes == 0;
    // One that met a shortage tells nothing about the socket.
    more = status == Status::ok ? operation->bytes == engine_.read_buffers().buffer_bytes() : !reads.giving_back;
    free_read(reads.sequencer.take());
    if (end) {
      on_end_of_stream(context);
    } else if (status == Status::ok) {
      reads.allowance.grow();
    } else if (status != Status::cancelled) {
      fail_io(context, status, Syscall::read);
      return true;
    }
  }
  if (context.state != ContextState::closed) finish_giving_back(context);
  return more;
}

// False: it closed the context, or the context stalled in the middle of it.
bool Worker::feed_parked(ClientContext& context, ReadOperation& operation) {
  if (operation.status != Status::ok || operation.bytes == 0) return true;
  if (operation.used == 0) {
    context.bytes_received += operation.bytes;
    add(lane_.counters.bytes_received, operation.bytes);
  }
  const ConstBytes bytes(operation.buffer + operation.used, operation.bytes - operation.used);
  const std::size_t used = feed(context, bytes);
  if (context.state == ContextState::closed) return false;  // close_socket() freed what was parked
  operation.used += static_cast<std::uint32_t>(used);
  return operation.used == operation.bytes;
}

void Worker::give_reads_back(ClientContext& context) {
  if (context.reads == nullptr || context.reads->in_flight == 0 || context.reads->giving_back) return;
  if (context.bytes_received != context.reads->bytes_at_timer) {
    context.reads->bytes_at_timer = context.bytes_received;
    set_timer(context, kActiveReadIdleMs);
    return;
  }
  context.reads->giving_back = true;
  for (ReadOperation* operation : context.reads->live) {
    if (operation != nullptr && operation->phase == OperationPhase::submitted) {
      lane_.port.cancel(operation, context.socket);
    }
  }
}

// From here on the context counts as idle until its zero-byte reads show otherwise.
void Worker::finish_giving_back(ClientContext& context) {
  if (!context.reads->giving_back || context.reads->sequencer.outstanding() > 0) return;
  context.reads->giving_back = false;
  context.busy = false;
}

// --- framing ---------------------------------------------------------------------------------------------------

std::size_t Worker::feed(ClientContext& context, ConstBytes bytes, ReceivingRun* run) {
  const std::size_t raw = feed_raw(context, bytes);
  if (context.waits_for_disk || context.state == ContextState::closed || (raw > 0 && raw == bytes.size())) return raw;
  return raw + feed_packages(context, bytes.subspan(raw), run);
}

std::size_t Worker::feed_packages(ClientContext& context, ConstBytes bytes, ReceivingRun* run) {
  const Framing& framing = engine_.options().framing;
  Room& room = room_of(context);
  const std::uint32_t epoch = room.epoch();
  FeedResult result;
  std::vector<LargePayload> chunks;
  {
    Mailbox::Writer writer(mailbox_of(context));
    PackageSink sink{writer, context.slot, engine_.options().file_transfer ? &chunks : nullptr};
    result = context.framer.feed(framing, bytes, sink, &payload_allocator_, run);
    context.packages_received += sink.packages;
    add(lane_.counters.packages_received, sink.packages);
  }
  for (const LargePayload& chunk : chunks) take_chunk(context, chunk);
  switch (result.outcome) {
    case FeedResult::Outcome::drained:
      break;
    case FeedResult::Outcome::no_room:
      room.set_full(true);
      stall(context, epoch);
      break;
    case FeedResult::Outcome::illegal_length: {
      const ConstBytes header =
          context.framer.mid_package() ? context.framer.partial_bytes() : bytes.subspan(result.consumed);
      fail(context, DisconnectedBy::guard, Status::package_too_large, Syscall::none,
           describe_illegal_length(framing, header, result.announced));
      break;
    }
    case FeedResult::Outcome::out_of_memory:
      fail(context, DisconnectedBy::error, Status::out_of_memory, Syscall::read);
      break;
  }
  return result.consumed;
}

bool Worker::feed_backlog(ClientContext& context) {
  // Also without a backlog: a package may be complete that found no room before.
  const bool backlogged = context.backlog() != nullptr;
  if (!backlogged && !context.framer.mid_package()) return true;
  ConstBytes bytes;
  if (backlogged) {
    bytes = ConstBytes(context.backlog()->bytes.get() + context.backlog()->used,
                       context.backlog()->length - context.backlog()->used);
  }
  const std::size_t used = feed(context, bytes);
  if (context.state == ContextState::closed) return false;
  if (backlogged) {
    context.backlog()->used += used;
    if (context.backlog()->used == context.backlog()->length) context.seldom->backlog.reset();
  }
  return !context.stalled && !context.waits_for_disk;
}

void Worker::keep_backlog(ClientContext& context, ConstBytes bytes) {
  IOCP_CHECK(context.backlog() == nullptr);
  auto backlog = std::make_unique<Backlog>();
  backlog->bytes.reset(new std::uint8_t[bytes.size()]);
  backlog->length = bytes.size();
  std::memcpy(backlog->bytes.get(), bytes.data(), bytes.size());
  context.some().backlog = std::move(backlog);
}

void Worker::stall(ClientContext& context, std::uint32_t room_epoch) {
  if (context.stalled) return;
  context.stalled = true;
  context.enter(Reference::stalled);
  add(lane_.counters.stalls, 1);
  lane_.add_stalled(&context);
  lane_.want_room(room_of(context), room_epoch);
}

// --- the peer's end ----------------------------------------------------------------------------------------------

void Worker::on_end_of_stream(ClientContext& context) {
  context.peer_ended = true;
  if (context.files() != nullptr && context.files()->raw != nullptr) {
    std::string message =
        "the peer closed in the middle of a file: " + std::to_string(context.files()->raw_left) + " bytes are missing";
    fail(context, DisconnectedBy::peer, Status::package_incomplete, Syscall::none, std::move(message));
    return;
  }
  if (context.framer.mid_package()) {
    const std::uint64_t total = context.framer.partial_total();
    std::string message =
        "the peer closed in the middle of a package: " + std::to_string(context.framer.partial_received()) +
        " bytes of " + (total == 0 ? std::string("an unknown number") : std::to_string(total)) + " had arrived";
    fail(context, DisconnectedBy::peer, Status::package_incomplete, Syscall::none, std::move(message));
    return;
  }
  if (context.state == ContextState::ending) {
    advance_ending(context);
    return;
  }
  if (!context.ends_when_released) cancel_timer(context);
  tell_end(context);
}

void Worker::watch_hang_up(ClientContext& context) {
  if (context.hang_up_pending || context.end_seen || context.peer_ended) return;
  if (context.state == ContextState::closed) return;
  std::unique_ptr<Operation>& hang_up = context.some().hang_up;
  if (hang_up == nullptr) {
    hang_up = std::make_unique<Operation>();
    hang_up->tag = static_cast<std::uint8_t>(Tag::hang_up);
    hang_up->owner = &context;
  }
  context.hang_up_pending = true;
  context.enter(Reference::hang_up);
  note(hang_up.get(), lane_.port.submit_hang_up(hang_up.get(), context.socket));
}

void Worker::on_hang_up(ClientContext& context, Status status) {
  context.hang_up_pending = false;
  if (context.state == ContextState::closed || status == Status::cancelled) return;
  if (is_shortage(status)) {
    add(lane_.counters.buffer_shortages, 1);
    queue_retry(context);
    return;
  }
  if (status != Status::ok) {
    fail_io(context, status, Syscall::read);
    return;
  }
  context.end_seen = true;
  look_for_end_while_paused(context);
}

// Nothing unread before the FIN means that the connection is over, paused or not. One byte tells.
void Worker::look_for_end_while_paused(ClientContext& context) {
  if (!context.end_seen || !context.rests() || context.peer_ended) return;
  // What is still to be delivered comes before the end.
  if (context.framer.package_waits() || context.backlog() != nullptr) return;
  if (context.reads != nullptr && context.reads->sequencer.outstanding() > 0) return;
  std::uint8_t byte = 0;
  std::uint32_t count = 0;
  if (lane_.port.read_now(context.socket, MutableBytes(&byte, 1), &count) != Status::ok) return;
  if (count == 0) {
    on_end_of_stream(context);
    return;
  }
  context.bytes_received += count;
  add(lane_.counters.bytes_received, count);
  keep_backlog(context, ConstBytes(&byte, 1));
}

// --- pause and resume ----------------------------------------------------------------------------------------------

void Worker::pause(ClientContext& context) {
  if (context.state != ContextState::open || context.paused) return;
  context.paused = true;
  watch_paused(context);
}

// A pending read stays, as the sentinel that sees bytes or the end arrive. Without one, look now.
void Worker::watch_paused(ClientContext& context) {
  const bool read_pending = context.reads != nullptr && context.reads->in_flight > 0;
  if (!context.zero_byte_pending && !read_pending) watch_hang_up(context);
}

void Worker::resume(ClientContext& context) {
  if (!context.paused) return;
  context.paused = false;
  continue_reading(context);
}

}  // namespace iocp
