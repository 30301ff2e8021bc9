// Shortages of buffers made to order on Windows. A program that links this owns the import slots through which the port
// calls Winsock, so the port under test is, to the byte, the one that ships: nothing in it knows of faults.
//
// A request meets the shortage in one of the two ways a system has: the call itself fails (WSAENOBUFS), or it is taken
// and its packet brings the failure later (STATUS_INSUFFICIENT_RESOURCES). Either way it has moved nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace windows_test {

enum class Request : std::uint8_t { read, zero_byte_read, write, accept, read_now };
constexpr std::size_t kRequests = 5;

struct WinsockFaults {
  // Per mille, by Request.
  std::array<std::uint32_t, kRequests> at_once = {};
  std::array<std::uint32_t, kRequests> later = {};  // read_now has no later
  // A write of more bytes than this fails at once.
  std::size_t largest_write_bytes = SIZE_MAX;
};

// What was asked for, since the last set_faults().
struct WinsockCalls {
  std::array<std::uint64_t, kRequests> made = {};
  std::array<std::uint64_t, kRequests> refused = {};
};

// From any thread, at any time; also begins the counting anew.
void set_faults(const WinsockFaults& faults, std::uint64_t seed);
WinsockCalls winsock_calls();

// Sockets this process has made and not closed.
std::int64_t open_sockets();

// No faults again when the case ends, however it ends.
class ScopedFaults {
 public:
  ScopedFaults(const WinsockFaults& faults, std::uint64_t seed) { set_faults(faults, seed); }
  ~ScopedFaults() { set_faults({}, 0); }
  ScopedFaults(const ScopedFaults&) = delete;
  ScopedFaults& operator=(const ScopedFaults&) = delete;
};

}  // namespace windows_test
