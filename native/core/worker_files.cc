// Files on the way: pieces given to the port, and received bytes taken to the disk queue instead of to the owner.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/disk_queue.h"
#include "core/worker.h"
#include "port/check.h"

namespace iocp {

// --- out ---------------------------------------------------------------------------------------------------------

bool Worker::transmit_front(ClientContext& context, FilePiece& piece, std::size_t* budget) {
  ContextFiles& files = *context.files();
  files.transmit.tag = static_cast<std::uint8_t>(Tag::transmit);
  files.transmit.owner = &context;
  files.transmitting = true;
  context.enter(Reference::write);
  const auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(piece.length, Port::kBestTransmitBytes));
  // From here the operation, the head and the file are the port's until the completion.
  const Submission submission = lane_.port.submit_transmit(&files.transmit, context.socket, piece.transfer->file,
                                                           piece.offset, length, piece.head_rest());
  if (submission.pending) return false;
  if (submission.bytes >= *budget || submission.status != Status::ok) {
    note(&files.transmit, submission);
    return false;
  }
  *budget -= submission.bytes;
  on_transmitted(context, submission.status, submission.bytes);
  // Not the last reference: whoever called holds one.
  IOCP_CHECK(!context.leave(Reference::write));
  return true;
}

void Worker::on_transmitted(ClientContext& context, Status status, std::uint32_t bytes) {
  context.files()->transmitting = false;
  if (context.state == ContextState::closed) {
    context.queue.clear(engine_.send_buffers());
    return;
  }
  if (is_shortage(status)) {
    add(lane_.counters.buffer_shortages, 1);
    queue_retry(context);
    return;
  }
  switch (status) {
    case Status::ok:
      break;
    case Status::file_shrank:
    case Status::io_error:
    case Status::file_too_large:
    case Status::invalid_argument:
      on_source_failed(context, status);
      return;
    default:
      fail_io(context, status, Syscall::write);
      return;
  }
  FilePiece& piece = *context.queue.front_file();
  const std::uint64_t of_head = piece.head_rest().size();
  if (bytes > of_head) piece.transfer->moved.fetch_add(bytes - of_head, std::memory_order_relaxed);
  note_progress(context, bytes);
  if (context.queue.empty()) advance_ending(context);
}

// The peer counts on the bytes that the head announced.
void Worker::on_source_failed(ClientContext& context, Status status) {
  FilePiece& piece = *context.queue.front_file();
  FileTransfer& transfer = *piece.transfer;
  transfer.stopped.store(true, std::memory_order_relaxed);
  tell(transfer, FileEvent::failed, status, 0);
  if (transfer.raw) {
    fail(context, DisconnectedBy::error, status, Syscall::write);
    return;
  }
  context.queue.front_file_failed();
}

void Worker::on_piece_sent(ClientContext& context, const FilePiece& piece) {
  FileTransfer& transfer = *piece.transfer;
  transfer.piece_queued = false;
  if (transfer.stopped.load(std::memory_order_relaxed)) {
    ContextFiles::take_out(context.files()->sending, transfer);
    return;
  }
  if (transfer.next == transfer.end) {
    ContextFiles::take_out(context.files()->sending, transfer);
    tell(transfer, FileEvent::sent, Status::ok, transfer.end);
    return;
  }
  if (context.state != ContextState::open) return;
  std::unique_ptr<FilePiece> next = next_piece(piece.transfer, engine_.options().framing);
  if (next == nullptr && transfer.credit == 0) return;
  if (next == nullptr || !context.queue.append_file(std::move(next))) {
    tell(transfer, FileEvent::failed, Status::out_of_memory, 0);
  }
}

// --- in: the raw run -----------------------------------------------------------------------------------------------

