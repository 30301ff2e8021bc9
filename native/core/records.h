// The layout of what crosses between the engine and its owner: event records inside slabs (engine to owner) and
// package records inside the output batch (owner to engine). binding.d.ts documents the words of each kind.
// Little-endian words; everything here is plain data.
#pragma once

#include <cstddef>
#include <cstdint>

namespace iocp {

enum class RecordKind : std::uint32_t {
  package = 1,
  large = 2,
  connected = 3,
  ended = 4,
  drain = 5,
  written = 6,
  disconnected = 7,
  refused = 8,
  connect_failed = 9,
  listener_failed = 10,
  closed = 11,
  leaving = 12,
  file = 13,
  series = 14,
};

struct RecordHeader {
  std::uint32_t kind;
  std::uint32_t slot;
  std::uint32_t length;  // bytes after this header
  std::uint32_t extra;
};
static_assert(sizeof(RecordHeader) == 16);

constexpr std::size_t kRecordAlignment = 8;

constexpr std::size_t record_bytes(std::size_t length) noexcept {
  return (sizeof(RecordHeader) + length + kRecordAlignment - 1) & ~(kRecordAlignment - 1);
}

struct OutputHeader {
  std::uint32_t slot;
  std::uint32_t generation;
  std::uint32_t length;  // payload bytes after this header, padded to kOutputAlignment
  std::uint32_t flags;
};
static_assert(sizeof(OutputHeader) == 16);

constexpr std::size_t kOutputAlignment = 4;

constexpr std::size_t output_record_bytes(std::size_t length) noexcept {
  return (sizeof(OutputHeader) + length + kOutputAlignment - 1) & ~(kOutputAlignment - 1);
}

constexpr std::uint32_t kOutputRaw = 1;     // not framed
constexpr std::uint32_t kOutputNotify = 2;  // answer with a `written` record; token = flags >> 8
constexpr std::uint32_t kOutputSeries = 4;  // the body is a series (series.h)
constexpr std::uint32_t kOutputTokenShift = 8;

// The system call a status came from, as Node.js names it; index 0 is "none".
enum class Syscall : std::uint8_t { none, accept, bind, close, connect, listen, read, shutdown, socket, write };
const char* syscall_name(Syscall syscall) noexcept;
std::uint8_t syscall_count() noexcept;

// Who ended a connection.
enum class DisconnectedBy : std::uint8_t { local = 0, peer = 1, guard = 2, error = 3 };

}  // namespace iocp
