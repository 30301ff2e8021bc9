// Windows tells a processor's features by IsProcessorFeaturePresent.
#include <windows.h>

#include "port/cpu/arm64_features.h"

namespace iocp {

bool arm64_has_crc32() noexcept { return IsProcessorFeaturePresent(PF_ARM_V8_CRC32_INSTRUCTIONS_AVAILABLE) != 0; }

}  // namespace iocp
