// FreeBSD and OpenBSD tell a processor's features by elf_aux_info(3).
#include <sys/auxv.h>

#include "port/cpu/arm64_features.h"

namespace iocp {

bool arm64_has_crc32() noexcept {
  unsigned long features = 0;
  return elf_aux_info(AT_HWCAP, &features, sizeof features) == 0 && (features & HWCAP_CRC32) != 0;
}

}  // namespace iocp
