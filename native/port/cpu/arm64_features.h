// What a 64-bit ARM processor can beyond ARMv8.0; only the operating system may ask it. One file per system.
#pragma once

namespace iocp {

bool arm64_has_crc32() noexcept;

}  // namespace iocp
