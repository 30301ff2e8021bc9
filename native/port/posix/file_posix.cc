// The disk on POSIX systems: directory-relative calls, so that a directory which is renamed or replaced by a symbolic
// link after it was opened leads nowhere else.
#include "port/posix/file_posix.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "port/check.h"
#include "port/file.h"
#include "port/posix/descriptor.h"
#include "port/posix/errno_status.h"

namespace iocp {
namespace {

static_assert(sizeof(off_t) == 8, "build with _FILE_OFFSET_BITS=64");
constexpr std::uint64_t kLargestOffset = INT64_MAX;
// Linux moves at most 2 GiB in one call.
constexpr std::size_t kMostBytesPerCall = std::size_t{1} << 30;
// What open(2) of a new file is given everywhere; the process's mask takes away from it.
constexpr mode_t kNewFileMode = 0666;
// A pipe without a writer must not be waited for; regular files take no notice of O_NONBLOCK.
constexpr int kAlways = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

int descriptor_of(RawFile raw) { return static_cast<int>(static_cast<std::uintptr_t>(raw)); }
RawFile raw_of(int fd) { return static_cast<RawFile>(static_cast<std::uintptr_t>(fd)); }

bool has_nul(const std::string& path) { return path.find('\0') != std::string::npos; }

template <typename Call>
auto retried(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

Status close_and_tell(int fd) {
  // An interrupted close has closed the descriptor.
  return ::close(fd) == 0 || errno == EINTR ? Status::ok : status_from_errno(errno);
}

Status require_regular(int fd) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0) return status_from_errno(errno);
  if (S_ISREG(status.st_mode)) return Status::ok;
  return S_ISDIR(status.st_mode) ? Status::is_a_directory : Status::not_a_file;
}

// Nobody else of ours may write to it. Where the file system has no locks, none is taken.
Status lock_for_writing(int fd) {
  if (retried([fd] { return ::flock(fd, LOCK_EX | LOCK_NB); }) == 0) return Status::ok;
  if (errno == EWOULDBLOCK) return Status::resource_busy;
  return errno == ENOLCK || errno == ENOTSUP || errno == EINVAL ? Status::ok : status_from_errno(errno);
}

Status keep(Descriptor* fd, File* out) {
  *out = File(raw_of(fd->release()));
  return Status::ok;
}

std::int64_t milliseconds(const timespec& time) { return std::int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000; }

}  // namespace

// --- File ----------------------------------------------------------------------------------------------------------

Status File::open_for_reading(const std::string& path, File* out) noexcept {
  if (path.empty()) return Status::not_found;
  if (has_nul(path)) return Status::invalid_argument;
  Descriptor fd(retried([&] { return ::open(path.c_str(), O_RDONLY | kAlways); }));
  // ENXIO: a socket, or a device that is not there.
  if (!fd.valid()) return errno == ENXIO ? Status::not_a_file : status_from_errno(errno);
  const Status status = require_regular(fd.get());
  return status == Status::ok ? keep(&fd, out) : status;
}

Status File::info(FileInfo* out) const noexcept {
  struct stat status = {};
  if (::fstat(descriptor_of(raw_), &status) != 0) return status_from_errno(errno);
  out->size = static_cast<std::uint64_t>(status.st_size);
  out->modified_ms = milliseconds(modification_time(status));
  return Status::ok;
}

Status File::read_at(std::uint64_t offset, std::span<std::uint8_t> target, std::size_t* bytes) const noexcept {
  *bytes = 0;
  if (offset > kLargestOffset) return Status::file_too_large;
  const std::size_t asked = std::min(target.size(), kMostBytesPerCall);
  const ssize_t got =
      retried([&] { return ::pread(descriptor_of(raw_), target.data(), asked, static_cast<off_t>(offset)); });
  if (got < 0) return status_from_errno(errno);
  *bytes = static_cast<std::size_t>(got);
  return Status::ok;
}

Status File::write_at(std::uint64_t offset, std::span<const std::uint8_t> bytes, std::size_t* written) noexcept {
  *written = 0;
  const std::size_t asked = std::min(bytes.size(), kMostBytesPerCall);
  if (offset > kLargestOffset - asked) return Status::file_too_large;
  if (asked == 0) return Status::ok;
  const ssize_t put =
      retried([&] { return ::pwrite(descriptor_of(raw_), bytes.data(), asked, static_cast<off_t>(offset)); });
  if (put < 0) return status_from_errno(errno);
  // POSIX lets a regular file take nothing without an error; a caller who goes on until all is written would spin.
  if (put == 0) return Status::io_error;
  *written = static_cast<std::size_t>(put);
  return Status::ok;
}

