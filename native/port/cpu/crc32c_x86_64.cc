// CRC-32C on 64-bit x86: the crc32 instruction of SSE4.2, asked for at run time.
#include <cstdint>

#include "port/crc32c.h"

#if defined(_MSC_VER)
#include <intrin.h>
#include <nmmintrin.h>
#define IOCP_CRC32C_TARGET
#else
#include <cpuid.h>
#include <nmmintrin.h>
// Clang counts the instruction as a feature of its own; older versions of GCC do not know that name.
#if defined(__clang__)
#define IOCP_CRC32C_TARGET __attribute__((target("sse4.2,crc32")))
#else
#define IOCP_CRC32C_TARGET __attribute__((target("sse4.2")))
#endif
#endif

namespace iocp {
namespace {

IOCP_CRC32C_TARGET inline std::uint32_t crc_word(std::uint32_t state, std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(_mm_crc32_u64(state, word));
}

IOCP_CRC32C_TARGET inline std::uint32_t crc_byte(std::uint32_t state, std::uint8_t byte) noexcept {
  return _mm_crc32_u8(state, byte);
}

// Leaf 1 of CPUID: bit 20 of ecx tells SSE4.2 (Intel 64 Software Developer's Manual, volume 2A, CPUID).
bool has_sse42() noexcept {
  constexpr unsigned kSse42 = 1U << 20;
#if defined(_MSC_VER)
  int registers[4] = {};
  __cpuid(registers, 1);
  return (static_cast<unsigned>(registers[2]) & kSse42) != 0;
#else
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & kSse42) != 0;
#endif
}

}  // namespace
}  // namespace iocp

// Needs crc_word and crc_byte above.
#include "port/cpu/crc32c_streams.h"

namespace iocp {

Crc32cHardware crc32c_hardware() noexcept {
  if (!has_sse42()) return {};
  return {crc32c_by_instruction, "SSE4.2"};
}

}  // namespace iocp
