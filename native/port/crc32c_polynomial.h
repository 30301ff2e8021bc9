// The arithmetic under CRC-32C: polynomials over GF(2) modulo Castagnoli's (RFC 3720, 12.1: 0x1EDC6F41). They are
// kept bit-reflected, as the CRC register is: the highest bit is the coefficient of x^0. No state, no memory; the
// tables of the core and of native/port/cpu are computed from it by the compiler.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace iocp::crc32c_polynomial {

constexpr std::uint32_t kCastagnoli = 0x82F63B78;  // 0x1EDC6F41, reflected
constexpr std::uint32_t kOne = 0x80000000;         // x^0

// The register after one more zero bit.
constexpr std::uint32_t times_x(std::uint32_t value) noexcept {
  return (value >> 1) ^ ((value & 1) != 0 ? kCastagnoli : 0);
}

constexpr std::uint32_t multiply(std::uint32_t left, std::uint32_t right) noexcept {
  std::uint32_t product = 0;
  for (std::uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if ((left & bit) != 0) product ^= right;
    right = times_x(right);
  }
  return product;
}

// x^(8 * bytes): multiplying a register by it appends that many zero bytes. By repeated squaring.
constexpr std::uint32_t zero_bytes(std::uint64_t bytes) noexcept {
  std::uint32_t power = kOne >> 8;
  std::uint32_t product = kOne;
  for (; bytes != 0; bytes >>= 1) {
    if ((bytes & 1) != 0) product = multiply(product, power);
    power = multiply(power, power);
  }
  return product;
}

// table[k][b]: what byte k of a register, being b, becomes. The register is the exclusive-or of four look-ups.
using ByteTables = std::array<std::array<std::uint32_t, 256>, 4>;

// The tables that append a fixed number of zero bytes. A value of a byte is the sum of its bits' values, so eight
// products make a table.
constexpr ByteTables append_zeros_tables(std::uint64_t bytes) noexcept {
  const std::uint32_t power = zero_bytes(bytes);
  ByteTables tables = {};
  for (std::size_t at = 0; at < tables.size(); ++at) {
    for (std::uint32_t bit = 0; bit < 8; ++bit) {
      const std::uint32_t image = multiply(std::uint32_t{1} << (8 * at + bit), power);
      for (std::size_t low = 0; low < (std::size_t{1} << bit); ++low) {
        tables[at][(std::size_t{1} << bit) + low] = tables[at][low] ^ image;
      }
    }
  }
  return tables;
}

}  // namespace iocp::crc32c_polynomial
