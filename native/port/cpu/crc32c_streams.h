// How a CRC instruction is kept busy: it takes three cycles and can start every cycle, so three neighbouring blocks
// are worked on at once and put together afterwards (Gopal and others, "Fast CRC Computation for iSCSI Polynomial
// Using CRC32 Instruction", Intel, 2011).
//
// Included by exactly one file of this folder, which must have defined
//   IOCP_CRC32C_TARGET                               the attribute that lets the compiler use the instruction
//   std::uint32_t crc_word(std::uint32_t, std::uint64_t)   the instruction for 8 bytes in memory order
//   std::uint32_t crc_byte(std::uint32_t, std::uint8_t)    … for one byte
// both marked with that attribute. Everything here has internal linkage, so that no other file can pick up code that
// needs the instruction.
#pragma once

#include <cstring>

#include "port/crc32c_polynomial.h"

namespace iocp {
namespace {

// Bytes per stream: long ones spend little on putting together, short ones serve what is left.
constexpr std::size_t kLongBlock = 8192;
constexpr std::size_t kShortBlock = 256;
constexpr crc32c_polynomial::ByteTables kAppendLong = crc32c_polynomial::append_zeros_tables(kLongBlock);
constexpr crc32c_polynomial::ByteTables kAppendShort = crc32c_polynomial::append_zeros_tables(kShortBlock);

IOCP_CRC32C_TARGET std::uint32_t append_zeros(const crc32c_polynomial::ByteTables& tables,
                                              std::uint32_t state) noexcept {
  return tables[0][state & 0xFF] ^ tables[1][(state >> 8) & 0xFF] ^ tables[2][(state >> 16) & 0xFF] ^
         tables[3][state >> 24];
}

// Both kinds of processors are little-endian: the bytes as they lie are the instruction's operand.
IOCP_CRC32C_TARGET std::uint64_t word_at(const std::uint8_t* bytes) noexcept {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// Three blocks of `block` bytes each.
IOCP_CRC32C_TARGET std::uint32_t three_blocks(std::uint32_t state, const std::uint8_t* bytes, std::size_t block,
                                              const crc32c_polynomial::ByteTables& append_block) noexcept {
  std::uint32_t second = 0;
  std::uint32_t third = 0;
  for (const std::uint8_t* const end = bytes + block; bytes != end; bytes += sizeof(std::uint64_t)) {
    state = crc_word(state, word_at(bytes));
    second = crc_word(second, word_at(bytes + block));
    third = crc_word(third, word_at(bytes + 2 * block));
  }
  state = append_zeros(append_block, state) ^ second;
  return append_zeros(append_block, state) ^ third;
}

IOCP_CRC32C_TARGET std::uint32_t crc32c_by_instruction(std::uint32_t state, const std::uint8_t* bytes,
                                                       std::size_t count) noexcept {
  for (; count >= 3 * kLongBlock; bytes += 3 * kLongBlock, count -= 3 * kLongBlock) {
    state = three_blocks(state, bytes, kLongBlock, kAppendLong);
  }
  for (; count >= 3 * kShortBlock; bytes += 3 * kShortBlock, count -= 3 * kShortBlock) {
    state = three_blocks(state, bytes, kShortBlock, kAppendShort);
  }
  for (; count >= sizeof(std::uint64_t); bytes += sizeof(std::uint64_t), count -= sizeof(std::uint64_t)) {
    state = crc_word(state, word_at(bytes));
  }
  for (; count > 0; ++bytes, --count) state = crc_byte(state, *bytes);
  return state;
}

}  // namespace
}  // namespace iocp
