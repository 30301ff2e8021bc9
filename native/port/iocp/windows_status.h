// The one table from Windows' error numbers to Status: Winsock's and Win32's, as calls return them, and the kernel's
// own (NTSTATUS), as completions carry them. Nothing else in this folder compares error numbers with a Status.
#pragma once

#include "port/status.h"

namespace iocp {

// Of WSAGetLastError() and GetLastError().
Status status_from_windows(unsigned long error) noexcept;

// Of OVERLAPPED::Internal. The socket may be closed by then, so WSAGetOverlappedResult() cannot be asked.
Status status_from_kernel(unsigned long status) noexcept;

}  // namespace iocp
