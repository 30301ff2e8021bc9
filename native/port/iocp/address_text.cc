// IP addresses from and to text, with Windows' own parser. Never resolves a name.
#include <winsock2.h>
#include <ws2tcpip.h>
// These need the types above.
#include <iphlpapi.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "port/address.h"

namespace iocp {
namespace {

using TextBuffer = std::array<char, kAddressTextBytes>;

// The system's functions want a terminated string; a longer or an already terminated text is no address.
bool terminate(std::string_view text, TextBuffer* out) {
  if (text.empty() || text.size() >= out->size() || text.find('\0') != std::string_view::npos) return false;
  std::copy(text.begin(), text.end(), out->begin());
  (*out)[text.size()] = '\0';
  return true;
}

bool parse_zone(std::string_view zone, std::uint32_t* out) {
  const char* const end = zone.data() + zone.size();
  const auto [stop, error] = std::from_chars(zone.data(), end, *out);
  if (error == std::errc() && stop == end) return true;
  TextBuffer name;
  if (!terminate(zone, &name)) return false;
  *out = if_nametoindex(name.data());
  return *out != 0;
}

}  // namespace

bool parse_ip(std::string_view text, std::uint16_t port, Address* out) {
  Address parsed;
  parsed.port = port;
  TextBuffer buffer;
  if (terminate(text, &buffer) && InetPtonA(AF_INET, buffer.data(), parsed.ip.data()) == 1) {
    parsed.family = Family::ipv4;
    *out = parsed;
    return true;
  }
  const std::size_t percent = text.find('%');
  if (percent != std::string_view::npos && !parse_zone(text.substr(percent + 1), &parsed.scope_id)) return false;
  if (!terminate(text.substr(0, percent), &buffer)) return false;
  if (InetPtonA(AF_INET6, buffer.data(), parsed.ip.data()) != 1) return false;
  parsed.family = Family::ipv6;
  *out = parsed;
  return true;
}

std::string format_ip(const Address& address) {
  TextBuffer buffer = {};
  switch (address.family) {
    case Family::none:
    case Family::local:
      return {};
    case Family::ipv4:
      if (InetNtopA(AF_INET, address.ip.data(), buffer.data(), buffer.size()) == nullptr) return {};
      return buffer.data();
    case Family::ipv6:
      break;
  }
  if (InetNtopA(AF_INET6, address.ip.data(), buffer.data(), buffer.size()) == nullptr) return {};
  if (address.scope_id != 0) {
    const std::size_t length = std::strlen(buffer.data());
    buffer[length] = '%';
    std::to_chars(buffer.data() + length + 1, buffer.data() + buffer.size() - 1, address.scope_id);
  }
  return buffer.data();
}

}  // namespace iocp
