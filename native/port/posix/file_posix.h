// The file calls that differ from one POSIX system to another: one definition per backend folder. Each may sleep.
#pragma once

#include <sys/stat.h>

#include <cstdint>

#include "port/status.h"

namespace iocp {

// Takes room for the first `size` bytes without changing the file's size; not_supported where the file system cannot.
Status reserve_space(int fd, std::uint64_t size) noexcept;
// Renames within `directory` in one step, unless `to` exists. 0, or -1 with errno.
int rename_without_replacing(int directory, const char* from, const char* to) noexcept;
// Has the range read into memory. A hint.
void read_ahead(int fd, std::uint64_t offset, std::uint64_t length) noexcept;
// fsync() that does not end before the disk itself has the bytes. 0, or -1 with errno.
int sync_to_disk(int fd) noexcept;

// The member of `status` that holds the time of the last change of the contents.
timespec modification_time(const struct stat& status) noexcept;

}  // namespace iocp
