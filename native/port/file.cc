// What is alike in every backend of the disk: who owns an open file, and which names a Folder takes.
#include "port/file.h"

#include <utility>

namespace iocp {

File::~File() {
  // Whoever wants to hear of delayed writes has called close() before.
  if (is_open()) static_cast<void>(close());
}

File::File(File&& other) noexcept : raw_(std::exchange(other.raw_, RawFile::none)) {}

File& File::operator=(File&& other) noexcept {
  if (this == &other) return *this;
  if (is_open()) static_cast<void>(close());
  raw_ = std::exchange(other.raw_, RawFile::none);
  return *this;
}

Folder::~Folder() { close(); }

Folder::Folder(Folder&& other) noexcept
    : raw_(std::exchange(other.raw_, RawFile::none)), path_(std::move(other.path_)) {}

Folder& Folder::operator=(Folder&& other) noexcept {
  if (this == &other) return *this;
  close();
  raw_ = std::exchange(other.raw_, RawFile::none);
  path_ = std::move(other.path_);
  return *this;
}

// A backslash and a colon are letters of a name on POSIX systems and more than that on Windows; refused on both, so
// that what is tested on one is true on the other.
bool is_single_name(std::string_view name) noexcept {
  constexpr std::string_view kForbidden("/\\:\0", 4);
  if (name.empty() || name == "." || name == "..") return false;
  return name.find_first_of(kForbidden) == std::string_view::npos;
}

}  // namespace iocp
