// Processors for which there is no CRC-32C instruction, or none we know: the core's tables do the work.
#include "port/crc32c.h"

namespace iocp {

Crc32cHardware crc32c_hardware() noexcept { return {}; }

}  // namespace iocp