MutableBytes Worker::raw_target(ClientContext& context) {
  if (context.files() == nullptr || context.files()->raw == nullptr) return {};
  ContextFiles& files = *context.files();
  if (files.raw_buffer == nullptr) {
    files.raw_capacity = static_cast<std::size_t>(std::min<std::uint64_t>(files.raw_left, kFileBufferBytes));
    files.raw_buffer = static_cast<std::uint8_t*>(std::malloc(files.raw_capacity));
    files.raw_filled = 0;
    if (files.raw_buffer == nullptr) {
      fail(context, DisconnectedBy::error, Status::out_of_memory, Syscall::read);
      return {};
    }
  }
  return MutableBytes(files.raw_buffer + files.raw_filled, files.raw_capacity - files.raw_filled);
}

void Worker::raw_received(ClientContext& context, std::size_t bytes) {
  ContextFiles& files = *context.files();
  files.raw_filled += bytes;
  files.raw_left -= bytes;
  if (files.raw_filled < files.raw_capacity) return;
  LargePayload payload;
  payload.memory = payload.payload = std::exchange(files.raw_buffer, nullptr);
  payload.length = files.raw_filled;
  const FileTransferPointer transfer = files.raw;
  if (files.raw_left == 0) files.raw.reset();
  to_disk(transfer, payload);
  if (files.raw != nullptr && transfer->to_disk.load(std::memory_order_relaxed) > kToDiskMax) {
    wait_for_disk(context, *transfer);
  }
}

std::size_t Worker::feed_raw(ClientContext& context, ConstBytes bytes) {
  std::size_t used = 0;
  while (used < bytes.size() && !context.waits_for_disk) {
    const MutableBytes target = raw_target(context);
    if (target.empty()) break;
    const std::size_t count = std::min(target.size(), bytes.size() - used);
    std::memcpy(target.data(), bytes.data() + used, count);
    used += count;
    raw_received(context, count);
  }
  return used;
}

void Worker::to_disk(const FileTransferPointer& transfer, const LargePayload& payload) {
  transfer->to_disk.fetch_add(payload.length, std::memory_order_relaxed);
  add(lane_.counters.file_bytes_received, payload.length);
  DiskJob job;
  job.kind = DiskJob::Kind::write;
  job.transfer = transfer;
  job.bytes = payload;
  engine_.disk().push(std::move(job));
}

// TCP's window does the rest. The command that ends the wait uses the reference taken here.
void Worker::wait_for_disk(ClientContext& context, FileTransfer& transfer) {
  context.waits_for_disk = true;
  context.enter(Reference::command);
  transfer.waits_for_disk.store(&context, std::memory_order_seq_cst);
  if (transfer.to_disk.load(std::memory_order_seq_cst) > kToDiskLow) return;
  // The disk was quicker; perhaps it saw the wait as well.
  if (transfer.waits_for_disk.exchange(nullptr, std::memory_order_seq_cst) == nullptr) return;
  context.waits_for_disk = false;
  IOCP_CHECK(!context.leave(Reference::command));
}

// --- in: chunks ------------------------------------------------------------------------------------------------------

void Worker::take_chunk(ClientContext& context, LargePayload chunk) {
  const ConstBytes payload(chunk.payload, chunk.length);
  const std::uint32_t id = file_chunk_id(payload);
  FileTransferPointer transfer;
  if (context.files() != nullptr) {
    for (const FileTransferPointer& one : context.files()->receiving) {
      if (one->id == id) transfer = one;
    }
  }
  const std::size_t length = chunk.length - kFileChunkHeadBytes;
  if (transfer == nullptr || length == 0) {
    chunk.free();  // on its way when the transfer was given up
    return;
  }
  if (length > transfer->credit || length > transfer->expected) {
    chunk.free();
    ContextFiles::take_out(context.files()->receiving, *transfer);
    tell(*transfer, FileEvent::failed, Status::protocol_violation, 0);
    return;
  }
  transfer->credit -= length;
  transfer->expected -= length;
  chunk.payload += kFileChunkHeadBytes;
  chunk.length = length;
  to_disk(transfer, chunk);
}

}  // namespace iocp
