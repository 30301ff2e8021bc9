// What only Linux offers for files, or offers under these names: fallocate, renameat2, readahead.
#include "port/posix/file_posix.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "port/posix/errno_status.h"

namespace iocp {

Status reserve_space(int fd, std::uint64_t size) noexcept {
  // Not posix_fallocate(): where the file system cannot reserve, the C library would write every block.
  int result = 0;
  do {
    result = ::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return Status::ok;
  return errno == ENOSYS ? Status::not_supported : status_from_errno(errno);
}

int rename_without_replacing(int directory, const char* from, const char* to) noexcept {
  // By its number: the C libraries of older systems, and musl's, have no function for it.
  if (::syscall(SYS_renameat2, directory, from, directory, to, RENAME_NOREPLACE) == 0) return 0;
  // EINVAL: this file system does not know the flag. A second name fails when the name is taken, in one step too.
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (::linkat(directory, from, directory, to, 0) != 0) return -1;
  return ::unlinkat(directory, from, 0);
}

void read_ahead(int fd, std::uint64_t offset, std::uint64_t length) noexcept {
  // Waits only until the reads are under way. It fails on file systems that have nothing to read ahead from.
  const auto most = static_cast<std::uint64_t>(INT64_MAX) - offset;
  if (::readahead(fd, static_cast<off_t>(offset), static_cast<std::size_t>(std::min(length, most))) != 0) return;
}

int sync_to_disk(int fd) noexcept { return ::fsync(fd); }

timespec modification_time(const struct stat& status) noexcept { return status.st_mtim; }

}  // namespace iocp
