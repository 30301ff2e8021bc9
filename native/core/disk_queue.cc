// The jobs of the disk queue, one function each.
#include "core/disk_queue.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "core/crc32c.h"
#include "core/lane.h"

namespace iocp {
namespace {

// How many other names are tried when a name is taken.
constexpr int kOtherNamesMax = 1000;

// "a.txt" -> "a (2).txt"
std::string numbered(const std::string& name, int number) {
  const std::size_t dot = name.rfind('.');
  const std::size_t stem = dot == std::string::npos || dot == 0 ? name.size() : dot;
  return name.substr(0, stem) + " (" + std::to_string(number) + ")" + name.substr(stem);
}

}  // namespace

void tell(FileTransfer& transfer, FileEvent event, Status status, std::uint64_t value, std::uint64_t extra,
          const std::string& text) {
  const std::array<std::uint32_t, 7> words = {
      static_cast<std::uint32_t>(event),      static_cast<std::uint32_t>(status),
      static_cast<std::uint32_t>(value),      static_cast<std::uint32_t>(value >> 32),
      static_cast<std::uint32_t>(extra),      static_cast<std::uint32_t>(extra >> 32),
      static_cast<std::uint32_t>(text.size())};
  transfer.lane.mailbox.control(RecordKind::file, transfer.slot, transfer.token,
                                {ConstBytes(reinterpret_cast<const std::uint8_t*>(words.data()), sizeof words),
                                 ConstBytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size())});
}

DiskQueue::~DiskQueue() {
  for (const DiskJob& job : jobs_) job.bytes.free();
}

void DiskQueue::push(DiskJob job) {
  {
    ScopedLock guard(mutex_);
    jobs_.push_back(std::move(job));
  }
  bell.fetch_add(1, std::memory_order_release);
  wake_word(bell);
}

bool DiskQueue::take(DiskJob* job) {
  ScopedLock guard(mutex_);
  if (jobs_.empty()) return false;
  *job = std::move(jobs_.front());
  jobs_.pop_front();
  return true;
}

bool DiskQueue::step() {
  DiskJob job;
  if (!take(&job)) return false;
  run(job);
  // Whoever steps the lane finds the record, and rings if it must.
  job.transfer->lane.wake();
  return true;
}

void DiskQueue::run(DiskJob& job) {
  FileTransfer& transfer = *job.transfer;
  switch (job.kind) {
    case DiskJob::Kind::open_source:
      open_source(transfer);
      return;
    case DiskJob::Kind::open_target:
      open_target(transfer);
      return;
    case DiskJob::Kind::write:
      write(transfer, job.bytes);
      return;
    case DiskJob::Kind::check:
      check(job.transfer);
      return;
    case DiskJob::Kind::finish:
      finish(transfer, job.flag, job.value);
      return;
    case DiskJob::Kind::discard:
      discard(transfer, job.flag);
      return;
  }
}

void DiskQueue::fail(FileTransfer& transfer, Status status) {
  transfer.over = true;
  tell(transfer, FileEvent::failed, status, 0);
}

void DiskQueue::open_source(FileTransfer& transfer) {
  if (transfer.over) return;
  Status status = File::open_for_reading(transfer.path, &transfer.file);
  FileInfo info;
  if (status == Status::ok) status = transfer.file.info(&info);
  if (status != Status::ok) return fail(transfer, status);
  tell(transfer, FileEvent::opened, Status::ok, info.size, static_cast<std::uint64_t>(info.modified_ms));
}

// --- receiving -------------------------------------------------------------------------------------------------

void DiskQueue::open_target(FileTransfer& transfer) {
  if (transfer.over) return;
  std::uint64_t there = 0;
  const Status status = prepare_target(transfer, &there);
  transfer.on_disk = transfer.told = there;
  if (status != Status::ok) {
    discard(transfer, transfer.target.resume);
    return fail(transfer, status);
  }
  transfer.moved.store(there, std::memory_order_relaxed);
  tell(transfer, FileEvent::opened, Status::ok, there);
}

