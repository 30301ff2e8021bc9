// Packages out: framing into the contexts' queues, the cap on what may be queued, and one flush command per context
// and batch. Owner's thread, but for what logical workers share (engine_workers.cc).
#include <array>
#include <cstring>

#include "core/engine.h"
#include "core/series.h"
#include "core/write_run.h"
#include "port/check.h"
#include "port/prefetch.h"

namespace iocp {
namespace {

OutputHeader read_output_header(ConstBytes batch) {
  OutputHeader header;
  IOCP_CHECK(batch.size() >= sizeof header);
  std::memcpy(&header, batch.data(), sizeof header);
  IOCP_CHECK(output_record_bytes(header.length) <= batch.size());
  return header;
}

std::size_t packages_of(const Framing& framing, const OutputHeader& header, ConstBytes record) {
  if ((header.flags & kOutputSeries) == 0) return 1;
  return for_each_in_series(record.subspan(sizeof header, header.length), series_room(framing), [](ConstBytes) {});
}

}  // namespace

void Engine::submit_batch(MutableBytes batch, bool more) {
  ++batches_;
  while (!batch.empty()) {
    const OutputHeader header = read_output_header(batch);
    ClientContext* context = table_.find(header.slot, header.generation);
    if (context == nullptr) {
      outgoing_.sends_to_the_gone += packages_of(options_.framing, header, batch);
      batch = batch.subspan(output_record_bytes(header.length));
    } else {
      batch = queue_run(*context, header, batch, more);
    }
  }
  send_flushes();
}

MutableBytes Engine::queue_run(ClientContext& context, OutputHeader header, MutableBytes batch, bool more) {
  // Packages to one context tend to follow each other: it is found and locked once for all of them.
  ScopedLock guard(context.lock);
  const std::uint32_t slot = header.slot;
  const std::uint32_t generation = header.generation;
  while (header.slot == slot && header.generation == generation) {
    const MutableBytes body = batch.subspan(sizeof header, header.length);
    const MutableBytes rest = batch.subspan(output_record_bytes(header.length));
    const bool direct = !more && owner_may_write(context) && context.accepts_sends();
    if ((header.flags & kOutputSeries) != 0) {
      prefetch_next(rest);
      send_series(context, body, direct);
      batch = rest;
    } else {
      const std::size_t before = batch.size();
      if (direct) batch = write_run(context, slot, generation, batch);
      if (batch.size() == before) {
        static_cast<void>(queue_package(outgoing_, context, body, header.flags));
        batch = rest;
      }
    }
    if (batch.empty()) break;
    header = read_output_header(batch);
  }
  return batch;
}

bool Engine::owner_may_write(const ClientContext& context) {
  return !context.lane.stepped_by_threads.load(std::memory_order_relaxed) && nothing_waits_before(context);
}

bool Engine::nothing_waits_before(const ClientContext& context) {
  return context.queue.empty() && !context.writing() && !context.retry_queued;
}

MutableBytes Engine::write_run(ClientContext& context, std::uint32_t slot, std::uint32_t generation,
                               MutableBytes batch) {
  WriteRun run;
  std::size_t framed = 0;
  while (!batch.empty()) {
    const OutputHeader header = read_output_header(batch);
    const bool of_a_kind = (header.flags & (kOutputNotify | kOutputSeries)) == 0;
    if (header.slot != slot || header.generation != generation || !of_a_kind) break;
    const ConstBytes payload = batch.subspan(sizeof header, header.length);
    Envelope envelope;
    if ((header.flags & kOutputRaw) == 0 && !encode_envelope(options_.framing, payload, &envelope)) break;
    const ConstBytes head(envelope.header.data(), envelope.header_bytes);
    if (run.bytes() + head.size() + payload.size() + envelope.trailer.size() > options_.max_queued_bytes) break;
    // The record's own header was read.
    if (!run.add(head, payload, envelope.trailer, batch.first(sizeof header))) break;
    if ((header.flags & kOutputRaw) == 0) ++framed;
    batch = batch.subspan(output_record_bytes(header.length));
  }
  prefetch_next(batch);
  if (run.packages() > 0) send_ready(context, {run.slices(), run.bytes(), run.packages(), framed});
  return batch;
}

void Engine::send_series(ClientContext& context, MutableBytes series, bool direct) {
  if (direct) series = write_series(context, series);
  for_each_in_series(series, series_room(options_.framing), [&](ConstBytes payload) IOCP_NO_THREAD_SAFETY_ANALYSIS {
    static_cast<void>(queue_package(outgoing_, context, payload, 0));
  });
}

MutableBytes Engine::write_series(ClientContext& context, MutableBytes series) {
  const std::size_t room = series_room(options_.framing);
  std::size_t ready = 0;
  std::size_t packages = 0;
  while (ready < series.size()) {
    const MutableBytes package = series.subspan(ready);
    const std::size_t length = series_payload_bytes(package, room);
    if (ready + room + length > options_.max_queued_bytes) break;
    if (!write_whole_header(options_.framing, length, package.data())) break;
    ready += room + length;
    ++packages;
  }
  if (packages > 0) {
    const ConstBytes slice = series.first(ready);
    send_ready(context, {std::span(&slice, 1), ready, packages, packages});
  }
  return series.subspan(ready);
}

void Engine::prefetch_next(ConstBytes batch) const noexcept {
  if (batch.empty()) return;
  const OutputHeader next = read_output_header(batch);
  prefetch(table_.find(next.slot, next.generation), sizeof(ClientContext));
}

void Engine::send_ready(ClientContext& context, const Ready& ready) {
  const std::size_t written = write_through(context, ready.slices);
  if (written < ready.bytes) {
    SharedBytes* const rest = SharedBytes::copy_of(ready.slices, written);
    const bool queued = rest != nullptr && context.queue.append_shared(rest);
    if (rest != nullptr) rest->release();
    if (!queued) {
      outgoing_.packages_dropped += ready.packages;
      // Half a package may be out: the stream is of no use any more.
      if (written > 0) abort(outgoing_, context, Status::out_of_memory);
      return;
    }
    note_queued(outgoing_, context, kOutputRaw);  // the packages are counted below
  }
  context.packages_sent += ready.framed;
  outgoing_.packages_sent += ready.framed;
}

Status Engine::send(std::uint32_t slot, std::uint32_t generation, ConstBytes payload, std::uint32_t flags) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) return Status::gone;
  Envelope envelope;
  if ((flags & kOutputRaw) == 0 && !encode_envelope(options_.framing, payload, &envelope)) {
    return Status::package_too_large;
  }
  const std::array<ConstBytes, 3> parts = {ConstBytes(envelope.header.data(), envelope.header_bytes), payload,
                                           envelope.trailer};
  Status status = Status::ok;
  {
    ScopedLock guard(context->lock);
    status = send_parts(*context, parts, flags);
  }
  send_flushes();
  return status;
}

