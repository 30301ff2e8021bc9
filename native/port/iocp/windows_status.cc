// Windows' error numbers in the engine's words.
#include "port/iocp/windows_status.h"

// windows.h declares a few of the kernel's numbers itself unless told that ntstatus.h will declare all of them.
#define WIN32_NO_STATUS
#include <winsock2.h>
#undef WIN32_NO_STATUS
// NTSTATUS itself.
#include <winternl.h>
// Its numbers.
#include <ntstatus.h>

namespace iocp {
namespace {

constexpr unsigned long kDiskQuotaExceeded = 1295;  // ERROR_DISK_QUOTA_EXCEEDED, which MinGW's headers leave out

// What only calls on files answer.
Status status_of_file(unsigned long error) {
  switch (error) {
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
      return Status::already_exists;
    // A quota is a disk of one's own that is full.
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
    case kDiskQuotaExceeded:
      return Status::no_space;
    case ERROR_FILE_TOO_LARGE:
      return Status::file_too_large;
    case ERROR_CANT_RESOLVE_FILENAME:
      return Status::too_many_links;
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
    case ERROR_BUSY:
      return Status::resource_busy;
    case ERROR_HANDLE_EOF:
      return Status::file_shrank;
    case ERROR_CRC:
    case ERROR_IO_DEVICE:
    case ERROR_READ_FAULT:
    case ERROR_WRITE_FAULT:
      return Status::io_error;
    case ERROR_INVALID_NAME:
    case ERROR_NO_UNICODE_TRANSLATION:
      return Status::invalid_argument;
    case ERROR_FILENAME_EXCED_RANGE:
      return Status::name_too_long;
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_BAD_PATHNAME:
    case ERROR_DIRECTORY:
      return Status::not_found;
    default:
      return Status::unknown_system_error;
  }
}

// The same of the kernel's numbers: what reading a file for a transmit may meet.
Status kernel_status_of_file(unsigned long status) {
  switch (static_cast<NTSTATUS>(status)) {
    case STATUS_END_OF_FILE:
      return Status::file_shrank;
    case STATUS_IO_DEVICE_ERROR:
    case STATUS_CRC_ERROR:
      return Status::io_error;
    default:
      return Status::unknown_system_error;
  }
}

}  // namespace

Status status_from_windows(unsigned long error) noexcept {
  switch (error) {
    case ERROR_SUCCESS:
      return Status::ok;
    case WSAEWOULDBLOCK:
      return Status::would_block;
    case ERROR_OPERATION_ABORTED:
    case WSA_E_CANCELLED:
    case WSAECANCELLED:
    case WSAEINTR:
    case ERROR_REQUEST_ABORTED:
      return Status::cancelled;
    case WSAEACCES:
    case ERROR_ACCESS_DENIED:
      return Status::access_denied;
    case WSAEADDRINUSE:
    case ERROR_ADDRESS_ALREADY_ASSOCIATED:
      return Status::address_in_use;
    case WSAEADDRNOTAVAIL:
      return Status::address_not_available;
    case WSAEAFNOSUPPORT:
    case WSAEPROTONOSUPPORT:
    case WSAESOCKTNOSUPPORT:
    case WSAEPFNOSUPPORT:
      return Status::address_family_not_supported;
    case WSAEINVAL:
    case WSAEISCONN:
    case WSAEFAULT:
    case ERROR_INVALID_PARAMETER:
      return Status::invalid_argument;
    case WSAEOPNOTSUPP:
    case WSAENOPROTOOPT:
    case ERROR_NOT_SUPPORTED:
    case ERROR_INVALID_FUNCTION:
    case ERROR_CALL_NOT_IMPLEMENTED:
      return Status::not_supported;
    case WSAECONNREFUSED:
    case ERROR_CONNECTION_REFUSED:
      return Status::connection_refused;
    case WSAECONNRESET:
    case WSAENETRESET:
    case ERROR_NETNAME_DELETED:
    case ERROR_VC_DISCONNECTED:
      return Status::connection_reset;
    case WSAECONNABORTED:
    case ERROR_CONNECTION_ABORTED:
      return Status::connection_aborted;
    case WSAESHUTDOWN:
    case WSAEDISCON:
    case ERROR_BROKEN_PIPE:
    case ERROR_NO_DATA:
    case ERROR_PIPE_NOT_CONNECTED:
    case ERROR_GRACEFUL_DISCONNECT:
      return Status::broken_pipe;
    case WSAENOTCONN:
    case ERROR_NOT_CONNECTED:
    case ERROR_CONNECTION_INVALID:
      return Status::not_connected;
    case WSAETIMEDOUT:
    case ERROR_SEM_TIMEOUT:
      return Status::timed_out;
    case WSAENETDOWN:
      return Status::network_down;
    case WSAENETUNREACH:
    case ERROR_NETWORK_UNREACHABLE:
      return Status::network_unreachable;
    case WSAEHOSTUNREACH:
    case WSAEHOSTDOWN:
    case ERROR_HOST_UNREACHABLE:
    case ERROR_HOST_DOWN:
    case ERROR_PROTOCOL_UNREACHABLE:
    case ERROR_PORT_UNREACHABLE:
      return Status::host_unreachable;
    case WSAENOBUFS:
    // What the kernel runs out of when too much is locked or pending: pool, working set, the process's quota of either.
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NONPAGED_SYSTEM_RESOURCES:
    case ERROR_PAGED_SYSTEM_RESOURCES:
    case ERROR_WORKING_SET_QUOTA:
    case ERROR_PAGEFILE_QUOTA:
    case ERROR_NOT_ENOUGH_QUOTA:
      return Status::no_buffer_space;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_COMMITMENT_LIMIT:
      return Status::out_of_memory;
    case WSAEMFILE:
    case ERROR_TOO_MANY_OPEN_FILES:
      return Status::too_many_open_files;
    case WSAENAMETOOLONG:
      return Status::name_too_long;
    default:
      return status_of_file(error);
  }
}

Status status_from_kernel(unsigned long status) noexcept {
  switch (static_cast<NTSTATUS>(status)) {
    case STATUS_SUCCESS:
    // A message socket's word for "your buffer was full"; streams are never told it.
    case STATUS_RECEIVE_PARTIAL:
      return Status::ok;
    case STATUS_CANCELLED:
    case STATUS_HANDLES_CLOSED:
    case STATUS_FILE_CLOSED:
    case STATUS_REQUEST_ABORTED:
      return Status::cancelled;
    case STATUS_ACCESS_DENIED:
      return Status::access_denied;
    case STATUS_ADDRESS_ALREADY_EXISTS:
    case STATUS_ADDRESS_ALREADY_ASSOCIATED:
    case STATUS_SHARING_VIOLATION:
      return Status::address_in_use;
    case STATUS_INVALID_ADDRESS:
    case STATUS_INVALID_ADDRESS_COMPONENT:
      return Status::address_not_available;
    case STATUS_INVALID_PARAMETER:
    case STATUS_CONNECTION_ACTIVE:
      return Status::invalid_argument;
    case STATUS_NOT_SUPPORTED:
    case STATUS_NOT_IMPLEMENTED:
      return Status::not_supported;
    case STATUS_REMOTE_NOT_LISTENING:
    case STATUS_CONNECTION_REFUSED:
      return Status::connection_refused;
    case STATUS_CONNECTION_RESET:
    case STATUS_CONNECTION_DISCONNECTED:
    case STATUS_REMOTE_DISCONNECT:
    case STATUS_NETWORK_NAME_DELETED:
      return Status::connection_reset;
    case STATUS_CONNECTION_ABORTED:
    case STATUS_LOCAL_DISCONNECT:
    case STATUS_TRANSACTION_ABORTED:
      return Status::connection_aborted;
    case STATUS_PIPE_DISCONNECTED:
    case STATUS_GRACEFUL_DISCONNECT:
      return Status::broken_pipe;
    case STATUS_CONNECTION_INVALID:
    case STATUS_INVALID_CONNECTION:
      return Status::not_connected;
    case STATUS_TIMEOUT:
    case STATUS_IO_TIMEOUT:
    case STATUS_LINK_TIMEOUT:
    case STATUS_LINK_FAILED:
      return Status::timed_out;
    case STATUS_NETWORK_UNREACHABLE:
      return Status::network_unreachable;
    case STATUS_HOST_UNREACHABLE:
    case STATUS_HOST_DOWN:
    case STATUS_PROTOCOL_UNREACHABLE:
    case STATUS_PORT_UNREACHABLE:
    case STATUS_BAD_NETWORK_PATH:
      return Status::host_unreachable;
    case STATUS_INSUFFICIENT_RESOURCES:
    case STATUS_QUOTA_EXCEEDED:
    case STATUS_WORKING_SET_QUOTA:
    case STATUS_PAGEFILE_QUOTA:
    case STATUS_PAGEFILE_QUOTA_EXCEEDED:
    case STATUS_INSUFF_SERVER_RESOURCES:
    case STATUS_TOO_MANY_PAGING_FILES:
    case STATUS_REMOTE_RESOURCES:
      return Status::no_buffer_space;
    case STATUS_NO_MEMORY:
    case STATUS_COMMITMENT_LIMIT:
      return Status::out_of_memory;
    case STATUS_TOO_MANY_OPENED_FILES:
      return Status::too_many_open_files;
    case STATUS_DEVICE_NOT_READY:
      return Status::would_block;
    default:
      return kernel_status_of_file(status);
  }
}

}  // namespace iocp
