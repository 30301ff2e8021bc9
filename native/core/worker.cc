// The turn of a worker: what is done, in which order, and to whom each completion belongs.
#include "core/worker.h"

#include "core/logical_worker.h"
#include "core/series.h"
#include "port/check.h"
#include "port/prefetch.h"

namespace iocp {
namespace {

void prefetch_owner(const Operation& operation) {
  const auto tag = static_cast<Tag>(operation.tag);
  const bool of_context = tag == Tag::zero_byte_read || tag == Tag::read || tag == Tag::write;
  if (of_context) prefetch(operation.owner, sizeof(ClientContext));
}

}  // namespace

Worker::Worker(Engine& engine, Lane& lane)
    : engine_(engine),
      lane_(lane),
      scratch_(new std::uint8_t[kScratchBytes]),
      payload_allocator_(engine.payload_arenas()),
      series_room_(series_room(engine.options().framing)) {}

bool Worker::has_work() const {
  return collected_count_ > 0 || finished_next_ < finished_.size() || lane_.has_commands() ||
         lane_.unstall_requested.load(std::memory_order_acquire) || lane_.port.has_queued();
}

std::int32_t Worker::sleep_limit_ms(std::uint64_t now_ms) { return has_work() ? 0 : lane_.next_due_in(now_ms); }

std::size_t Worker::collect(std::int32_t timeout_ms) {
  IOCP_CHECK(collected_count_ == 0);
  if (timeout_ms != 0 && has_work()) timeout_ms = 0;
  collected_count_ = lane_.port.wait(collected_, timeout_ms);
  return collected_count_;
}

void Worker::step(std::uint64_t now_ms) {
  now_ms_ = now_ms;
  add(lane_.counters.steps, 1);
  const std::size_t count = collected_count_;
  collected_count_ = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i + 1 < count) prefetch_owner(*collected_[i + 1].operation);
    react(collected_[i]);
  }
  if (lane_.unstall_requested.exchange(false, std::memory_order_acq_rel)) unstall();
  run_inbox();
  react_to_finished();
  fire_timers();
  ring();
}

void Worker::run_commands(std::uint64_t now_ms) {
  now_ms_ = now_ms;
  if (lane_.unstall_requested.exchange(false, std::memory_order_acq_rel)) unstall();
  run_inbox();
  react_to_finished();
  ring();
}

void Worker::ring() {
  engine_.ring_if_needed(lane_);
  for (const std::shared_ptr<LogicalWorker>& worker : touched_) worker->ring_if_needed();
  touched_.clear();
}

void Worker::fire_timers() {
  Lane::Due due;
  while (lane_.expire(now_ms_, &due)) {
    switch (due.kind) {
      case Timer::Kind::context: {
        auto& context = *static_cast<ClientContext*>(due.owner);
        {
          ScopedLock guard(context.lock);
          // Between the wheel and the lock another worker may have moved or cancelled it: then it is not due.
          if (now_ms_ >= context.timer_due_ms) {
            context.timer_due_ms = UINT64_MAX;
            on_context_timer(context);
          }
        }
        release(context, Reference::timer);
        break;
      }
      case Timer::Kind::connect:
        on_connect_timer(static_cast<ConnectRequest*>(due.owner));
        break;
      case Timer::Kind::accept:
        resume_accepts();
        break;
      case Timer::Kind::retry:
        retry();
        break;
    }
  }
}

void Worker::run_inbox() {
  if (!lane_.take_commands(&commands_)) return;
  for (const Command& command : commands_) run(command);
  lane_.commands_done();
}

void Worker::run(const Command& command) {
  switch (command.verb) {
    case Command::Verb::flush:
    case Command::Verb::finish:
    case Command::Verb::disconnect:
    case Command::Verb::abort:
    case Command::Verb::pause:
    case Command::Verb::resume:
    case Command::Verb::assign:
    case Command::Verb::depart:
    case Command::Verb::release:
    case Command::Verb::orphan:
    case Command::Verb::file_room:
    case Command::Verb::end:
      run_on_context(command);
      return;
    case Command::Verb::adopt: {
      const std::unique_ptr<Adoption> adoption(static_cast<Adoption*>(command.object));
      adopt(*adoption);
      engine_.leave_busy();
      return;
    }
    case Command::Verb::listen:
      open_listener(static_cast<Listener*>(command.object));
      return;
    case Command::Verb::close_listeners:
      close_listeners();
      return;
    case Command::Verb::hold_accepts:
      hold_accepts();
      return;
    case Command::Verb::resume_accepts:
      release_accepts();
      return;
    case Command::Verb::connect:
      start_connect(static_cast<ConnectRequest*>(command.object));
      return;
    case Command::Verb::cancel_connect:
      cancel_connect(command.a);
      return;
    case Command::Verb::cancel_connects:
      cancel_connects();
      return;
  }
  IOCP_UNREACHABLE("a Verb outside the enum");
}

