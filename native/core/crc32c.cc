// The check by tables ("slicing by 8", Kounavis and Berry, 2005), and the choice between them and the processor.
#include "core/crc32c.h"

#include <array>

#include "port/crc32c.h"
#include "port/crc32c_polynomial.h"

namespace iocp {
namespace {

constexpr std::size_t kSlices = 8;
using SliceTables = std::array<std::array<std::uint32_t, 256>, kSlices>;

// tables[k][b]: what a byte b contributes when k more bytes follow it.
constexpr SliceTables slice_tables() noexcept {
  SliceTables tables = {};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t state = byte;
    for (std::size_t slice = 0; slice < kSlices; ++slice) {
      for (int bit = 0; bit < 8; ++bit) state = crc32c_polynomial::times_x(state);
      tables[slice][byte] = state;
    }
  }
  return tables;
}

constexpr SliceTables kTables = slice_tables();

// Four bytes in memory order, whatever order the processor keeps; compilers make one load of it where they can.
std::uint32_t little_endian_word(const std::uint8_t* bytes) noexcept {
  return std::uint32_t{bytes[0]} | std::uint32_t{bytes[1]} << 8 | std::uint32_t{bytes[2]} << 16 |
         std::uint32_t{bytes[3]} << 24;
}

std::uint32_t by_table(std::uint32_t state, const std::uint8_t* bytes, std::size_t count) noexcept {
  for (; count >= kSlices; bytes += kSlices, count -= kSlices) {
    const std::uint32_t low = state ^ little_endian_word(bytes);
    const std::uint32_t high = little_endian_word(bytes + 4);
    state = kTables[7][low & 0xFF] ^ kTables[6][(low >> 8) & 0xFF] ^ kTables[5][(low >> 16) & 0xFF] ^
            kTables[4][low >> 24] ^ kTables[3][high & 0xFF] ^ kTables[2][(high >> 8) & 0xFF] ^
            kTables[1][(high >> 16) & 0xFF] ^ kTables[0][high >> 24];
  }
  for (; count > 0; ++bytes, --count) state = (state >> 8) ^ kTables[0][(state ^ *bytes) & 0xFF];
  return state;
}

const Crc32cHardware& hardware() noexcept {
  static const Crc32cHardware found = crc32c_hardware();
  return found;
}

}  // namespace

std::uint32_t crc32c_extend(std::uint32_t check, ConstBytes bytes) noexcept {
  static const Crc32cKernel kernel = hardware().kernel != nullptr ? hardware().kernel : by_table;
  return ~kernel(~check, bytes.data(), bytes.size());
}

std::uint32_t crc32c_extend_by_table(std::uint32_t check, ConstBytes bytes) noexcept {
  return ~by_table(~check, bytes.data(), bytes.size());
}

std::uint32_t crc32c_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_length) noexcept {
  // The inversions of the two pieces cancel out, so the finished values can be used as they are.
  return crc32c_polynomial::multiply(crc32c_polynomial::zero_bytes(second_length), first) ^ second;
}

const char* crc32c_hardware_name() noexcept { return hardware().name; }

}  // namespace iocp