Status DiskQueue::prepare_target(FileTransfer& transfer, std::uint64_t* there) {
  const FileTarget& target = transfer.target;
  Status status = Folder::open(target.directory, &transfer.folder);
  if (status != Status::ok) return status;
  if (target.on_exists == OnExists::refuse) {
    // Known to be in vain before a byte is sent; the rename decides.
    File taken;
    const Status found = transfer.folder.open_to_resume(target.name, &taken);
    if (found != Status::not_found) return found == Status::access_denied ? found : Status::already_exists;
  }
  const bool resume = target.resume && target.checked;
  status = transfer.folder.create(transfer.part_name, &transfer.file);
  if (status == Status::already_exists) {
    status = transfer.folder.open_to_resume(transfer.part_name, &transfer.file);
    if (status != Status::ok) return status;
    transfer.has_part = true;
    FileInfo info;
    status = transfer.file.info(&info);
    if (status != Status::ok) return status;
    // More than the whole file, or nothing to check it by: it is of no use.
    if (resume && info.size <= target.size) *there = info.size;
    if (*there != info.size) status = transfer.file.truncate(*there);
  }
  if (status != Status::ok) return status;
  transfer.has_part = true;
  status = read_back(transfer, *there);
  if (status != Status::ok) return status;
  status = transfer.file.reserve(target.size);
  return status == Status::not_supported ? Status::ok : status;
}

Status DiskQueue::read_back(FileTransfer& transfer, std::uint64_t length) {
  const std::unique_ptr<std::uint8_t[]> buffer(new std::uint8_t[kCheckBytes]);
  for (std::uint64_t at = 0; at < length;) {
    std::size_t count = 0;
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(kCheckBytes, length - at));
    const Status status = transfer.file.read_at(at, MutableBytes(buffer.get(), wanted), &count);
    if (status != Status::ok) return status;
    if (count == 0) return Status::io_error;
    transfer.check = crc32c_extend(transfer.check, ConstBytes(buffer.get(), count));
    at += count;
  }
  return Status::ok;
}

void DiskQueue::write(FileTransfer& transfer, const LargePayload& bytes) {
  if (!transfer.over) {
    const ConstBytes payload(bytes.payload, bytes.length);
    const Status status = write_all(transfer, payload);
    if (status == Status::ok) {
      if (transfer.target.checked) transfer.check = crc32c_extend(transfer.check, payload);
    } else {
      fail(transfer, status);
    }
  }
  bytes.free();
  wrote(transfer, bytes.length);
}

Status DiskQueue::write_all(FileTransfer& transfer, ConstBytes bytes) {
  while (!bytes.empty()) {
    std::size_t written = 0;
    const Status status = transfer.file.write_at(transfer.on_disk, bytes, &written);
    if (status != Status::ok) return status;
    transfer.on_disk += written;
    bytes = bytes.subspan(written);
  }
  return Status::ok;
}

void DiskQueue::wrote(FileTransfer& transfer, std::size_t length) {
  transfer.moved.store(transfer.on_disk, std::memory_order_relaxed);
  const bool due = transfer.on_disk - transfer.told >= kWrittenStepBytes || transfer.on_disk == transfer.target.size;
  if (!transfer.over && due) {
    transfer.told = transfer.on_disk;
    tell(transfer, FileEvent::written, Status::ok, transfer.on_disk);
  }
  const std::uint64_t left = transfer.to_disk.fetch_sub(length, std::memory_order_seq_cst) - length;
  if (left > kToDiskLow) return;
  ClientContext* const context = transfer.waits_for_disk.exchange(nullptr, std::memory_order_seq_cst);
  if (context == nullptr) return;
  Command command;
  command.verb = Command::Verb::file_room;
  command.context = context;
  transfer.lane.enqueue(command);
}