void Worker::run_on_context(const Command& command) {
  ClientContext& context = *command.context;
  bool last = false;
  {
    ScopedLock guard(context.lock);
    switch (command.verb) {
      case Command::Verb::flush:
        context.flush_queued = false;
        write_queued(context);
        break;
      case Command::Verb::finish:
        begin_ending(context, {DisconnectedBy::peer, Status::peer_closed, Syscall::none, {}}, {});
        break;
      case Command::Verb::disconnect:
        if (command.a == 1) {
          begin_ending(context, {DisconnectedBy::local, Status::disconnected, Syscall::none, {}},
                       {true, false, command.b});
        } else {
          fail(context, DisconnectedBy::local, Status::disconnected, Syscall::none);
        }
        break;
      case Command::Verb::abort: {
        const auto why = static_cast<Status>(command.a);
        const bool limit = why == Status::queue_overflow;
        fail(context, limit ? DisconnectedBy::guard : DisconnectedBy::error, why, Syscall::none);
        break;
      }
      case Command::Verb::pause:
        pause(context);
        break;
      case Command::Verb::resume:
        resume(context);
        break;
      case Command::Verb::assign:
        on_assign(context);
        break;
      case Command::Verb::depart:
        on_depart(context, command.a);
        break;
      case Command::Verb::release:
        on_release(context, command.a, std::unique_ptr<Luggage>(static_cast<Luggage*>(command.object)));
        break;
      case Command::Verb::orphan:
        on_orphan(context, command.a);
        break;
      case Command::Verb::file_room:
        context.waits_for_disk = false;
        continue_reading(context);
        break;
      case Command::Verb::end:
        if (command.a == 1) {
          fail(context, DisconnectedBy::local, Status::closed, Syscall::none);
        } else if (!finish_service(context, command.b)) {
          begin_ending(context, {DisconnectedBy::local, Status::closed, Syscall::none, {}}, {true, true, command.b});
        }
        break;
      default:
        IOCP_UNREACHABLE("a command that is not about a context");
    }
    last = context.leave(Reference::command);
  }
  if (last) publish_disconnected(context);
}

void Worker::note(Operation* operation, const Submission& submission) {
  if (!submission.pending) finished_.push_back({operation, submission.status, submission.bytes});
}

void Worker::react_to_finished() {
  // Reactions may finish more submissions at once; the bound gives the port and the clock their turn.
  for (std::size_t done = 0; finished_next_ < finished_.size() && done < kReactionsPerStep; ++done) {
    const Completion completion = finished_[finished_next_++];
    react(completion);
  }
  if (finished_next_ == finished_.size()) {
    finished_.clear();
    finished_next_ = 0;
  }
}

void Worker::react(const Completion& completion) {
  switch (static_cast<Tag>(completion.operation->tag)) {
    case Tag::wake:
      // Before the inbox is looked at: whoever queues a command from now on posts again.
      lane_.wake_posted.exchange(false, std::memory_order_acq_rel);
      return;
    case Tag::accept:
      on_accept(static_cast<AcceptOperation*>(completion.operation), completion.status);
      return;
    case Tag::connect:
      on_connect(static_cast<ConnectRequest*>(completion.operation->owner), completion.status);
      return;
    case Tag::zero_byte_read:
    case Tag::read:
    case Tag::write:
    case Tag::transmit:
    case Tag::hang_up:
      react_in_context(completion);
      return;
  }
  IOCP_UNREACHABLE("a Tag outside the enum");
}

void Worker::react_in_context(const Completion& completion) {
  ClientContext& context = *static_cast<ClientContext*>(completion.operation->owner);
  Reference reason = Reference::zero_byte_read;
  bool last = false;
  {
    ScopedLock guard(context.lock);
    switch (static_cast<Tag>(completion.operation->tag)) {
      case Tag::zero_byte_read:
        on_zero_byte_read(context, completion.status);
        break;
      case Tag::read:
        reason = Reference::read;
        on_read(context, static_cast<ReadOperation*>(completion.operation), completion.status, completion.bytes);
        break;
      case Tag::write:
        reason = Reference::write;
        on_written(context, completion.status, completion.bytes);
        write_queued(context);
        break;
      case Tag::transmit:
        reason = Reference::write;
        on_transmitted(context, completion.status, completion.bytes);
        write_queued(context);
        break;
      case Tag::hang_up:
        reason = Reference::hang_up;
        on_hang_up(context, completion.status);
        break;
      default:
        IOCP_UNREACHABLE("an operation that belongs to no context");
    }
    last = context.leave(reason);
  }
  if (last) publish_disconnected(context);
}

void Worker::release(ClientContext& context, Reference reason) {
  bool last = false;
  {
    ScopedLock guard(context.lock);
    last = context.leave(reason);
  }
  if (last) publish_disconnected(context);
}

void Worker::unstall() {
  // Again here: a worker may have called a mailbox full just after its reader had made room.
  std::vector<ClientContext*> stalled;
  lane_.take_stalled(&stalled);
  for (ClientContext* context : stalled) {
    ScopedLock guard(context->lock);
    room_of(*context).set_full(false);
  }
  for (ClientContext* context : stalled) {
    {
      ScopedLock guard(context->lock);
      context->stalled = false;
      continue_reading(*context);
    }
    release(*context, Reference::stalled);
  }
  resume_accepts();
}

void Worker::retry() {
  std::vector<ClientContext*> waiting;
  lane_.take_retry(&waiting);
  for (ClientContext* context : waiting) {
    {
      ScopedLock guard(context->lock);
      context->retry_queued = false;
      write_queued(*context);
      // Whichever it was that could not be waited for.
      if (context->rests()) {
        watch_paused(*context);
      } else {
        continue_reading(*context);
      }
    }
    release(*context, Reference::retry);
  }
}

}  // namespace iocp
