// Every 64-bit ARM processor that macOS runs on is ARMv8.4 or later, where CRC-32C is mandatory.
#include "port/cpu/arm64_features.h"

namespace iocp {

bool arm64_has_crc32() noexcept { return true; }

}  // namespace iocp
