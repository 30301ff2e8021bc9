// Linux tells a processor's features in the auxiliary vector (Documentation/arch/arm64/elf_hwcaps.rst).
#include <asm/hwcap.h>
#include <sys/auxv.h>

#include "port/cpu/arm64_features.h"

namespace iocp {

bool arm64_has_crc32() noexcept { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }

}  // namespace iocp
