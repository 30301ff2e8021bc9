// The disk on Windows. Files are opened for overlapped access, so that one handle serves TransmitFile() and readers on
// several threads at once; a call here waits for its own request. Nothing here touches a completion port.
#include <winsock2.h>
// These need the types above.
#include <windows.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "port/check.h"
#include "port/file.h"
#include "port/iocp/windows_status.h"

namespace iocp {
namespace {

constexpr std::uint64_t kLargestOffset = INT64_MAX;
constexpr std::size_t kMostBytesPerCall = std::size_t{1} << 30;
constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

HANDLE handle_of(RawFile raw) { return reinterpret_cast<HANDLE>(static_cast<std::uintptr_t>(raw)); }
RawFile raw_of(HANDLE handle) { return static_cast<RawFile>(reinterpret_cast<std::uintptr_t>(handle)); }

Status last_status() { return status_from_windows(GetLastError()); }

class Handle {
 public:
  explicit Handle(HANDLE handle) : handle_(handle) {}
  ~Handle() {
    if (valid()) IOCP_CHECK(CloseHandle(handle_) != 0);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  bool valid() const { return handle_ != INVALID_HANDLE_VALUE && handle_ != nullptr; }
  HANDLE get() const { return handle_; }
  HANDLE release() { return std::exchange(handle_, INVALID_HANDLE_VALUE); }

 private:
  HANDLE handle_;
};

// Windows' own form of a path.
Status widen(const std::string& text, std::wstring* out) {
  if (text.empty()) return Status::not_found;
  if (text.find('\0') != std::string::npos || text.size() > INT_MAX) return Status::invalid_argument;
  const int length = static_cast<int>(text.size());
  const int needed = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), length, nullptr, 0);
  if (needed <= 0) return last_status();
  out->resize(static_cast<std::size_t>(needed));
  const int done = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), length, out->data(), needed);
  return done == needed ? Status::ok : last_status();
}

Status widen_in(const std::string& folder, const std::string& name, std::wstring* out) {
  if (!is_single_name(name)) return Status::invalid_argument;
  const bool separated = folder.ends_with('\\') || folder.ends_with('/');
  return widen(folder + (separated ? "" : "\\") + name, out);
}