Status Engine::send_parts(ClientContext& context, std::span<const ConstBytes> parts, std::uint32_t flags) {
  if (!context.accepts_sends()) return Status::gone;
  std::size_t total = 0;
  for (const ConstBytes part : parts) total += part.size();
  const Status admitted = admit(outgoing_, context, total);
  if (admitted != Status::ok) return admitted;
  const std::size_t written = write_through(context, parts);
  if (written == total) {
    note_sent_whole(context, flags);
    return Status::ok;
  }
  SharedBytes* rest = SharedBytes::copy_of(parts, written);
  const bool queued = rest != nullptr && context.queue.append_shared(rest);
  if (rest != nullptr) rest->release();
  if (queued) {
    note_queued(outgoing_, context, flags);
    return Status::ok;
  }
  ++outgoing_.packages_dropped;
  // Half a package is out: the stream is of no use any more.
  if (written > 0) abort(outgoing_, context, Status::out_of_memory);
  return Status::out_of_memory;
}

std::size_t Engine::write_through(ClientContext& context, std::span<const ConstBytes> parts) {
  // The socket is this thread's only when the owner steps the port itself or the port is anybody's.
  const bool allowed = Port::kSharedByWorkers || !context.lane.stepped_by_threads.load(std::memory_order_relaxed);
  if (!allowed || !nothing_waits_before(context)) return 0;
  std::uint32_t bytes = 0;
  // A failure is met again, and dealt with, by the write of what is queued.
  if (context.lane.port.write_now(context.socket, parts, &bytes) != Status::ok) return 0;
  context.bytes_sent += bytes;
  context.lane.counters.bytes_sent.fetch_add(bytes, std::memory_order_relaxed);
  return bytes;
}

void Engine::note_sent_whole(ClientContext& context, std::uint32_t flags) {
  count_package(outgoing_, context, flags);
  if ((flags & kOutputNotify) == 0) return;
  context.lane.mailbox.control(RecordKind::written, context.slot, flags >> kOutputTokenShift, {});
  ring_if_needed(context.lane);
}

void Engine::count_package(Outgoing& out, ClientContext& context, std::uint32_t flags) {
  if ((flags & kOutputRaw) != 0) return;
  ++context.packages_sent;
  ++out.packages_sent;
}

