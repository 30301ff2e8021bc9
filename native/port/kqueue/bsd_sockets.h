// What the sockets of macOS and FreeBSD have in common, beyond POSIX. Known in this folder only.
#pragma once

#include "port/posix/socket_posix.h"

namespace iocp {

// Whole seconds for a socket option, rounded up, at least one.
int option_seconds(std::uint32_t milliseconds) noexcept;
// TCP_NODELAY and the keep-alive options; `idle_option` is the system's name of the first delay. Sockets that are not
// TCP are left alone; connection_aborted = the peer has gone meanwhile.
Status apply_common_stream_options(int fd, const SocketOptions& options, int idle_option) noexcept;
// What sendfile() left in errno, and how much it had sent, as send_file_range() tells it.
ssize_t sent_or_error(std::uint64_t sent) noexcept;
// send() of a head without a file.
ssize_t send_head(int socket, ConstBytes head) noexcept;

}  // namespace iocp
