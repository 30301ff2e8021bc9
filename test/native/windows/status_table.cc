// Every error number of Windows that means something to the engine, with the name Node.js users know it by, and the
// proof that the list is whole: any number that is not on it is UNKNOWN.
#include <cstring>
#include <map>
#include <string>

// windows.h declares a few of the kernel's numbers itself unless told that ntstatus.h will declare all of them.
#define WIN32_NO_STATUS
#include <winsock2.h>
#undef WIN32_NO_STATUS
// NTSTATUS itself.
#include <winternl.h>
// Its numbers.
#include <ntstatus.h>

#include "port/iocp/windows_status.h"
#include "support/test.h"

namespace {

using Table = std::map<unsigned long, std::string>;

unsigned long number(NTSTATUS status) { return static_cast<unsigned long>(status); }

// Winsock's and Win32's numbers, as calls return them.
const Table kErrors = {
    {ERROR_SUCCESS, "OK"},
    {WSAEWOULDBLOCK, "EAGAIN"},
    {ERROR_OPERATION_ABORTED, "ECANCELED"},
    {WSA_E_CANCELLED, "ECANCELED"},
    {WSAECANCELLED, "ECANCELED"},
    {WSAEINTR, "ECANCELED"},
    {ERROR_REQUEST_ABORTED, "ECANCELED"},
    {WSAEACCES, "EACCES"},
    {ERROR_ACCESS_DENIED, "EACCES"},
    {WSAEADDRINUSE, "EADDRINUSE"},
    {ERROR_ADDRESS_ALREADY_ASSOCIATED, "EADDRINUSE"},
    {WSAEADDRNOTAVAIL, "EADDRNOTAVAIL"},
    {WSAEAFNOSUPPORT, "EAFNOSUPPORT"},
    {WSAEPROTONOSUPPORT, "EAFNOSUPPORT"},
    {WSAESOCKTNOSUPPORT, "EAFNOSUPPORT"},
    {WSAEPFNOSUPPORT, "EAFNOSUPPORT"},
    {WSAEINVAL, "EINVAL"},
    {WSAEISCONN, "EINVAL"},
    {WSAEFAULT, "EINVAL"},
    {ERROR_INVALID_PARAMETER, "EINVAL"},
    {WSAEOPNOTSUPP, "ENOTSUP"},
    {WSAENOPROTOOPT, "ENOTSUP"},
    {ERROR_NOT_SUPPORTED, "ENOTSUP"},
    {ERROR_INVALID_FUNCTION, "ENOTSUP"},
    {ERROR_CALL_NOT_IMPLEMENTED, "ENOTSUP"},
    {WSAECONNREFUSED, "ECONNREFUSED"},
    {ERROR_CONNECTION_REFUSED, "ECONNREFUSED"},
    {WSAECONNRESET, "ECONNRESET"},
    {WSAENETRESET, "ECONNRESET"},
    {ERROR_NETNAME_DELETED, "ECONNRESET"},
    {ERROR_VC_DISCONNECTED, "ECONNRESET"},
    {WSAECONNABORTED, "ECONNABORTED"},
    {ERROR_CONNECTION_ABORTED, "ECONNABORTED"},
    {WSAESHUTDOWN, "EPIPE"},
    {WSAEDISCON, "EPIPE"},
    {ERROR_BROKEN_PIPE, "EPIPE"},
    {ERROR_NO_DATA, "EPIPE"},
    {ERROR_PIPE_NOT_CONNECTED, "EPIPE"},
    {ERROR_GRACEFUL_DISCONNECT, "EPIPE"},
    {WSAENOTCONN, "ENOTCONN"},
    {ERROR_NOT_CONNECTED, "ENOTCONN"},
    {ERROR_CONNECTION_INVALID, "ENOTCONN"},
    {WSAETIMEDOUT, "ETIMEDOUT"},
    {ERROR_SEM_TIMEOUT, "ETIMEDOUT"},
    {WSAENETDOWN, "ENETDOWN"},
    {WSAENETUNREACH, "ENETUNREACH"},
    {ERROR_NETWORK_UNREACHABLE, "ENETUNREACH"},
    {WSAEHOSTUNREACH, "EHOSTUNREACH"},
    {WSAEHOSTDOWN, "EHOSTUNREACH"},
    {ERROR_HOST_UNREACHABLE, "EHOSTUNREACH"},
    {ERROR_HOST_DOWN, "EHOSTUNREACH"},
    {ERROR_PROTOCOL_UNREACHABLE, "EHOSTUNREACH"},
    {ERROR_PORT_UNREACHABLE, "EHOSTUNREACH"},
    {WSAENOBUFS, "ENOBUFS"},
    {ERROR_NO_SYSTEM_RESOURCES, "ENOBUFS"},
    {ERROR_NONPAGED_SYSTEM_RESOURCES, "ENOBUFS"},
    {ERROR_PAGED_SYSTEM_RESOURCES, "ENOBUFS"},
    {ERROR_WORKING_SET_QUOTA, "ENOBUFS"},
    {ERROR_PAGEFILE_QUOTA, "ENOBUFS"},
    {ERROR_NOT_ENOUGH_QUOTA, "ENOBUFS"},
    {ERROR_NOT_ENOUGH_MEMORY, "ENOMEM"},
    {ERROR_OUTOFMEMORY, "ENOMEM"},
    {ERROR_COMMITMENT_LIMIT, "ENOMEM"},
    {WSAEMFILE, "EMFILE"},
    {ERROR_TOO_MANY_OPEN_FILES, "EMFILE"},
    {WSAENAMETOOLONG, "ENAMETOOLONG"},
    {ERROR_FILE_EXISTS, "EEXIST"},
    {ERROR_ALREADY_EXISTS, "EEXIST"},
    {ERROR_DISK_FULL, "ENOSPC"},
    {ERROR_HANDLE_DISK_FULL, "ENOSPC"},
    {1295, "ENOSPC"},
    {ERROR_FILE_TOO_LARGE, "EFBIG"},
    {ERROR_CANT_RESOLVE_FILENAME, "ELOOP"},
    {ERROR_SHARING_VIOLATION, "EBUSY"},
    {ERROR_LOCK_VIOLATION, "EBUSY"},
    {ERROR_BUSY, "EBUSY"},
    {ERROR_HANDLE_EOF, "ERR_IOCP_FILE_SHRANK"},
    {ERROR_CRC, "EIO"},
    {ERROR_IO_DEVICE, "EIO"},
    {ERROR_READ_FAULT, "EIO"},
    {ERROR_WRITE_FAULT, "EIO"},
    {ERROR_INVALID_NAME, "EINVAL"},
    {ERROR_NO_UNICODE_TRANSLATION, "EINVAL"},
    {ERROR_FILENAME_EXCED_RANGE, "ENAMETOOLONG"},
    {ERROR_FILE_NOT_FOUND, "ENOENT"},
    {ERROR_PATH_NOT_FOUND, "ENOENT"},
    {ERROR_BAD_PATHNAME, "ENOENT"},
    {ERROR_DIRECTORY, "ENOENT"},
};

// The kernel's own, as completions carry them.
const Table kKernelStatuses = {
    {number(STATUS_SUCCESS), "OK"},
    {number(STATUS_RECEIVE_PARTIAL), "OK"},
    {number(STATUS_CANCELLED), "ECANCELED"},
    {number(STATUS_HANDLES_CLOSED), "ECANCELED"},
    {number(STATUS_FILE_CLOSED), "ECANCELED"},
    {number(STATUS_REQUEST_ABORTED), "ECANCELED"},
    {number(STATUS_ACCESS_DENIED), "EACCES"},
    {number(STATUS_ADDRESS_ALREADY_EXISTS), "EADDRINUSE"},
    {number(STATUS_ADDRESS_ALREADY_ASSOCIATED), "EADDRINUSE"},
    {number(STATUS_SHARING_VIOLATION), "EADDRINUSE"},
    {number(STATUS_INVALID_ADDRESS), "EADDRNOTAVAIL"},
    {number(STATUS_INVALID_ADDRESS_COMPONENT), "EADDRNOTAVAIL"},
    {number(STATUS_INVALID_PARAMETER), "EINVAL"},
    {number(STATUS_CONNECTION_ACTIVE), "EINVAL"},
    {number(STATUS_NOT_SUPPORTED), "ENOTSUP"},
    {number(STATUS_NOT_IMPLEMENTED), "ENOTSUP"},
    {number(STATUS_REMOTE_NOT_LISTENING), "ECONNREFUSED"},
    {number(STATUS_CONNECTION_REFUSED), "ECONNREFUSED"},
    {number(STATUS_CONNECTION_RESET), "ECONNRESET"},
    {number(STATUS_CONNECTION_DISCONNECTED), "ECONNRESET"},
    {number(STATUS_REMOTE_DISCONNECT), "ECONNRESET"},
    {number(STATUS_NETWORK_NAME_DELETED), "ECONNRESET"},
    {number(STATUS_CONNECTION_ABORTED), "ECONNABORTED"},
    {number(STATUS_LOCAL_DISCONNECT), "ECONNABORTED"},
    {number(STATUS_TRANSACTION_ABORTED), "ECONNABORTED"},
    {number(STATUS_PIPE_DISCONNECTED), "EPIPE"},
    {number(STATUS_GRACEFUL_DISCONNECT), "EPIPE"},
    {number(STATUS_CONNECTION_INVALID), "ENOTCONN"},
    {number(STATUS_INVALID_CONNECTION), "ENOTCONN"},
    {number(STATUS_TIMEOUT), "ETIMEDOUT"},
    {number(STATUS_IO_TIMEOUT), "ETIMEDOUT"},
    {number(STATUS_LINK_TIMEOUT), "ETIMEDOUT"},
    {number(STATUS_LINK_FAILED), "ETIMEDOUT"},
    {number(STATUS_NETWORK_UNREACHABLE), "ENETUNREACH"},
    {number(STATUS_HOST_UNREACHABLE), "EHOSTUNREACH"},
    {number(STATUS_HOST_DOWN), "EHOSTUNREACH"},
    {number(STATUS_PROTOCOL_UNREACHABLE), "EHOSTUNREACH"},
    {number(STATUS_PORT_UNREACHABLE), "EHOSTUNREACH"},
    {number(STATUS_BAD_NETWORK_PATH), "EHOSTUNREACH"},
    {number(STATUS_INSUFFICIENT_RESOURCES), "ENOBUFS"},
    {number(STATUS_QUOTA_EXCEEDED), "ENOBUFS"},
    {number(STATUS_WORKING_SET_QUOTA), "ENOBUFS"},
    {number(STATUS_PAGEFILE_QUOTA), "ENOBUFS"},
    {number(STATUS_PAGEFILE_QUOTA_EXCEEDED), "ENOBUFS"},
    {number(STATUS_INSUFF_SERVER_RESOURCES), "ENOBUFS"},
    {number(STATUS_TOO_MANY_PAGING_FILES), "ENOBUFS"},
    {number(STATUS_REMOTE_RESOURCES), "ENOBUFS"},
    {number(STATUS_NO_MEMORY), "ENOMEM"},
    {number(STATUS_COMMITMENT_LIMIT), "ENOMEM"},
    {number(STATUS_TOO_MANY_OPENED_FILES), "EMFILE"},
    {number(STATUS_DEVICE_NOT_READY), "EAGAIN"},
    {number(STATUS_END_OF_FILE), "ERR_IOCP_FILE_SHRANK"},
    {number(STATUS_IO_DEVICE_ERROR), "EIO"},
    {number(STATUS_CRC_ERROR), "EIO"},
};

// What a number is called: by the table, or as the system's own catch-all.
std::string expected(const Table& table, unsigned long value) {
  const auto found = table.find(value);
  return found == table.end() ? "UNKNOWN" : found->second;
}

}  // namespace

