// Winsock's extension functions, and requests to the socket driver.
#include "port/iocp/winsock.h"

#include <winternl.h>

#include <cstddef>
#include <limits>

#include "port/check.h"
#include "port/iocp/windows_status.h"

// In ntdll since Windows Vista; winternl.h leaves it out.
extern "C" NTSYSAPI NTSTATUS NTAPI NtCancelIoFileEx(HANDLE file, PIO_STATUS_BLOCK request, PIO_STATUS_BLOCK result);

namespace iocp {
namespace {

constexpr ULONG kDriverPollRequest = 0x00012024;  // IOCTL_AFD_POLL
constexpr NTSTATUS kPending = 0x00000103;         // STATUS_PENDING

// The kernel writes the result where GetQueuedCompletionStatusEx() readers look for it.
IO_STATUS_BLOCK* status_block(OVERLAPPED* overlapped) {
  static_assert(offsetof(OVERLAPPED, Internal) == 0 && offsetof(OVERLAPPED, InternalHigh) == sizeof(void*));
  return reinterpret_cast<IO_STATUS_BLOCK*>(overlapped);
}

template <typename Function>
bool look_up(SOCKET socket, GUID name, Function* into) {
  DWORD bytes = 0;
  return WSAIoctl(socket, SIO_GET_EXTENSION_FUNCTION_POINTER, &name, sizeof(name), into, sizeof(*into), &bytes, nullptr,
                  nullptr) == 0;
}

WinsockExtensions start_winsock() {
  WinsockExtensions result;
  WSADATA data;
  const int error = WSAStartup(MAKEWORD(2, 2), &data);
  result.status = status_from_windows(static_cast<unsigned long>(error));
  if (result.status != Status::ok) return result;
  // The functions are the same for every TCP socket of the system's own provider.
  SOCKET any = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, nullptr, 0, WSA_FLAG_OVERLAPPED);
  if (any == INVALID_SOCKET) any = WSASocketW(AF_INET6, SOCK_STREAM, IPPROTO_TCP, nullptr, 0, WSA_FLAG_OVERLAPPED);
  if (any == INVALID_SOCKET) {
    result.status = status_from_windows(static_cast<unsigned long>(WSAGetLastError()));
    return result;
  }
  const bool found = look_up(any, WSAID_ACCEPTEX, &result.accept_ex) &&
                     look_up(any, WSAID_CONNECTEX, &result.connect_ex) &&
                     look_up(any, WSAID_TRANSMITFILE, &result.transmit_file) &&
                     look_up(any, WSAID_GETACCEPTEXSOCKADDRS, &result.get_accept_ex_addresses);
  if (!found) result.status = status_from_windows(static_cast<unsigned long>(WSAGetLastError()));
  IOCP_CHECK(closesocket(any) == 0);
  return result;
}

}  // namespace

const WinsockExtensions& winsock() noexcept {
  static const WinsockExtensions started = start_winsock();
  return started;
}

Status open_driver(HANDLE port, HANDLE* driver) noexcept {
  // Any name behind the device's own will do.
  wchar_t name[] = L"\\Device\\Afd\\iocp";
  UNICODE_STRING text;
  text.Buffer = name;
  text.Length = static_cast<USHORT>(sizeof(name) - sizeof(wchar_t));
  text.MaximumLength = static_cast<USHORT>(sizeof(name));
  OBJECT_ATTRIBUTES attributes = {};
  attributes.Length = sizeof(attributes);
  attributes.ObjectName = &text;
  IO_STATUS_BLOCK block = {};
  HANDLE handle = nullptr;
  const NTSTATUS status = NtCreateFile(&handle, SYNCHRONIZE, &attributes, &block, nullptr, 0,
                                       FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, 0, nullptr, 0);
  if (status != 0) return status_from_kernel(static_cast<unsigned long>(status));
  if (CreateIoCompletionPort(handle, port, 0, 0) == nullptr) {
    const Status failure = status_from_windows(GetLastError());
    IOCP_CHECK(CloseHandle(handle) != 0);
    return failure;
  }
  *driver = handle;
  return Status::ok;
}

Status start_driver_poll(HANDLE driver, DriverPoll* poll, OVERLAPPED* overlapped) noexcept {
  poll->timeout.QuadPart = std::numeric_limits<LONGLONG>::max();
  IO_STATUS_BLOCK* const block = status_block(overlapped);
  overlapped->Internal = static_cast<ULONG_PTR>(kPending);
  // The kernel owns poll and overlapped from this line, and the completion may be on another thread before it returns.
  const NTSTATUS status = NtDeviceIoControlFile(driver, nullptr, nullptr, overlapped, block, kDriverPollRequest, poll,
                                                sizeof(*poll), poll, sizeof(*poll));
  // Success is told through the port like everything else: this handle does not skip it.
  if (status == 0 || status == kPending) return Status::ok;
  return status_from_kernel(static_cast<unsigned long>(status));
}

void cancel_driver_poll(HANDLE driver, OVERLAPPED* overlapped) noexcept {
  IO_STATUS_BLOCK ignored = {};
  const NTSTATUS status = NtCancelIoFileEx(driver, status_block(overlapped), &ignored);
  constexpr auto kNotFound = static_cast<NTSTATUS>(0xC0000225);  // STATUS_NOT_FOUND: it is over already
  IOCP_CHECK(status == 0 || status == kNotFound);
}

}  // namespace iocp
