// The disk, as a contract like port.h: files read and written at offsets, and the few steps that put a received file
// in place safely. One backend is linked, the same as the port's: posix/, iocp/ (Windows) or sim/ (in memory).
//
// Rules that hold in every backend:
//  1. Every call but raw(), is_open() and the constructors may sleep for as long as the disk likes: never on the
//     JavaScript thread, never on a thread that steps a port.
//  2. Offsets and sizes are 64-bit; beyond 2^63 - 1 a call answers file_too_large and does nothing.
//  3. Paths are UTF-8. A path with a NUL in it, or (on Windows) one that is not UTF-8, is an invalid_argument.
//  4. Different threads may read_at() and write_at() one File at once. Opening, moving and closing are ordered by the
//     caller. A File that is being transmitted (Port::submit_transmit) stays open until that operation completes.
//  5. What is lost by a crash of the machine is lost; sync() is the only promise against that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "port/status.h"

namespace iocp {

// The system's own name of an open file or directory.
enum class RawFile : std::uintptr_t { none = ~std::uintptr_t{0} };

struct FileInfo {
  std::uint64_t size = 0;        // bytes
  std::int64_t modified_ms = 0;  // since 1970-01-01 UTC
};

// An open regular file. Owns it; closed at the latest by the destructor.
class File {
 public:
  File() = default;
  explicit File(RawFile raw) noexcept : raw_(raw) {}
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // Follows symbolic links. Anything but a regular file is refused: is_a_directory or not_a_file. Others may write
  // to the file meanwhile: its size is a snapshot. Never waits for the other end of a pipe.
  static Status open_for_reading(const std::string& path, File* out) noexcept;

  bool is_open() const noexcept { return raw_ != RawFile::none; }
  RawFile raw() const noexcept { return raw_; }
  Status info(FileInfo* out) const noexcept;
  // May read less than there is; ok with *bytes == 0 is the end of the file.
  Status read_at(std::uint64_t offset, std::span<std::uint8_t> target, std::size_t* bytes) const noexcept;
  // May write less than it was given, at least one byte unless it fails; what it wrote before a failure counts as a
  // success. A gap before `offset` reads as zeros.
  Status write_at(std::uint64_t offset, std::span<const std::uint8_t> bytes, std::size_t* written) noexcept;
  // Takes room for `size` bytes from the disk, so that writing them will not meet no_space, and leaves the file's
  // size as it is. not_supported: this file system cannot, nothing happened, and writing may go on all the same.
  Status reserve(std::uint64_t size) noexcept;
  // Sets the size; gives reserved room behind it back where the system does that.
  Status truncate(std::uint64_t size) noexcept;
  // Waits until the disk has everything written so far.
  Status sync() noexcept;
  // Has the range read into memory, so that a transmit of it need not wait for the disk. A hint: no errors.
  void prefetch(std::uint64_t offset, std::uint64_t length) const noexcept;
  // Late news of delayed writes (no_space, io_error) comes here, on some file systems. Closed in any case.
  Status close() noexcept;

 private:
  RawFile raw_ = RawFile::none;
};

enum class IfExists : std::uint8_t {
  refuse,   // already_exists, and nothing is changed
  replace,  // a file or a symbolic link is replaced; a directory is not (is_a_directory or access_denied)
};

// A directory that files are received into. Names are single path components: a separator, "." or ".." in one is an
// invalid_argument, so that no call can reach outside. It stays the directory it was when it was opened, whatever is
// renamed or replaced by a symbolic link meanwhile (Windows: nothing may be, while it is open).
class Folder {
 public:
  Folder() = default;
  ~Folder();
  Folder(Folder&& other) noexcept;
  Folder& operator=(Folder&& other) noexcept;
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  // `path` may lead over symbolic links; it is trusted. not_found, also when it is something else than a directory.
  static Status open(const std::string& path, Folder* out) noexcept;

  bool is_open() const noexcept { return raw_ != RawFile::none; }
  const std::string& path() const noexcept { return path_; }
  // A new, empty file for reading and writing. already_exists for whatever has the name, a dangling symbolic link
  // included. Until it is closed nobody else can open it here for writing (resource_busy).
  Status create(const std::string& name, File* out) noexcept;
  // A file that is there, for reading and writing. Never follows a symbolic link: too_many_links.
  Status open_to_resume(const std::string& name, File* out) noexcept;
  // In one step: whoever looks sees the old name or the new one, whole. The file must be closed.
  Status rename(const std::string& from, const std::string& to, IfExists if_exists) noexcept;
  // A file, or a symbolic link itself; a directory is not removed (is_a_directory, not_permitted or access_denied).
  Status remove(const std::string& name) noexcept;
  // Waits until the disk has the names; does nothing where the system does not ask for it.
  Status sync() noexcept;
  void close() noexcept;

 private:
  RawFile raw_ = RawFile::none;
  std::string path_;
};

// Whether a Folder takes it: one path component in the rules of every system at once where they differ in separators.
bool is_single_name(std::string_view name) noexcept;

}  // namespace iocp
