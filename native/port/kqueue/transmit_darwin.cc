// Sending a file on macOS: its sendfile(), whose length goes in as what to send, the head included, and comes out as
// what was sent.
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
  const auto asked = static_cast<off_t>(head.size() + range.length);
  for (;;) {
    off_t length = asked;
    const int result =
        ::sendfile(range.fd, socket, static_cast<off_t>(range.offset), &length, head.empty() ? nullptr : &around, 0);
    if (result == 0) return static_cast<ssize_t>(length);
    // A call that fails before it begins leaves the length as it was: nothing was sent then.
    const off_t sent = length == asked ? 0 : length;
    if (sent == 0 && errno == EINTR) continue;
    return sent_or_error(static_cast<std::uint64_t>(sent));
  }
}

}  // namespace iocp
