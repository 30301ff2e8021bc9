// POSIX's parser and printer of IP addresses.
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include "port/address_system.h"

namespace iocp {
namespace {

int number_of(Family family) { return family == Family::ipv4 ? AF_INET : AF_INET6; }

}  // namespace

bool system_parse_ip(Family family, const char* text, std::uint8_t* bytes) noexcept {
  return inet_pton(number_of(family), text, bytes) == 1;
}

bool system_format_ip(Family family, const std::uint8_t* bytes, char* out, std::size_t size) noexcept {
  return inet_ntop(number_of(family), bytes, out, static_cast<socklen_t>(size)) != nullptr;
}

std::uint32_t system_interface(const char* name) noexcept { return if_nametoindex(name); }

}  // namespace iocp
