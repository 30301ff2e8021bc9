// The owner's side of file transfers: naming them, starting them, and giving them up. Owner's thread only.
#include <utility>

#include "core/engine.h"
#include "port/check.h"

namespace iocp {
namespace {

DiskJob job_of(DiskJob::Kind kind, const FileTransferPointer& transfer) {
  DiskJob job;
  job.kind = kind;
  job.transfer = transfer;
  return job;
}

}  // namespace

FileTransferPointer Engine::make_transfer(std::uint32_t token, bool sending, std::uint32_t slot,
                                          std::uint32_t generation) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr || closing()) return nullptr;
  auto transfer = std::make_shared<FileTransfer>(token, sending, context->lane, slot, generation);
  files_[token] = transfer;
  return transfer;
}

FileTransferPointer Engine::find_transfer(std::uint32_t token) const {
  const auto found = files_.find(token);
  return found == files_.end() ? nullptr : found->second;
}

bool Engine::open_source(std::uint32_t token, std::uint32_t slot, std::uint32_t generation, const std::string& path) {
  const FileTransferPointer transfer = make_transfer(token, true, slot, generation);
  if (transfer == nullptr) return false;
  transfer->path = path;
  disk_.push(job_of(DiskJob::Kind::open_source, transfer));
  return true;
}

bool Engine::open_target(std::uint32_t token, std::uint32_t slot, std::uint32_t generation, FileTarget target) {
  const FileTransferPointer transfer = make_transfer(token, false, slot, generation);
  if (transfer == nullptr) return false;
  // Without a wish to go on later, a name that no other transfer has.
  transfer->part_name = target.name;
  if (!target.resume) transfer->part_name.append(".").append(std::to_string(token));
  transfer->part_name += ".part";
  transfer->target = std::move(target);
  disk_.push(job_of(DiskJob::Kind::open_target, transfer));
  return true;
}

bool Engine::send_file(std::uint32_t token, const FileRun& run) {
  const FileTransferPointer transfer = find_transfer(token);
  ClientContext* context = transfer == nullptr ? nullptr : table_.find(transfer->slot, transfer->generation);
  if (context == nullptr) return false;
  {
    ScopedLock guard(context->lock);
    if (!context->accepts_sends()) return false;
    context->files_made();
    transfer->id = run.id;
    transfer->raw = run.raw;
    transfer->next = run.begin;
    transfer->end = run.begin + run.length;
    transfer->credit = run.credit;
    context->files()->sending.push_back(transfer);
    if (run.length == 0) {
      ContextFiles::take_out(context->files()->sending, *transfer);
      tell(*transfer, FileEvent::sent, Status::ok, transfer->end);
      context->lane.wake();
    } else {
      queue_piece(*context, transfer);
    }
  }
  send_flushes();
  return true;
}

void Engine::queue_piece(ClientContext& context, const FileTransferPointer& transfer) {
  if (transfer->piece_queued || transfer->stopped.load(std::memory_order_relaxed)) return;
  std::unique_ptr<FilePiece> piece = next_piece(transfer, options_.framing);
  if (piece == nullptr && transfer->credit == 0 && !transfer->raw) return;
  if (piece == nullptr || !context.queue.append_file(std::move(piece))) {
    tell(*transfer, FileEvent::failed, Status::out_of_memory, 0);
    context.lane.wake();
    return;
  }
  note_queued(outgoing_, context, kOutputRaw);
}

void Engine::hold_others(std::uint32_t slot, std::uint32_t generation, bool hold) {
  ClientContext* context = table_.find(slot, generation);
  if (context == nullptr) return;
  {
    ScopedLock guard(context->lock);
    ContextFiles& files = context->files_made();
    files.holds_others = hold;
    if (!hold) {
      const std::vector<HeldPackage> held = std::exchange(files.held, {});
      files.held_bytes = 0;
      for (const HeldPackage& one : held) static_cast<void>(queue_package(outgoing_, *context, one.payload, one.flags));
    }
  }
  send_flushes();
}

void Engine::check_file(std::uint32_t token, std::uint64_t begin, std::uint64_t length) {
  const FileTransferPointer transfer = find_transfer(token);
  if (transfer == nullptr) return;
  transfer->check_begin = begin;
  transfer->check_length = length;
  disk_.push(job_of(DiskJob::Kind::check, transfer));
}

void Engine::give_credit(std::uint32_t token, std::uint64_t bytes) {
  const FileTransferPointer transfer = find_transfer(token);
  ClientContext* context = transfer == nullptr ? nullptr : table_.find(transfer->slot, transfer->generation);
  if (context == nullptr) return;
  {
    ScopedLock guard(context->lock);
    // A peer that promises more than there can be promises all of it.
    transfer->credit = bytes > UINT64_MAX - transfer->credit ? UINT64_MAX : transfer->credit + bytes;
    const bool sends = transfer->sending && context->accepts_sends() && transfer->next < transfer->end;
    if (sends) queue_piece(*context, transfer);
  }
  send_flushes();
}

bool Engine::receive_file(std::uint32_t token, const FileRun& run) {
  const FileTransferPointer transfer = find_transfer(token);
  ClientContext* context = transfer == nullptr ? nullptr : table_.find(transfer->slot, transfer->generation);
  if (context == nullptr) return false;
  ScopedLock guard(context->lock);
  if (context->state == ContextState::closed) return false;
  context->files_made();
  transfer->id = run.id;
  transfer->raw = run.raw;
  transfer->expected = run.length;
  transfer->credit = run.credit;
  if (run.raw) {
    // The peer was to send nothing until it is told to: with half a package here, nobody knows where the file begins.
    if (context->framer.mid_package() || context->backlog() != nullptr || context->files()->raw != nullptr)
      return false;
    if (run.length > 0) context->files()->raw = transfer;
    context->files()->raw_left = run.length;
  } else {
    context->files()->receiving.push_back(transfer);
  }
  return true;
}

void Engine::finish_file(std::uint32_t token, bool compare, std::uint32_t check) {
  const FileTransferPointer transfer = find_transfer(token);
  if (transfer == nullptr) return;
  DiskJob job = job_of(DiskJob::Kind::finish, transfer);
  job.flag = compare;
  job.value = check;
  disk_.push(std::move(job));
}

void Engine::stop_file(std::uint32_t token, bool keep) {
  const FileTransferPointer transfer = find_transfer(token);
  if (transfer == nullptr) return;
  files_.erase(token);
  transfer->stopped.store(true, std::memory_order_relaxed);
  if (ClientContext* context = table_.find(transfer->slot, transfer->generation)) {
    ScopedLock guard(context->lock);
    if (context->files() != nullptr) {
      ContextFiles::take_out(context->files()->receiving, *transfer);
      if (!transfer->piece_queued) ContextFiles::take_out(context->files()->sending, *transfer);
    }
  }
  DiskJob job = job_of(DiskJob::Kind::discard, transfer);
  job.flag = keep;
  disk_.push(std::move(job));
}

double Engine::file_moved(std::uint32_t token) const {
  const FileTransferPointer transfer = find_transfer(token);
  return transfer == nullptr ? 0 : static_cast<double>(transfer->moved.load(std::memory_order_relaxed));
}

void Engine::stop_all_files() {
  while (!files_.empty()) {
    const FileTransferPointer transfer = files_.begin()->second;
    stop_file(transfer->token, transfer->target.resume);
  }
}

}  // namespace iocp