std::size_t Engine::broadcast(ConstBytes payload, std::uint32_t except_slot, const std::vector<std::uint32_t>* only) {
  Status status = Status::ok;
  SharedBytes* bytes = frame_shared(payload, 0, &status);
  if (bytes == nullptr) return 0;
  std::size_t count = 0;
  const auto queue_to = [&](ClientContext& context) {
    ScopedLock guard(context.lock);
    if (context.announced && queue_shared(outgoing_, context, bytes, 0) == Status::ok) ++count;
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

Status Engine::admit(Outgoing& out, ClientContext& context, std::uint64_t bytes) {
  if (!context.accepts_sends()) {
    ++out.sends_to_the_gone;
    return Status::gone;
  }
  if (context.queue.queued_bytes() + bytes <= options_.max_queued_bytes) return Status::ok;
  ++out.packages_dropped;
  if (options_.on_overflow == OverflowPolicy::disconnect) abort(out, context, Status::queue_overflow);
  return Status::queue_overflow;
}

void Engine::abort(Outgoing& out, ClientContext& context, Status why) {
  context.abort_queued = true;
  context.enter(Reference::command);
  Command command;
  command.verb = Command::Verb::abort;
  command.a = static_cast<std::uint32_t>(why);
  command.context = &context;
  out.flushes[context.lane.index].push_back(command);
}

Status Engine::queue_package(Outgoing& out, ClientContext& context, ConstBytes payload, std::uint32_t flags) {
  if (payload.size() > kSendCopyMax) {
    Status status = Status::ok;
    SharedBytes* bytes = frame_shared(payload, flags, &status);
    if (bytes == nullptr) {
      ++out.packages_dropped;
      return status;
    }
    status = queue_shared(out, context, bytes, flags);
    bytes->release();
    return status;
  }
  Envelope envelope;
  if ((flags & kOutputRaw) == 0 && !encode_envelope(options_.framing, payload, &envelope)) {
    ++out.packages_dropped;
    return Status::package_too_large;
  }
  const ConstBytes header(envelope.header.data(), envelope.header_bytes);
  const Status admitted = admit(out, context, header.size() + payload.size() + envelope.trailer.size());
  if (admitted != Status::ok) return admitted;
  if (!context.queue.append_copy(send_buffers_, {header, payload, envelope.trailer})) {
    ++out.packages_dropped;
    return Status::out_of_memory;
  }
  note_queued(out, context, flags);
  return Status::ok;
}

Status Engine::queue_shared(Outgoing& out, ClientContext& context, SharedBytes* bytes, std::uint32_t flags) {
  const Status admitted = admit(out, context, bytes->length());
  if (admitted != Status::ok) return admitted;
  if (!context.queue.append_shared(bytes)) {
    ++out.packages_dropped;
    return Status::out_of_memory;
  }
  note_queued(out, context, flags);
  return Status::ok;
}

void Engine::note_queued(Outgoing& out, ClientContext& context, std::uint32_t flags) {
  count_package(out, context, flags);
  if ((flags & kOutputNotify) != 0) {
    std::unique_ptr<std::deque<SendMark>>& marks = context.some().marks;
    if (marks == nullptr) marks = std::make_unique<std::deque<SendMark>>();
    marks->push_back({context.bytes_sent + context.queue.stream_bytes(), flags >> kOutputTokenShift});
  }
  if (context.flush_queued) return;
  context.flush_queued = true;
  context.enter(Reference::command);
  Command command;
  command.verb = Command::Verb::flush;
  command.context = &context;
  out.flushes[context.lane.index].push_back(command);
}

void Engine::send_flushes() {
  std::vector<std::vector<Command>>& flushes = outgoing_.flushes;
  for (std::size_t i = 0; i < flushes.size(); ++i) {
    if (flushes[i].empty()) continue;
    lanes_[i]->enqueue_all(flushes[i]);
    flushes[i].clear();
  }
}

SharedBytes* Engine::frame_shared(ConstBytes payload, std::uint32_t flags, Status* status) {
  Envelope envelope;
  if ((flags & kOutputRaw) == 0 && !encode_envelope(options_.framing, payload, &envelope)) {
    *status = Status::package_too_large;
    return nullptr;
  }
  const std::array<ConstBytes, 3> parts = {ConstBytes(envelope.header.data(), envelope.header_bytes), payload,
                                           envelope.trailer};
  SharedBytes* bytes = SharedBytes::copy_of(parts, 0);
  if (bytes == nullptr) *status = Status::out_of_memory;
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

}  // namespace iocp
