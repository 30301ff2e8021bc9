// CRC-32C on 64-bit ARM: the crc32c instructions, optional in ARMv8.0 and always there from ARMv8.1 on. Whether this
// processor has them only its operating system may ask: arm64_features_<system>.cc.
#include <cstdint>

#include "port/cpu/arm64_features.h"
#include "port/crc32c.h"

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#define IOCP_CRC32C_TARGET
#define IOCP_CRC32C_WORD __crc32cd
#define IOCP_CRC32C_BYTE __crc32cb
#elif defined(__clang__)
#define IOCP_CRC32C_TARGET __attribute__((target("crc")))
#define IOCP_CRC32C_WORD __builtin_arm_crc32cd
#define IOCP_CRC32C_BYTE __builtin_arm_crc32cb
#else
#define IOCP_CRC32C_TARGET __attribute__((target("+crc")))
#define IOCP_CRC32C_WORD __builtin_aarch64_crc32cx
#define IOCP_CRC32C_BYTE __builtin_aarch64_crc32cb
#endif

namespace iocp {
namespace {

IOCP_CRC32C_TARGET inline std::uint32_t crc_word(std::uint32_t state, std::uint64_t word) noexcept {
  return IOCP_CRC32C_WORD(state, word);
}

IOCP_CRC32C_TARGET inline std::uint32_t crc_byte(std::uint32_t state, std::uint8_t byte) noexcept {
  return IOCP_CRC32C_BYTE(state, byte);
}

}  // namespace
}  // namespace iocp

// Needs crc_word and crc_byte above.
#include "port/cpu/crc32c_streams.h"

namespace iocp {

Crc32cHardware crc32c_hardware() noexcept {
  if (!arm64_has_crc32()) return {};
  return {crc32c_by_instruction, "ARMv8 CRC"};
}

}  // namespace iocp
