// The way in: zero-byte reads, non-blocking reads until the socket is empty, several pending reads put back in
// order, framing into the mailbox, and what happens when the mailbox is full, the user paused, or the peer ended.
#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "core/worker.h"
#include "port/check.h"

namespace iocp {
namespace {

// What the framer gives packages to: one context's view of its lane's mailbox.
struct PackageSink {
  Mailbox::Writer& writer;
  std::uint32_t slot;
  std::uint64_t packages = 0;

  bool package(ConstBytes payload) {
    const bool taken = writer.package(slot, payload);
    packages += taken ? 1 : 0;
    return taken;
  }
  bool large(const LargePayload& payload) {
    const bool taken = writer.large(slot, payload);
    packages += taken ? 1 : 0;
    return taken;
  }
};

}  // namespace

bool Worker::may_read(const ClientContext& context) const {
  return context.state != ContextState::closed && !context.paused && !context.stalled && !context.peer_ended;
}

void Worker::start_reading(ClientContext& context) {
  if (engine_.options().zero_byte_reads) {
    arm_zero_byte_read(context);
  } else {
    top_up_reads(context);
  }
}

void Worker::continue_reading(ClientContext& context) {
  if (!may_read(context) || !feed_backlog(context) || !may_read(context)) return;
  if (context.reads != nullptr) take_parked_reads(context);
  if (!may_read(context)) return;
  if (!overlapped()) {
    // A pending zero-byte read brings its own turn; reading now as well would only race with it.
    if (!context.zero_byte_pending) read_until_empty(context);
    return;
  }
  const bool active = context.reads != nullptr && context.reads->sequencer.outstanding() > 0;
  if (active && !context.reads->giving_back) {
    top_up_reads(context);
  } else if (!active) {
    start_reading(context);
  }
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
  if (status == Status::no_buffer_space || status == Status::out_of_memory) {
    queue_retry(context);
    return;
  }
  if (status != Status::ok) {
    fail_io(context, status, Syscall::read);
    return;
  }
  if (context.paused) {
    watch_hang_up(context);
    return;
  }
  if (!may_read(context)) return;
  if (overlapped()) {
    top_up_reads(context);
  } else {
    read_until_empty(context);
  }
}

void Worker::read_until_empty(ClientContext& context) {
  const std::uint32_t epoch = lane_.room_epoch.load(std::memory_order_seq_cst);
  if (lane_.full.load(std::memory_order_relaxed)) {
    // Bytes are better kept in the kernel, where they push back on the peer, than copied aside here.
    stall(context, epoch);
    return;
  }
  std::size_t budget = kReadBudgetBytes;
  Framer::Surplus surplus;
  while (budget > 0) {
    const MutableBytes direct = context.framer.direct_target();
    const std::size_t most = context.framer.expects_large() ? Framer::kSurplusMax : kScratchBytes;
    const MutableBytes target = direct.empty() ? MutableBytes(scratch_.get(), most) : direct;
    std::uint32_t count = 0;
    const Status status = lane_.port.read_now(context.socket, target, &count);
    if (status == Status::would_block) break;
    if (status == Status::no_buffer_space || status == Status::out_of_memory) {
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
    const ConstBytes bytes =
        direct.empty() ? ConstBytes(target).first(count) : context.framer.direct_received(count, surplus);
    const std::size_t used = feed(context, bytes);
    if (context.state == ContextState::closed) return;
    if (used < bytes.size()) {
      keep_backlog(context, bytes.subspan(used));
      return;
    }
    if (!may_read(context)) return;
    if (count < target.size()) break;  // a short read: the socket is empty, or the zero-byte read will tell
    budget -= std::min<std::size_t>(budget, count);
  }
  arm_zero_byte_read(context);
}

// --- pending reads -------------------------------------------------------------------------------------------

void Worker::top_up_reads(ClientContext& context) {
  if (context.reads == nullptr) {
    context.reads = std::make_unique<PendingReads>(engine_.options().pending_reads);
  }
  PendingReads& reads = *context.reads;
  if (reads.giving_back) return;
  bool short_of_memory = false;
  while (may_read(context) && reads.sequencer.outstanding() < reads.limit && !short_of_memory) {
    void* memory = lane_.read_operations.acquire();
    void* buffer = memory == nullptr ? nullptr : engine_.read_buffers().acquire();
    if (buffer == nullptr) {
      lane_.read_operations.release(memory);
      short_of_memory = true;
      break;
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
    // From here operation and buffer are the port's until the completion.
    note(operation,
         lane_.port.submit_read(operation, context.socket, MutableBytes(operation->buffer, kReadBufferBytes)));
  }
  if (short_of_memory && reads.in_flight == 0) queue_retry(context);
  if (engine_.options().zero_byte_reads && reads.in_flight > 0 && context.state == ContextState::open) {
    context.bytes_received_at_timer = context.bytes_received;
    set_timer(context, kActiveReadIdleMs);
  }
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
  operation->status = status;
  operation->bytes = bytes;
  operation->used = 0;
  if (context.state == ContextState::closed) {
    free_read(operation);
    return;
  }
  reads.sequencer.park(operation->number, operation);
  if (context.paused) {
    // Bytes stay parked until resume(); an end or an error that is next in order stays visible.
    const ReadOperation* next = reads.sequencer.peek();
    const bool over = next != nullptr && (next->status != Status::ok || next->bytes == 0);
    if (over) {
      context.paused = false;
      take_parked_reads(context);
      context.paused = true;
    } else {
      watch_hang_up(context);
    }
    return;
  }
  if (!context.stalled) continue_reading(context);
}

void Worker::take_parked_reads(ClientContext& context) {
  PendingReads& reads = *context.reads;
  while (may_read(context)) {
    ReadOperation* operation = reads.sequencer.peek();
    if (operation == nullptr) break;
    const Status status = operation->status;
    if (status == Status::ok && operation->bytes > 0) {
      if (operation->used == 0) {
        context.bytes_received += operation->bytes;
        add(lane_.counters.bytes_received, operation->bytes);
      }
      const ConstBytes bytes(operation->buffer + operation->used, operation->bytes - operation->used);
      const std::size_t used = feed(context, bytes);
      if (context.state == ContextState::closed) return;  // close_socket() freed what was parked
      operation->used += static_cast<std::uint32_t>(used);
      if (operation->used < operation->bytes) return;  // stalled in the middle of this buffer
    }
    const bool end = status == Status::ok && operation->bytes == 0;
    free_read(reads.sequencer.take());
    if (end) {
      on_end_of_stream(context);
    } else if (status == Status::no_buffer_space || status == Status::out_of_memory) {
      // The system cannot lock that many buffers: ask for fewer, and wait with none when all are home.
      add(lane_.counters.buffer_shortages, 1);
      reads.limit = std::max<std::uint32_t>(1, reads.limit / 2);
      reads.giving_back = engine_.options().zero_byte_reads;
      if (reads.sequencer.outstanding() == 0 && !engine_.options().zero_byte_reads) queue_retry(context);
    } else if (status != Status::ok && status != Status::cancelled) {
      fail_io(context, status, Syscall::read);
      return;
    }
  }
  if (context.state != ContextState::closed && reads.giving_back && reads.sequencer.outstanding() == 0) {
    reads.giving_back = false;
    cancel_timer(context);
    arm_zero_byte_read(context);
  }
}

void Worker::give_reads_back(ClientContext& context) {
  if (context.reads == nullptr || context.reads->in_flight == 0 || context.reads->giving_back) return;
  if (context.bytes_received != context.bytes_received_at_timer) {
    context.bytes_received_at_timer = context.bytes_received;
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

// --- framing ---------------------------------------------------------------------------------------------------

std::size_t Worker::feed(ClientContext& context, ConstBytes bytes) {
  const Framing& framing = engine_.options().framing;
  const std::uint32_t epoch = lane_.room_epoch.load(std::memory_order_seq_cst);
  FeedResult result;
  {
    Mailbox::Writer writer(lane_.mailbox);
    PackageSink sink{writer, context.slot};
    result = context.framer.feed(framing, bytes, sink);
    context.packages_received += sink.packages;
    add(lane_.counters.packages_received, sink.packages);
  }
  switch (result.outcome) {
    case FeedResult::Outcome::drained:
      break;
    case FeedResult::Outcome::no_room:
      lane_.full.store(true, std::memory_order_relaxed);
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
  const bool backlogged = context.backlog != nullptr;
  if (!backlogged && !context.framer.mid_package()) return true;
  ConstBytes bytes;
  if (backlogged) {
    bytes = ConstBytes(context.backlog->bytes.get() + context.backlog->used,
                       context.backlog->length - context.backlog->used);
  }
  const std::size_t used = feed(context, bytes);
  if (context.state == ContextState::closed) return false;
  if (backlogged) {
    context.backlog->used += used;
    if (context.backlog->used == context.backlog->length) context.backlog.reset();
  }
  return !context.stalled;
}

void Worker::keep_backlog(ClientContext& context, ConstBytes bytes) {
  IOCP_CHECK(context.backlog == nullptr);
  auto backlog = std::make_unique<Backlog>();
  backlog->bytes.reset(new std::uint8_t[bytes.size()]);
  backlog->length = bytes.size();
  std::memcpy(backlog->bytes.get(), bytes.data(), bytes.size());
  context.backlog = std::move(backlog);
}

void Worker::stall(ClientContext& context, std::uint32_t room_epoch) {
  if (context.stalled) return;
  context.stalled = true;
  context.enter(Reference::stalled);
  add(lane_.counters.stalls, 1);
  lane_.add_stalled(&context);
  lane_.want_room(room_epoch);
}

// --- the peer's end ----------------------------------------------------------------------------------------------

void Worker::on_end_of_stream(ClientContext& context) {
  context.peer_ended = true;
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
  cancel_timer(context);
  if (context.end_told) return;
  context.end_told = true;
  lane_.mailbox.control(RecordKind::ended, context.slot, 0, {});
}

void Worker::watch_hang_up(ClientContext& context) {
  if (context.hang_up_pending || context.end_seen || context.state == ContextState::closed) return;
  if (context.hang_up == nullptr) {
    context.hang_up = std::make_unique<Operation>();
    context.hang_up->tag = static_cast<std::uint8_t>(Tag::hang_up);
    context.hang_up->owner = &context;
  }
  context.hang_up_pending = true;
  context.enter(Reference::hang_up);
  note(context.hang_up.get(), lane_.port.submit_hang_up(context.hang_up.get(), context.socket));
}

void Worker::on_hang_up(ClientContext& context, Status status) {
  context.hang_up_pending = false;
  if (context.state == ContextState::closed || status == Status::cancelled) return;
  if (status != Status::ok) {
    fail_io(context, status, Syscall::read);
    return;
  }
  context.end_seen = true;
  if (!context.paused || context.peer_ended) return;
  // What is still to be delivered comes before the end.
  if (context.framer.package_waits() || context.backlog != nullptr || context.reads != nullptr) return;
  // Nothing unread before the FIN means that the connection is over, paused or not. One byte tells.
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
  // A pending zero-byte read stays, as the sentinel that sees bytes or the end arrive. Without one, look now.
  if (!context.zero_byte_pending && !context.peer_ended) watch_hang_up(context);
}

void Worker::resume(ClientContext& context) {
  if (!context.paused) return;
  context.paused = false;
  continue_reading(context);
}

}  // namespace iocp
