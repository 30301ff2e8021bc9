// Sending a file on FreeBSD: its sendfile(), which takes the head along and tells in `sbytes` what was sent of both.
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cerrno>

#include "port/kqueue/bsd_sockets.h"

namespace iocp {

ssize_t send_file_range(int socket, ConstBytes head, const FileRange& range) noexcept {
  // A length of 0 would mean the rest of the file.
  if (range.length == 0) return send_head(socket, head);
  // The call only reads it; iovec serves readers as well and cannot say so.
  iovec first = {const_cast<std::uint8_t*>(head.data()), head.size()};
  sf_hdtr around = {&first, 1, nullptr, 0};
  for (;;) {
    off_t sent = 0;
    // The head is sent in addition to the length, not as a part of it.
    const int result = ::sendfile(range.fd, socket, static_cast<off_t>(range.offset), std::size_t{range.length},
                                  head.empty() ? nullptr : &around, &sent, 0);
    if (result == 0) return static_cast<ssize_t>(sent);
    if (sent == 0 && errno == EINTR) continue;
    return sent_or_error(static_cast<std::uint64_t>(sent));
  }
}

}  // namespace iocp
