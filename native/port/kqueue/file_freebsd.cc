// What FreeBSD offers for files beyond POSIX, and what it lacks.
#include <fcntl.h>
#include <unistd.h>

#include "port/posix/errno_status.h"
#include "port/posix/file_posix.h"

namespace iocp {

// posix_fallocate() would change the file's size, and giving that back gives the room back.
Status reserve_space(int, std::uint64_t) noexcept { return Status::not_supported; }

int rename_without_replacing(int directory, const char* from, const char* to) noexcept {
  // No rename of this system refuses to replace. A second name fails when the name is taken, in one step too.
  if (::linkat(directory, from, directory, to, 0) != 0) return -1;
  return ::unlinkat(directory, from, 0);
}

void read_ahead(int fd, std::uint64_t offset, std::uint64_t length) noexcept {
  // A hint: what it fails at is read when it is sent.
  if (::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(length), POSIX_FADV_WILLNEED) != 0) return;
}

int sync_to_disk(int fd) noexcept { return ::fsync(fd); }

timespec modification_time(const struct stat& status) noexcept { return status.st_mtim; }

}  // namespace iocp
