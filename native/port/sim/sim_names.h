// Who may have which address in the simulated world. Pure functions on addresses; no state, no network.
#pragma once

#include <string>

#include "port/address.h"
#include "port/status.h"

namespace iocp {

// IPv4-mapped IPv6 becomes plain IPv4; everything else stays.
Address sim_canonical(const Address& address);
// The other way round: an IPv4 address as an IPv6 socket sees it.
Address sim_mapped(const Address& address);
bool sim_is_wildcard(const Address& address);
bool sim_is_loopback(const Address& address);
// This world's hosts: loopback, 10.0.0.0/8, fd00::/8, fe80::/10. All else is outside and never answers.
bool sim_is_inside(const Address& address);
bool sim_same_ip(const Address& left, const Address& right);
// Whether `path` can name a local socket at all: ok, invalid_argument or name_too_long.
Status sim_check_path(const std::string& path);

}  // namespace iocp