Status require_regular(HANDLE handle) {
  if (GetFileType(handle) != FILE_TYPE_DISK) return Status::not_a_file;
  BY_HANDLE_FILE_INFORMATION information = {};
  if (GetFileInformationByHandle(handle, &information) == 0) return last_status();
  if ((information.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0) return Status::too_many_links;
  return (information.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0 ? Status::is_a_directory : Status::ok;
}

// CreateFileW() says "access denied" of a directory.
Status why_not_opened(const std::wstring& path) {
  const Status status = last_status();
  if (status != Status::access_denied) return status;
  const DWORD attributes = GetFileAttributesW(path.c_str());
  const bool directory = attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
  return directory ? Status::is_a_directory : status;
}

Status keep(Handle* handle, File* out) {
  *out = File(raw_of(handle->release()));
  return Status::ok;
}

// One request with an event of its own, waited for here. The event's lowest bit keeps the request off any completion
// port the handle might belong to.
template <typename Call>
Status request(HANDLE handle, std::uint64_t offset, std::size_t* bytes, Call call) {
  const Handle event(CreateEventW(nullptr, TRUE, FALSE, nullptr));
  if (!event.valid()) return last_status();
  OVERLAPPED overlapped = {};
  overlapped.Offset = static_cast<DWORD>(offset);
  overlapped.OffsetHigh = static_cast<DWORD>(offset >> 32);
  overlapped.hEvent = event.get();
  DWORD done = 0;
  if (call(&overlapped) == 0 && GetLastError() != ERROR_IO_PENDING) return last_status();
  if (GetOverlappedResult(handle, &overlapped, &done, TRUE) == 0) return last_status();
  *bytes = done;
  return Status::ok;
}

std::int64_t milliseconds_since_1970(const FILETIME& time) {
  constexpr std::int64_t kUntil1970Ms = 11'644'473'600'000;
  const std::uint64_t ticks = (std::uint64_t{time.dwHighDateTime} << 32) | time.dwLowDateTime;  // of 100 ns
  return static_cast<std::int64_t>(ticks / 10'000) - kUntil1970Ms;
}

template <typename Information>
Status set_information(HANDLE handle, FILE_INFO_BY_HANDLE_CLASS kind, Information information) {
  return SetFileInformationByHandle(handle, kind, &information, sizeof(information)) != 0 ? Status::ok : last_status();
}

}  // namespace

// --- File ----------------------------------------------------------------------------------------------------------

Status File::open_for_reading(const std::string& path, File* out) noexcept {
  std::wstring wide;
  if (const Status status = widen(path, &wide); status != Status::ok) return status;
  constexpr DWORD kFlags = FILE_ATTRIBUTE_NORMAL | FILE_FLAG_SEQUENTIAL_SCAN | FILE_FLAG_OVERLAPPED;
  Handle handle(CreateFileW(wide.c_str(), GENERIC_READ, kShareAll, nullptr, OPEN_EXISTING, kFlags, nullptr));
  if (!handle.valid()) return why_not_opened(wide);
  const Status status = require_regular(handle.get());
  return status == Status::ok ? keep(&handle, out) : status;
}

Status File::info(FileInfo* out) const noexcept {
  BY_HANDLE_FILE_INFORMATION information = {};
  if (GetFileInformationByHandle(handle_of(raw_), &information) == 0) return last_status();
  out->size = (std::uint64_t{information.nFileSizeHigh} << 32) | information.nFileSizeLow;
  out->modified_ms = milliseconds_since_1970(information.ftLastWriteTime);
  return Status::ok;
}

Status File::read_at(std::uint64_t offset, std::span<std::uint8_t> target, std::size_t* bytes) const noexcept {
  *bytes = 0;
  if (offset > kLargestOffset) return Status::file_too_large;
  const auto asked = static_cast<DWORD>(std::min(target.size(), kMostBytesPerCall));
  const HANDLE handle = handle_of(raw_);
  const Status status = request(handle, offset, bytes, [&](OVERLAPPED* overlapped) {
    return ReadFile(handle, target.data(), asked, nullptr, overlapped);
  });
  // The table's word for the end of a file is meant for transmits; for a reader the end is no error.
  return status == Status::file_shrank ? Status::ok : status;
}

Status File::write_at(std::uint64_t offset, std::span<const std::uint8_t> bytes, std::size_t* written) noexcept {
  *written = 0;
  const auto asked = static_cast<DWORD>(std::min(bytes.size(), kMostBytesPerCall));
  if (offset > kLargestOffset - asked) return Status::file_too_large;
  if (asked == 0) return Status::ok;
  const HANDLE handle = handle_of(raw_);
  const Status status = request(handle, offset, written, [&](OVERLAPPED* overlapped) {
    return WriteFile(handle, bytes.data(), asked, nullptr, overlapped);
  });
  // A caller who goes on until all is written would spin.
  return status == Status::ok && *written == 0 ? Status::io_error : status;
}

Status File::reserve(std::uint64_t size) noexcept {
  if (size > kLargestOffset) return Status::file_too_large;
  FileInfo now;
  if (const Status status = info(&now); status != Status::ok) return status;
  // A smaller allocation than the file would cut it.
  if (size <= now.size) return Status::ok;
  FILE_ALLOCATION_INFO allocation = {};
  allocation.AllocationSize.QuadPart = static_cast<LONGLONG>(size);
  const Status status = set_information(handle_of(raw_), FileAllocationInfo, allocation);
  return status == Status::invalid_argument ? Status::not_supported : status;
}

Status File::truncate(std::uint64_t size) noexcept {
  if (size > kLargestOffset) return Status::file_too_large;
  FILE_END_OF_FILE_INFO end = {};
  end.EndOfFile.QuadPart = static_cast<LONGLONG>(size);
  return set_information(handle_of(raw_), FileEndOfFileInfo, end);
}

Status File::sync() noexcept { return FlushFileBuffers(handle_of(raw_)) != 0 ? Status::ok : last_status(); }

void File::prefetch(std::uint64_t offset, std::uint64_t length) const noexcept {
  // Windows has no call for it: FILE_FLAG_SEQUENTIAL_SCAN makes the cache read ahead of TransmitFile() by itself.
  static_cast<void>(offset);
  static_cast<void>(length);
}

Status File::close() noexcept {
  IOCP_CHECK(is_open());
  return CloseHandle(handle_of(std::exchange(raw_, RawFile::none))) != 0 ? Status::ok : last_status();
}

// --- Folder --------------------------------------------------------------------------------------------------------

Status Folder::open(const std::string& path, Folder* out) noexcept {
  std::wstring wide;
  if (const Status status = widen(path, &wide); status != Status::ok) return status;
  // Without FILE_SHARE_DELETE nobody can rename it or put a link in its place while it is open.
  Handle handle(CreateFileW(wide.c_str(), FILE_LIST_DIRECTORY, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr,
                            OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr));
  if (!handle.valid()) return last_status();
  BY_HANDLE_FILE_INFORMATION information = {};
  if (GetFileInformationByHandle(handle.get(), &information) == 0) return last_status();
  if ((information.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0) return Status::not_found;
  out->close();
  out->raw_ = raw_of(handle.release());
  out->path_ = path;
  return Status::ok;
}

Status Folder::create(const std::string& name, File* out) noexcept {
  std::wstring wide;
  if (const Status status = widen_in(path_, name, &wide); status != Status::ok) return status;
  constexpr DWORD kFlags = FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_OVERLAPPED;
  Handle handle(
      CreateFileW(wide.c_str(), GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ, nullptr, CREATE_NEW, kFlags, nullptr));
  if (handle.valid()) return keep(&handle, out);
  const Status status = last_status();
  // What it says when a directory has the name.
  const bool taken = status == Status::access_denied && GetFileAttributesW(wide.c_str()) != INVALID_FILE_ATTRIBUTES;
  return taken ? Status::already_exists : status;
}

Status Folder::open_to_resume(const std::string& name, File* out) noexcept {
  std::wstring wide;
  if (const Status status = widen_in(path_, name, &wide); status != Status::ok) return status;
  constexpr DWORD kFlags = FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_OVERLAPPED;
  Handle handle(CreateFileW(wide.c_str(), GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ, nullptr, OPEN_EXISTING, kFlags,
                            nullptr));
  if (!handle.valid()) return why_not_opened(wide);
  const Status status = require_regular(handle.get());
  return status == Status::ok ? keep(&handle, out) : status;
}

Status Folder::rename(const std::string& from, const std::string& to, IfExists if_exists) noexcept {
  std::wstring source;
  std::wstring target;
  if (const Status status = widen_in(path_, from, &source); status != Status::ok) return status;
  if (const Status status = widen_in(path_, to, &target); status != Status::ok) return status;
  const DWORD flags = if_exists == IfExists::replace ? MOVEFILE_REPLACE_EXISTING : 0;
  return MoveFileExW(source.c_str(), target.c_str(), flags) != 0 ? Status::ok : last_status();
}

Status Folder::remove(const std::string& name) noexcept {
  std::wstring wide;
  if (const Status status = widen_in(path_, name, &wide); status != Status::ok) return status;
  return DeleteFileW(wide.c_str()) != 0 ? Status::ok : why_not_opened(wide);
}

// Windows writes directory entries with the files they name.
Status Folder::sync() noexcept { return Status::ok; }

void Folder::close() noexcept {
  if (is_open()) IOCP_CHECK(CloseHandle(handle_of(std::exchange(raw_, RawFile::none))) != 0);
}

}  // namespace iocp
