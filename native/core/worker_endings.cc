// How connections end: gracefully (flush, FIN, wait for the peer's FIN), at once (RST), or by an error. Every path
// meets in close_socket() and, when the last reference is gone, in publish_disconnected().
#include <array>

#include "core/logical_worker.h"
#include "core/worker.h"
#include "port/check.h"

namespace iocp {

void Worker::set_timer(ClientContext& context, std::uint32_t delay_ms) {
  context.timer_due_ms = now_ms_ + delay_ms;
  if (lane_.schedule(&context.timer, context.timer_due_ms)) context.enter(Reference::timer);
}

void Worker::cancel_timer(ClientContext& context) {
  context.timer_due_ms = UINT64_MAX;
  // Not the last reference: whoever called holds one.
  if (lane_.cancel(&context.timer)) IOCP_CHECK(!context.leave(Reference::timer));
}

void Worker::begin_ending(ClientContext& context, DisconnectReason reason, Grace grace) {
  if (context.state == ContextState::closed) return;
  if (context.state == ContextState::ending) {
    // A close() that comes on top of an ending may only shorten it.
    if (grace.absolute && !context.absolute_deadline) {
      context.absolute_deadline = true;
      set_timer(context, grace.ms);
    }
    return;
  }
  context.state = ContextState::ending;
  context.some().disconnect_reason = std::make_unique<DisconnectReason>(std::move(reason));
  context.absolute_deadline = grace.absolute;
  context.grace_ms = grace.limited ? grace.ms : 0;
  cancel_timer(context);
  if (grace.limited) set_timer(context, grace.ms);
  if (context.paused) resume(context);  // the peer's FIN must be seen
  if (context.state == ContextState::ending) {
    write_queued(context);
    advance_ending(context);
  }
  if (context.state == ContextState::ending) continue_reading(context);
}

void Worker::advance_ending(ClientContext& context) {
  if (context.state != ContextState::ending) return;
  if (!context.queue.empty() || context.writing()) return;
  if (!context.write_shut) {
    context.write_shut = true;
    const Status status = lane_.port.shutdown_write(context.socket);
    if (status != Status::ok && status != Status::not_connected) {
      fail_io(context, status, Syscall::shutdown);
      return;
    }
  }
  if (!context.peer_ended) return;
  context.counted_as_drained = true;
  close_socket(context, CloseMode::normal);
}

void Worker::fail(ClientContext& context, DisconnectedBy by, Status status, Syscall syscall, std::string message) {
  if (context.state == ContextState::closed) return;
  if (context.some().disconnect_reason == nullptr) {
    context.some().disconnect_reason =
        std::make_unique<DisconnectReason>(DisconnectReason{by, status, syscall, std::move(message)});
  }
  close_socket(context, CloseMode::reset);
}

void Worker::fail_io(ClientContext& context, Status status, Syscall syscall) {
  const bool by_peer =
      status == Status::connection_reset || status == Status::broken_pipe || status == Status::connection_aborted;
  fail(context, by_peer ? DisconnectedBy::peer : DisconnectedBy::error, status, syscall);
}

void Worker::close_socket(ClientContext& context, CloseMode mode) {
  IOCP_CHECK(context.state != ContextState::closed);
  context.state = ContextState::closed;
  cancel_timer(context);
  // Pending operations come back cancelled, each with its reference; the memory they name stays until then.
  lane_.port.close_socket(context.socket, mode);
  context.socket = nullptr;
  if (!context.writing()) context.queue.clear(engine_.send_buffers());
  if (context.reads != nullptr) {
    while (ReadOperation* parked = context.reads->sequencer.take_any()) free_read(parked);
  }
  context.framer.reset();
  if (context.seldom != nullptr) {
    context.seldom->backlog.reset();
    context.seldom->marks.reset();
  }
  if (context.files() != nullptr) {
    context.files()->sending.clear();
    context.files()->receiving.clear();
    context.files()->raw.reset();
  }
}

void Worker::on_context_timer(ClientContext& context) {
  switch (context.state) {
    case ContextState::open:
      if (context.ends_when_released) {
        fail(context, DisconnectedBy::local, Status::closed, Syscall::none);
      } else {
        give_reads_back(context);
      }
      return;
    case ContextState::ending:
      // The grace period is over: what the peer did not take or acknowledge by its FIN is thrown away.
      close_socket(context, CloseMode::reset);
      return;
    case ContextState::closed:
      return;
  }
}

void Worker::publish_disconnected(ClientContext& context) {
  const std::uint32_t slot = context.slot;
  std::array<std::uint32_t, 12> words = {};
  std::string message;
  bool drained = false;
  std::shared_ptr<LogicalWorker> worker;
  {
    ScopedLock guard(context.lock);
    worker = std::move(context.worker);
    context.worker = nullptr;
    DisconnectReason unexplained;
    const bool explained = context.seldom != nullptr && context.seldom->disconnect_reason != nullptr;
    DisconnectReason& reason = explained ? *context.seldom->disconnect_reason : unexplained;
    message = std::move(reason.message);
    drained = context.counted_as_drained;
    const std::array<std::uint64_t, 4> figures = {context.bytes_received, context.bytes_sent, context.packages_received,
                                                  context.packages_sent};
    words[0] = static_cast<std::uint32_t>(reason.by);
    words[1] = static_cast<std::uint32_t>(reason.status);
    words[2] = static_cast<std::uint32_t>(reason.syscall);
    for (std::size_t i = 0; i < figures.size(); ++i) {
      words[3 + 2 * i] = static_cast<std::uint32_t>(figures[i]);
      words[4 + 2 * i] = static_cast<std::uint32_t>(figures[i] >> 32);
    }
    words[11] = static_cast<std::uint32_t>(message.size());
  }
  if (engine_.closing()) (drained ? engine_.drained : engine_.reset).fetch_add(1, std::memory_order_relaxed);
  add(lane_.counters.disconnected, 1);
  engine_.give_connection();
  const ConstBytes head(reinterpret_cast<const std::uint8_t*>(words.data()), sizeof words);
  const ConstBytes text(reinterpret_cast<const std::uint8_t*>(message.data()), message.size());
  if (worker != nullptr) {
    worker->mailbox().control(RecordKind::disconnected, slot, 0, {head, text});
    worker->lose_context();
    touch(worker);
  }
  // From here on the context is its owner's, who may recycle it at any moment.
  lane_.mailbox.control(RecordKind::disconnected, slot, 0, {head, text}, &context);
}

}  // namespace iocp
