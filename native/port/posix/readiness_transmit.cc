// Files on a socket of a readiness system. The system's own call is in a file of each backend folder; what its answers
// mean for the socket is here.
#include <cerrno>

#include "port/posix/errno_status.h"
#include "port/posix/readiness_port.h"

namespace iocp {
namespace {

constexpr Submission kPending = {true, Status::ok, 0};

// Errors of reading the file: they say nothing about the connection.
bool concerns_the_file(int error) {
  return error == EIO || error == EINVAL || error == EOVERFLOW || error == ENOMEM || error == ENOSYS;
}

int descriptor_of(RawFile raw) { return static_cast<int>(static_cast<std::uintptr_t>(raw)); }

}  // namespace

Status Port::State::transmit(Socket& socket, TransmitOperation& operation, std::uint32_t* bytes) noexcept {
  *bytes = 0;
  if (!socket.is(kSentFiles)) {
    prepare_for_files(socket.fd);
    socket.set(kSentFiles);
  }
  if (!socket.is(kWritable)) return await_room(socket);
  const FileRange range = {descriptor_of(operation.file), operation.offset, operation.length};
  const ssize_t sent = send_file_range(socket.fd, operation.head, range);
  if (sent > 0) {
    // Less than asked may mean a full socket or a short file; only the next call can tell, so kWritable stays.
    *bytes = static_cast<std::uint32_t>(sent);
    counters.transmits.add();
    counters.transmit_bytes.add(*bytes);
    return Status::ok;
  }
  if (sent == 0) return Status::file_shrank;
  const int error = errno;
  if (error == EAGAIN) {
    counters.blocked_writes.add();
    socket.clear(kWritable);
    return await_room(socket);
  }
  if (concerns_the_file(error)) return status_from_errno(error);
  // As after a write: EPIPE is the echo of what ended the connection.
  if (error == EPIPE) return socket.is(kFailed) ? socket.error : Status::broken_pipe;
  return remember(socket, status_from_errno(error));
}

Submission Port::submit_transmit(TransmitOperation* operation, Socket* socket, const File& file, std::uint64_t offset,
                                 std::uint32_t length, ConstBytes head) noexcept {
  IOCP_CHECK(socket->outbound == nullptr && file.is_open());
  IOCP_CHECK((length != 0 || !head.empty()) && length <= kMostTransmitBytes && head.size() <= kMostTransmitBytes);
  begin(operation, OperationKind::transmit);
  operation->head = head;
  operation->file = file.raw();
  operation->offset = offset;
  operation->length = length;
  if (offset > static_cast<std::uint64_t>(INT64_MAX) - length) return finish(operation, Status::file_too_large, 0);
  std::uint32_t bytes = 0;
  const Status status = state_->transmit(*socket, *operation, &bytes);
  if (status != Status::would_block) return finish(operation, status, bytes);
  socket->outbound = operation;
  return kPending;
}

}  // namespace iocp
