// A transport address without an operating-system header: IPv4, IPv6 or a local (Unix-domain) path.
// Plain value, compared and copied freely. Text in and out goes through the two functions below, which
// each backend family implements with the system's own parser.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace iocp {

enum class Family : std::uint8_t { none, ipv4, ipv6, local };

struct Address {
  Family family = Family::none;
  std::uint16_t port = 0;                // host byte order; 0 for local addresses
  std::uint32_t scope_id = 0;            // IPv6 zone, 0 = none
  std::array<std::uint8_t, 16> ip = {};  // network byte order; IPv4 uses the first four bytes

  friend bool operator==(const Address&, const Address&) = default;
};

// Longest text format_ip writes, with its terminating NUL ("…%4294967295" included).
constexpr std::size_t kAddressTextBytes = 64;

// Parses "127.0.0.1", "::1" or "fe80::1%2" (numeric or interface-name zone). False, and `out` untouched,
// when the text is no IP address. Host names are not resolved.
bool parse_ip(std::string_view text, std::uint16_t port, Address* out);

// The IP in its usual text form, without the port; empty for Family::none and Family::local.
// IPv4-mapped IPv6 addresses read "::ffff:127.0.0.1", as in Node.js.
std::string format_ip(const Address& address);

}  // namespace iocp
