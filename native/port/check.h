// Programmer errors. An operating error is a Status and is returned; a broken invariant stops the process
// here, in release builds too, with the expression and the place. Never use these for input.
#pragma once

namespace iocp {

// Prints one line to standard error and aborts. Safe from any thread.
[[noreturn]] void check_failed(const char* file, int line, const char* what) noexcept;

}  // namespace iocp

#define IOCP_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::iocp::check_failed(__FILE__, __LINE__, #condition))

#define IOCP_UNREACHABLE(reason) ::iocp::check_failed(__FILE__, __LINE__, "unreachable: " reason)

// For invariants that cost something to look at: on in debug and sanitizer builds only.
#if defined(IOCP_DEBUG_CHECKS)
#define IOCP_DCHECK(condition) IOCP_CHECK(condition)
#else
#define IOCP_DCHECK(condition) static_cast<void>(0)
#endif
