// What Winsock and the socket driver offer beyond plain functions, each looked up once: the extension functions, and
// the driver's own "tell me when" request, which has no name in Winsock.
#pragma once

#include <winsock2.h>
// These need the types above.
#include <mswsock.h>
#include <windows.h>
#include <ws2tcpip.h>

#include "port/status.h"

namespace iocp {

struct WinsockExtensions {
  Status status = Status::ok;  // anything else: Winsock could not be started, nothing below is valid
  LPFN_ACCEPTEX accept_ex = nullptr;
  LPFN_CONNECTEX connect_ex = nullptr;
  LPFN_TRANSMITFILE transmit_file = nullptr;
  LPFN_GETACCEPTEXSOCKADDRS get_accept_ex_addresses = nullptr;
};

// Starts Winsock on the first call, for the life of the process; from any thread.
const WinsockExtensions& winsock() noexcept;

// --- the socket driver ---------------------------------------------------------------------------------------------

// Winsock can tell through a completion port that bytes came, but not that the peer closed while bytes are unread.
// The driver below it can; select() and WSAPoll() ask it the same way. Undocumented, but unchanged since Windows
// Vista, and event loops in wide use rest on it.
constexpr ULONG kDriverDisconnect = 0x08;  // the peer's FIN
constexpr ULONG kDriverAbort = 0x10;       // a reset
constexpr ULONG kDriverLocalClose = 0x20;  // our own closesocket()

struct DriverPoll {
  LARGE_INTEGER timeout = {};
  ULONG handle_count = 1;
  ULONG exclusive = 0;
  struct Entry {
    HANDLE handle = nullptr;
    ULONG events = 0;
    LONG status = 0;
  } entry;
};

// A handle of the driver that belongs to no socket, for the requests below; its completions go to `port`.
Status open_driver(HANDLE port, HANDLE* driver) noexcept;
// Pending (then `overlapped` comes back through the port, once) or not, with the reason. `overlapped` may come back
// on another thread before this returns.
Status start_driver_poll(HANDLE driver, DriverPoll* poll, OVERLAPPED* overlapped) noexcept;
// Asks for an early end; harmless when it is over already.
void cancel_driver_poll(HANDLE driver, OVERLAPPED* overlapped) noexcept;

}  // namespace iocp
