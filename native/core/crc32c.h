// CRC-32C (Castagnoli), the end-to-end check of file transfers: the polynomial of iSCSI (RFC 3720, 12.1), as in ext4,
// SCTP and the crc32 instruction. Values are the finished ones, inverted before and after: the check of
// "123456789" is 0xE3069283, the check of nothing is 0. Pure functions, any thread.
//
// It guards against accidents, not against somebody who wants the check to match.
#pragma once

#include <cstdint>

#include "port/port.h"

namespace iocp {

// The check of what `check` covers, followed by `bytes`. Starting with 0 is starting with nothing. Uses the
// processor's instruction where it has one.
std::uint32_t crc32c_extend(std::uint32_t check, ConstBytes bytes) noexcept;

inline std::uint32_t crc32c(ConstBytes bytes) noexcept { return crc32c_extend(0, bytes); }

// The check of two pieces in a row, from the check of each: for pieces that were checked apart, out of order or before
// a transfer was resumed. `second_length` is in bytes; the length of the first piece does not matter.
std::uint32_t crc32c_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_length) noexcept;

// crc32c_extend by tables, eight bytes at a time; what every processor can. For tests and benchmarks.
std::uint32_t crc32c_extend_by_table(std::uint32_t check, ConstBytes bytes) noexcept;

// Which instruction set crc32c_extend uses ("SSE4.2", "ARMv8 CRC"), or "none".
const char* crc32c_hardware_name() noexcept;

}  // namespace iocp
