// CRC-32C (Castagnoli) by the processor's own instruction, where it has one. The contract between the core, which
// knows the check and its table-driven form (core/crc32c.h), and native/port/cpu, one file per family of processors,
// chosen by the build. Whether this very processor can is found out at run time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace iocp {

// Continues a CRC register over `count` bytes at `bytes` (which may be null when count is 0). The register is as the
// processors keep it: bit-reflected, and inverted neither before nor after. Any thread.
using Crc32cKernel = std::uint32_t (*)(std::uint32_t state, const std::uint8_t* bytes, std::size_t count) noexcept;

struct Crc32cHardware {
  Crc32cKernel kernel = nullptr;  // null: this processor has no such instruction
  const char* name = "none";      // of the instruction set, for figures and tests
};

// What this processor has. Asks it each time: keep the answer.
Crc32cHardware crc32c_hardware() noexcept;

}  // namespace iocp
