// The sendfile() of macOS and of FreeBSD on Linux, by reading and sending: what their manual pages say about lengths,
// headers and partial sends. Trailers are not imitated, for the backend sends none.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

namespace {

struct Outcome {
  off_t sent = 0;
  int error = 0;
};

// As much of `size` bytes as the socket takes now, in one try.
void send_some(int socket, const void* bytes, std::size_t size, Outcome* outcome) {
  const ssize_t sent = ::send(socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    outcome->error = errno;
  } else {
    outcome->sent += sent;
    // A non-blocking sendfile() that did not finish fails with EAGAIN and tells beside that what was sent.
    if (static_cast<std::size_t>(sent) < size) outcome->error = EAGAIN;
  }
}

// `length` 0: to the end of the file.
void send_file(int file, int socket, off_t offset, std::uint64_t length, Outcome* outcome) {
  std::array<std::uint8_t, 65536> bytes;
  std::uint64_t left = length == 0 ? UINT64_MAX : length;
  while (left > 0 && outcome->error == 0) {
    const ssize_t got =
        ::pread(file, bytes.data(), static_cast<std::size_t>(std::min<std::uint64_t>(left, bytes.size())), offset);
    if (got < 0) outcome->error = errno;
    if (got <= 0) return;
    send_some(socket, bytes.data(), static_cast<std::size_t>(got), outcome);
    offset += got;
    left -= static_cast<std::uint64_t>(got);
  }
}

std::size_t send_headers(int socket, const sf_hdtr* around, Outcome* outcome) {
  std::size_t size = 0;
  for (int i = 0; around != nullptr && i < around->hdr_cnt; ++i) {
    const iovec& header = around->headers[i];
    size += header.iov_len;
    if (outcome->error == 0) send_some(socket, header.iov_base, header.iov_len, outcome);
  }
  return size;
}

// Both systems want a socket that is connected.
bool is_connected(int socket) {
  sockaddr_storage peer = {};
  socklen_t length = sizeof(peer);
  return ::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &length) == 0;
}

int answer(const Outcome& outcome) {
  if (outcome.error == 0) return 0;
  errno = outcome.error;
  return -1;
}

}  // namespace

int sendfile(int file, int socket, off_t offset, off_t* length, sf_hdtr* around, int) {
  // Fails before it begins, and leaves *length alone.
  if (!is_connected(socket)) {
    errno = ENOTCONN;
    return -1;
  }
  Outcome outcome;
  const auto headers = static_cast<off_t>(send_headers(socket, around, &outcome));
  const bool to_the_end = *length == 0;
  if (outcome.error == 0 && (to_the_end || *length > headers)) {
    send_file(file, socket, offset, to_the_end ? 0 : static_cast<std::uint64_t>(*length - headers), &outcome);
  }
  *length = outcome.sent;
  return answer(outcome);
}

int sendfile(int file, int socket, off_t offset, std::size_t length, sf_hdtr* around, off_t* sent, int) {
  Outcome outcome;
  if (!is_connected(socket)) outcome.error = ENOTCONN;
  if (outcome.error == 0) send_headers(socket, around, &outcome);
  if (outcome.error == 0) send_file(file, socket, offset, length, &outcome);
  *sent = outcome.sent;
  return answer(outcome);
}