void DiskQueue::finish(FileTransfer& transfer, bool compare, std::uint32_t expected) {
  if (transfer.over) return;
  const Status status = finish_file(transfer, compare, expected);
  if (status == Status::ok) {
    transfer.over = true;
    tell(transfer, FileEvent::finished, Status::ok, transfer.check, 0, transfer.target.name);
    return;
  }
  // What does not match is of no use to a later try; the rest may be.
  discard(transfer, transfer.target.resume && status != Status::check_failed);
  fail(transfer, status);
}

Status DiskQueue::finish_file(FileTransfer& transfer, bool compare, std::uint32_t expected) {
  if (transfer.on_disk != transfer.target.size) return Status::io_error;
  if (compare && transfer.check != expected) return Status::check_failed;
  // Gives back what was reserved behind the end.
  Status status = transfer.file.truncate(transfer.target.size);
  if (status == Status::ok && transfer.target.durable) status = transfer.file.sync();
  if (status != Status::ok) return status;
  status = transfer.file.close();
  if (status == Status::ok) status = give_name(transfer);
  if (status != Status::ok) return status;
  transfer.has_part = false;
  return transfer.target.durable ? transfer.folder.sync() : Status::ok;
}

Status DiskQueue::give_name(FileTransfer& transfer) {
  FileTarget& target = transfer.target;
  const bool replace = target.on_exists == OnExists::overwrite;
  const std::string wanted = target.name;
  Status status = transfer.folder.rename(transfer.part_name, wanted, replace ? IfExists::replace : IfExists::refuse);
  if (target.on_exists != OnExists::rename) return status;
  for (int number = 2; status == Status::already_exists && number < kOtherNamesMax; ++number) {
    target.name = numbered(wanted, number);
    status = transfer.folder.rename(transfer.part_name, target.name, IfExists::refuse);
  }
  return status;
}

void DiskQueue::discard(FileTransfer& transfer, bool keep) {
  const bool is_open = !transfer.sending && transfer.file.is_open();
  // The size of what is kept says where a later try goes on, so nothing may stand behind what was written.
  if (is_open && keep) static_cast<void>(transfer.file.truncate(transfer.on_disk));
  if (is_open) static_cast<void>(transfer.file.close());
  if (transfer.has_part && (!keep || transfer.on_disk == 0)) {
    static_cast<void>(transfer.folder.remove(transfer.part_name));
  }
  transfer.has_part = false;
  transfer.folder.close();
  transfer.over = true;
}

// --- sending ---------------------------------------------------------------------------------------------------

void DiskQueue::check(const FileTransferPointer& transfer) {
  if (transfer->over || transfer->stopped.load(std::memory_order_relaxed)) return;
  const std::unique_ptr<std::uint8_t[]> buffer(new std::uint8_t[kCheckBytes]);
  // A bounded stretch at a time, so that other transfers get their turn between.
  for (std::uint64_t done = 0; done < kWrittenStepBytes && transfer->checked_to < transfer->check_length;) {
    const std::uint64_t left = transfer->check_length - transfer->checked_to;
    std::size_t count = 0;
    const Status status = transfer->file.read_at(
        transfer->check_begin + transfer->checked_to,
        MutableBytes(buffer.get(), static_cast<std::size_t>(std::min<std::uint64_t>(kCheckBytes, left))), &count);
    if (status != Status::ok || count == 0) {
      return fail(*transfer, status == Status::ok ? Status::file_shrank : status);
    }
    transfer->check = crc32c_extend(transfer->check, ConstBytes(buffer.get(), count));
    transfer->checked_to += count;
    done += count;
  }
  if (transfer->checked_to == transfer->check_length) {
    tell(*transfer, FileEvent::checked, Status::ok, transfer->check);
    return;
  }
  DiskJob again;
  again.kind = DiskJob::Kind::check;
  again.transfer = transfer;
  push(std::move(again));
}

}  // namespace iocp
