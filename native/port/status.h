// The engine's error values. One list serves every room: a backend translates the system's numbers into
// these names, the core adds its own, and the binding hands name and message to JavaScript unchanged.
// Nothing here knows an operating system; translation lives in each backend (e.g. posix/errno_status.cc).
#pragma once

#include <cstdint>

namespace iocp {

// X(enumerator, code as Node.js spells it, message)
#define IOCP_STATUS_LIST(X)                                                                               \
  X(ok, "OK", "success")                                                                                  \
  X(would_block, "EAGAIN", "resource temporarily unavailable")                                            \
  X(cancelled, "ECANCELED", "operation canceled")                                                         \
  X(access_denied, "EACCES", "permission denied")                                                         \
  X(not_permitted, "EPERM", "operation not permitted")                                                    \
  X(address_in_use, "EADDRINUSE", "address already in use")                                               \
  X(address_not_available, "EADDRNOTAVAIL", "address not available")                                      \
  X(address_family_not_supported, "EAFNOSUPPORT", "address family not supported")                         \
  X(invalid_argument, "EINVAL", "invalid argument")                                                       \
  X(not_supported, "ENOTSUP", "operation not supported on socket")                                        \
  X(connection_refused, "ECONNREFUSED", "connection refused")                                             \
  X(connection_reset, "ECONNRESET", "connection reset by peer")                                           \
  X(connection_aborted, "ECONNABORTED", "software caused connection abort")                               \
  X(broken_pipe, "EPIPE", "broken pipe")                                                                  \
  X(not_connected, "ENOTCONN", "socket is not connected")                                                 \
  X(timed_out, "ETIMEDOUT", "connection timed out")                                                       \
  X(network_down, "ENETDOWN", "network is down")                                                          \
  X(network_unreachable, "ENETUNREACH", "network is unreachable")                                         \
  X(host_unreachable, "EHOSTUNREACH", "host is unreachable")                                              \
  X(no_buffer_space, "ENOBUFS", "no buffer space available")                                              \
  X(out_of_memory, "ENOMEM", "not enough memory")                                                         \
  X(too_many_open_files, "EMFILE", "too many open files")                                                 \
  X(file_table_full, "ENFILE", "file table overflow")                                                     \
  X(not_found, "ENOENT", "no such file or directory")                                                     \
  X(name_too_long, "ENAMETOOLONG", "name too long")                                                       \
  X(io_error, "EIO", "i/o error")                                                                         \
  X(already_exists, "EEXIST", "file already exists")                                                      \
  X(is_a_directory, "EISDIR", "illegal operation on a directory")                                         \
  X(no_space, "ENOSPC", "no space left on device")                                                        \
  X(file_too_large, "EFBIG", "file too large")                                                            \
  X(too_many_links, "ELOOP", "too many symbolic links encountered")                                       \
  X(resource_busy, "EBUSY", "resource busy or locked")                                                    \
  X(not_a_file, "ERR_IOCP_NOT_A_FILE", "the path is not a regular file")                                  \
  X(file_shrank, "ERR_IOCP_FILE_SHRANK", "the file became shorter while it was being sent")               \
  X(unknown_system_error, "UNKNOWN", "unknown system error")                                              \
  X(package_too_large, "ERR_IOCP_PACKAGE_TOO_LARGE", "the peer announced a package of an illegal length") \
  X(protocol_violation, "ERR_IOCP_PROTOCOL", "the peer broke the rules of the file transfer")             \
  X(check_failed, "ERR_IOCP_CHECK_FAILED", "what arrived is not what was sent")                           \
  X(package_incomplete, "ERR_IOCP_PACKAGE_INCOMPLETE", "the peer closed in the middle of a package")      \
  X(gone, "ERR_IOCP_GONE", "the context is gone")                                                         \
  X(queue_overflow, "ERR_IOCP_QUEUE_OVERFLOW", "maxQueuedBytes was exceeded: the peer reads too slowly")  \
  X(peer_closed, "ERR_IOCP_PEER_CLOSED", "the peer closed the connection")                                \
  X(disconnected, "ERR_IOCP_DISCONNECTED", "this side disconnected")                                      \
  X(closed, "ERR_IOCP_CLOSED", "the engine is closed")                                                    \
  X(max_connections, "ERR_IOCP_MAX_CONNECTIONS", "maxConnections is reached")                             \
  X(banned, "ERR_IOCP_BANNED", "the address is on the block list")                                        \
  X(worker_died, "ERR_IOCP_WORKER_DIED", "the logical worker that served the connection ended")

enum class Status : std::uint8_t {
#define IOCP_STATUS_ENUMERATOR(name, code, message) name,
  IOCP_STATUS_LIST(IOCP_STATUS_ENUMERATOR)
#undef IOCP_STATUS_ENUMERATOR
};

// The code as Node.js spells it ("ECONNRESET", "ERR_IOCP_GONE"); never null.
const char* status_code(Status status) noexcept;

// An English sentence fragment, lower case, no full stop; never null.
const char* status_message(Status status) noexcept;

// How many enumerators there are; valid values are 0 … status_count() - 1.
std::uint8_t status_count() noexcept;

}  // namespace iocp
