// What address_text.cc needs of a system: its own parser and printer of one IP address. Nothing outside native/port
// includes this.
#pragma once

#include <cstddef>
#include <cstdint>

#include "port/address.h"

namespace iocp {

// `family` is ipv4 or ipv6; `text` is terminated, and has no zone. False: no such address.
bool system_parse_ip(Family family, const char* text, std::uint8_t* bytes) noexcept;
// Terminated, into `size` bytes. False: no room.
bool system_format_ip(Family family, const std::uint8_t* bytes, char* out, std::size_t size) noexcept;
// The number of a network interface; 0 = there is none of that name.
std::uint32_t system_interface(const char* name) noexcept;

}  // namespace iocp