TEST("windows: every error number of Winsock and Win32 has Node's name, or none") {
  // All that a DWORD of these families can be: Win32's go to 15,999, Winsock's begin at 10,000.
  for (unsigned long error = 0; error < 16'000; ++error) {
    const std::string seen = iocp::status_code(iocp::status_from_windows(error));
    if (seen != expected(kErrors, error)) {
      test::context("error " + std::to_string(error));
      CHECK_EQ(seen, expected(kErrors, error));
    }
  }
}

TEST("windows: every status of the kernel has Node's name, or none") {
  // Success, information, warnings, errors: the facility is 0 in what socket drivers and file systems answer.
  for (const unsigned long severity : {0x00000000UL, 0x40000000UL, 0x80000000UL, 0xC0000000UL}) {
    for (unsigned long code = 0; code < 0x10000; ++code) {
      const std::string seen = iocp::status_code(iocp::status_from_kernel(severity | code));
      if (seen != expected(kKernelStatuses, severity | code)) {
        test::context("status " + std::to_string(severity | code));
        CHECK_EQ(seen, expected(kKernelStatuses, severity | code));
      }
    }
  }
}

TEST("windows: no error but success is told as success") {
  for (const auto& [error, name] : kErrors) CHECK((error == ERROR_SUCCESS) == (name == "OK"));
  for (const auto& [status, name] : kKernelStatuses) {
    CHECK((status == 0 || status == ::number(STATUS_RECEIVE_PARTIAL)) == (name == "OK"));
  }
}
