// IP addresses from and to text, by the system's own parser, with the number of an IPv6 zone behind a percent sign.
// Never resolves a name.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "port/address_system.h"

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
  *out = system_interface(name.data());
  return *out != 0;
}

}  // namespace

bool parse_ip(std::string_view text, std::uint16_t port, Address* out) {
  Address parsed;
  parsed.port = port;
  TextBuffer buffer;
  if (terminate(text, &buffer) && system_parse_ip(Family::ipv4, buffer.data(), parsed.ip.data())) {
    parsed.family = Family::ipv4;
    *out = parsed;
    return true;
  }
  const std::size_t percent = text.find('%');
  if (percent != std::string_view::npos && !parse_zone(text.substr(percent + 1), &parsed.scope_id)) return false;
  if (!terminate(text.substr(0, percent), &buffer)) return false;
  if (!system_parse_ip(Family::ipv6, buffer.data(), parsed.ip.data())) return false;
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
      if (!system_format_ip(Family::ipv4, address.ip.data(), buffer.data(), buffer.size())) return {};
      return buffer.data();
    case Family::ipv6:
      break;
  }
  if (!system_format_ip(Family::ipv6, address.ip.data(), buffer.data(), buffer.size())) return {};
  if (address.scope_id != 0) {
    const std::size_t length = std::strlen(buffer.data());
    buffer[length] = '%';
    std::to_chars(buffer.data() + length + 1, buffer.data() + buffer.size() - 1, address.scope_id);
  }
  return buffer.data();
}

}  // namespace iocp
