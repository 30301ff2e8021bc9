// Everything that may sleep for the disk, in one queue: opening, writing, checking and naming files. A step does one
// job; who steps is somebody's choice, a thread (worker_threads.h) or the simulator, but never two at once, so that
// the bytes of a file are written in the order they were queued. Never touches a context: it tells a lane.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>

#include "core/file_transfer.h"
#include "core/mailbox.h"
#include "port/mutex.h"

namespace iocp {

struct DiskJob {
  enum class Kind : std::uint8_t { open_source, open_target, write, check, finish, discard };
  Kind kind = Kind::write;
  bool flag = false;  // finish: compare with `value`; discard: keep what is there under the name of a partial file
  std::uint32_t value = 0;  // finish: the check that must come out
  FileTransferPointer transfer;
  LargePayload bytes;  // write
};

class DiskQueue {
 public:
  DiskQueue() = default;
  ~DiskQueue();
  DiskQueue(const DiskQueue&) = delete;
  DiskQueue& operator=(const DiskQueue&) = delete;

  // ANY_THREAD.
  void push(DiskJob job) IOCP_EXCLUDES(mutex_);
  // Does one job; false = there is none. One caller at a time.
  bool step();
  // For a thread that steps: moves with every push; sleep on it while step() finds nothing.
  std::atomic<std::uint32_t> bell{0};

 private:
  bool take(DiskJob* job) IOCP_EXCLUDES(mutex_);
  void run(DiskJob& job);
  void open_source(FileTransfer& transfer);
  void open_target(FileTransfer& transfer);
  Status prepare_target(FileTransfer& transfer, std::uint64_t* there);
  Status read_back(FileTransfer& transfer, std::uint64_t length);
  void write(FileTransfer& transfer, const LargePayload& bytes);
  Status write_all(FileTransfer& transfer, ConstBytes bytes);
  void wrote(FileTransfer& transfer, std::size_t length);
  void check(const FileTransferPointer& transfer);
  void finish(FileTransfer& transfer, bool compare, std::uint32_t expected);
  Status finish_file(FileTransfer& transfer, bool compare, std::uint32_t expected);
  Status give_name(FileTransfer& transfer);
  void discard(FileTransfer& transfer, bool keep);
  void fail(FileTransfer& transfer, Status status);

  Mutex mutex_;
  std::deque<DiskJob> jobs_ IOCP_GUARDED_BY(mutex_);
};

// A `file` record for the transfer's owner. Any thread.
void tell(FileTransfer& transfer, FileEvent event, Status status, std::uint64_t value, std::uint64_t extra = 0,
          const std::string& text = {});

}  // namespace iocp