Status File::reserve(std::uint64_t size) noexcept {
  if (size > kLargestOffset) return Status::file_too_large;
  return size == 0 ? Status::ok : reserve_space(descriptor_of(raw_), size);
}

Status File::truncate(std::uint64_t size) noexcept {
  if (size > kLargestOffset) return Status::file_too_large;
  const int result = retried([&] { return ::ftruncate(descriptor_of(raw_), static_cast<off_t>(size)); });
  return result == 0 ? Status::ok : status_from_errno(errno);
}

Status File::sync() noexcept {
  const int result = retried([&] { return sync_to_disk(descriptor_of(raw_)); });
  return result == 0 ? Status::ok : status_from_errno(errno);
}

void File::prefetch(std::uint64_t offset, std::uint64_t length) const noexcept {
  if (offset <= kLargestOffset && length != 0) read_ahead(descriptor_of(raw_), offset, length);
}

Status File::close() noexcept {
  IOCP_CHECK(is_open());
  return close_and_tell(descriptor_of(std::exchange(raw_, RawFile::none)));
}

// --- Folder --------------------------------------------------------------------------------------------------------

Status Folder::open(const std::string& path, Folder* out) noexcept {
  if (path.empty()) return Status::not_found;
  if (has_nul(path)) return Status::invalid_argument;
  const int fd = retried([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return status_from_errno(errno);
  out->close();
  out->raw_ = raw_of(fd);
  out->path_ = path;
  return Status::ok;
}

Status Folder::create(const std::string& name, File* out) noexcept {
  if (!is_single_name(name)) return Status::invalid_argument;
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | kAlways;
  Descriptor fd(retried([&] { return ::openat(descriptor_of(raw_), name.c_str(), kFlags, kNewFileMode); }));
  if (!fd.valid()) return status_from_errno(errno);
  const Status status = lock_for_writing(fd.get());
  return status == Status::ok ? keep(&fd, out) : status;
}

Status Folder::open_to_resume(const std::string& name, File* out) noexcept {
  if (!is_single_name(name)) return Status::invalid_argument;
  Descriptor fd(retried([&] { return ::openat(descriptor_of(raw_), name.c_str(), O_RDWR | O_NOFOLLOW | kAlways); }));
  // FreeBSD's word for a symbolic link under O_NOFOLLOW is EMLINK.
  if (!fd.valid() && errno == EMLINK) return Status::too_many_links;
  if (!fd.valid()) return errno == ENXIO ? Status::not_a_file : status_from_errno(errno);
  Status status = require_regular(fd.get());
  if (status == Status::ok) status = lock_for_writing(fd.get());
  return status == Status::ok ? keep(&fd, out) : status;
}

Status Folder::rename(const std::string& from, const std::string& to, IfExists if_exists) noexcept {
  if (!is_single_name(from) || !is_single_name(to)) return Status::invalid_argument;
  const int directory = descriptor_of(raw_);
  const int result = if_exists == IfExists::replace ? ::renameat(directory, from.c_str(), directory, to.c_str())
                                                    : rename_without_replacing(directory, from.c_str(), to.c_str());
  return result == 0 ? Status::ok : status_from_errno(errno);
}

Status Folder::remove(const std::string& name) noexcept {
  if (!is_single_name(name)) return Status::invalid_argument;
  return ::unlinkat(descriptor_of(raw_), name.c_str(), 0) == 0 ? Status::ok : status_from_errno(errno);
}

Status Folder::sync() noexcept {
  const int result = retried([&] { return sync_to_disk(descriptor_of(raw_)); });
  // EINVAL: a file system that needs none.
  return result == 0 || errno == EINVAL ? Status::ok : status_from_errno(errno);
}

void Folder::close() noexcept {
  if (!is_open()) return;
  // Nothing was written through it, so there is no news it could bring.
  static_cast<void>(close_and_tell(descriptor_of(std::exchange(raw_, RawFile::none))));
}

}  // namespace iocp
