// The way out: one gathered write in flight per context, repeated until its queue is empty or the socket is full.
#include <algorithm>
#include <new>

#include "core/worker.h"
#include "port/check.h"

namespace iocp {
namespace {

// Cuts the gathered slices down to `most` bytes; returns how many are left.
std::size_t limit(WriteOperation* operation, std::size_t slices, std::size_t most) {
  operation->bytes = 0;
  for (std::size_t i = 0; i < slices; ++i) {
    ConstBytes& slice = operation->slices[i];
    slice = slice.first(std::min(slice.size(), most - operation->bytes));
    operation->bytes += slice.size();
    if (operation->bytes == most) return i + 1;
  }
  return slices;
}

// What was lowered after a shortage doubles with every write of that size, until it is as good as no limit.
std::uint32_t grown(std::uint32_t most) { return most > kReadBudgetBytes ? kAnyWriteBytes : most * 2; }

}  // namespace

void Worker::write_queued(ClientContext& context) {
  // A fast reader of a long queue must not keep the worker from everybody else.
  std::size_t budget = kReadBudgetBytes;
  while (!context.writing() && !context.queue.empty() && !context.retry_queued &&
         context.state != ContextState::closed) {
    if (FilePiece* const piece = context.queue.front_file()) {
      if (!transmit_front(context, *piece, &budget)) return;
      continue;
    }
    void* memory = lane_.write_operations.acquire();
    if (memory == nullptr) {
      queue_retry(context);
      return;
    }
    auto* operation = new (memory) WriteOperation;
    operation->tag = static_cast<std::uint8_t>(Tag::write);
    operation->owner = &context;
    const std::size_t slices = limit(operation, context.queue.gather(operation->slices), context.most_write_bytes);
    context.write = operation;
    context.enter(Reference::write);
    // From here the operation and the queue's front are the port's until the completion.
    const Submission submission =
        lane_.port.submit_write(operation, context.socket, std::span(operation->slices.data(), slices));
    if (submission.pending) return;
    if (submission.bytes >= budget || submission.status != Status::ok) {
      note(operation, submission);
      return;
    }
    budget -= submission.bytes;
    on_written(context, submission.status, submission.bytes);
    // Not the last reference: whoever called holds one.
    IOCP_CHECK(!context.leave(Reference::write));
  }
}

void Worker::on_written(ClientContext& context, Status status, std::uint32_t bytes) {
  WriteOperation* operation = context.write;
  const std::size_t asked = operation->bytes;  // never more than most_write_bytes
  context.write = nullptr;
  operation->~WriteOperation();
  lane_.write_operations.release(operation);
  if (context.state == ContextState::closed) {
    context.queue.clear(engine_.send_buffers());
    return;
  }
  if (is_shortage(status)) {
    // The bytes of a write are locked while it is pending, so a smaller one may be taken where this one was not.
    context.most_write_bytes = std::max(static_cast<std::uint32_t>(asked / 2), kLeastWriteBytes);
    add(lane_.counters.buffer_shortages, 1);
    queue_retry(context);
    return;
  }
  if (status != Status::ok) {
    fail_io(context, status, Syscall::write);
    return;
  }
  if (asked >= context.most_write_bytes) context.most_write_bytes = grown(context.most_write_bytes);
  note_progress(context, bytes);
  if (context.queue.empty()) advance_ending(context);
}

void Worker::note_progress(ClientContext& context, std::uint64_t bytes) {
  const std::unique_ptr<FilePiece> finished = context.queue.consume(engine_.send_buffers(), bytes);
  context.bytes_sent += bytes;
  add(lane_.counters.bytes_sent, bytes);
  if (context.seldom != nullptr && context.seldom->marks != nullptr) {
    std::deque<SendMark>& marks = *context.seldom->marks;
    while (!marks.empty() && marks.front().position <= context.bytes_sent) {
      lane_.mailbox.control(RecordKind::written, context.slot, marks.front().token, {});
      marks.pop_front();
    }
    if (marks.empty()) context.seldom->marks.reset();
  }
  if (finished != nullptr) on_piece_sent(context, *finished);
  const std::uint64_t queued = context.queue.queued_bytes();
  if (context.drain_armed && queued <= engine_.options().low_water_mark) {
    context.drain_armed = false;
    lane_.mailbox.control(RecordKind::drain, context.slot, static_cast<std::uint32_t>(queued), {});
  }
  if (context.worker_drain_armed && queued <= engine_.options().low_water_mark) tell_worker_of_drain(context);
  const bool extends = context.state == ContextState::ending && !context.absolute_deadline && context.grace_ms > 0;
  if (extends && bytes > 0) set_timer(context, context.grace_ms);
}

void Worker::queue_retry(ClientContext& context) {
  if (context.retry_queued) return;
  context.retry_queued = true;
  context.enter(Reference::retry);
  lane_.add_retry(&context);
  lane_.schedule_once(&lane_.retry_timer, now_ms_ + kRetryDelayMs);
}

}  // namespace iocp
