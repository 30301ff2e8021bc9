// What only macOS offers for files, or offers under these names: F_PREALLOCATE, renameatx_np, F_RDADVISE, F_FULLFSYNC.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>

#include "port/posix/errno_status.h"
#include "port/posix/file_posix.h"

namespace iocp {

Status reserve_space(int fd, std::uint64_t size) noexcept {
  struct stat status = {};
  if (::fstat(fd, &status) != 0) return status_from_errno(errno);
  // Counted from the end of what the file has on the disk already.
  const std::uint64_t taken = static_cast<std::uint64_t>(status.st_blocks) * 512;
  if (size <= taken) return Status::ok;
  fstore_t request = {};
  request.fst_flags = F_ALLOCATEALL;
  request.fst_posmode = F_PEOFPOSMODE;
  request.fst_length = static_cast<off_t>(size - taken);
  return ::fcntl(fd, F_PREALLOCATE, &request) == 0 ? Status::ok : status_from_errno(errno);
}

int rename_without_replacing(int directory, const char* from, const char* to) noexcept {
  if (::renameatx_np(directory, from, directory, to, RENAME_EXCL) == 0) return 0;
  // This file system does not know the flag. A second name fails when the name is taken, in one step too.
  if (errno != ENOTSUP && errno != EINVAL) return -1;
  if (::linkat(directory, from, directory, to, 0) != 0) return -1;
  return ::unlinkat(directory, from, 0);
}

void read_ahead(int fd, std::uint64_t offset, std::uint64_t length) noexcept {
  radvisory range = {};
  range.ra_offset = static_cast<off_t>(offset);
  range.ra_count = static_cast<int>(std::min<std::uint64_t>(length, INT_MAX));
  // A hint: what it fails at is read when it is sent.
  if (::fcntl(fd, F_RDADVISE, &range) != 0) return;
}

int sync_to_disk(int fd) noexcept {
  // fsync() alone leaves the bytes in the drive's own memory.
  if (::fcntl(fd, F_FULLFSYNC) == 0) return 0;
  if (errno != ENOTSUP && errno != ENOTTY && errno != EINVAL) return -1;
  return ::fsync(fd);
}

timespec modification_time(const struct stat& status) noexcept { return status.st_mtimespec; }

}  // namespace iocp
