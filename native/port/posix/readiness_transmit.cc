// Files on a socket of a readiness system: the short ones are sent at once, the others are the transmitter's. What the
// system's answers mean for the socket is here.
#include <cerrno>

#include "port/posix/errno_status.h"
#include "port/posix/readiness_port.h"

namespace iocp {
namespace {

constexpr Submission kPending = {true, Status::ok, 0};

// Up to here the two changes of thread would cost more than the bytes.
constexpr std::size_t kShortTransmitBytes = 64 * 1024;

// Errors of reading the file: they say nothing about the connection.
bool concerns_the_file(int error) {
  return error == EIO || error == EINVAL || error == EOVERFLOW || error == ENOMEM || error == ENOSYS;
}

int descriptor_of(RawFile raw) { return static_cast<int>(static_cast<std::uintptr_t>(raw)); }

}  // namespace

Status Port::State::transmit_at_once(Socket& socket, TransmitOperation& operation, std::uint32_t* bytes) noexcept {
  *bytes = 0;
  if (!socket.is(kWritable) || operation.head.size() + operation.length > kShortTransmitBytes) {
    return Status::would_block;
  }
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
  if (error != EAGAIN) return after_transmit_failed(socket, error);
  counters.blocked_writes.add();
  return Status::would_block;
}

Status Port::State::after_transmit_failed(Socket& socket, int error) noexcept {
  if (concerns_the_file(error)) return status_from_errno(error);
  // As after a write: EPIPE is the echo of what ended the connection.
  if (error == EPIPE) return socket.is(kFailed) ? socket.error : Status::broken_pipe;
  return remember(socket, status_from_errno(error));
}

// --- to the transmitter and back -------------------------------------------------------------------------------------

Status Port::State::give_away(Socket& socket, TransmitOperation& operation) noexcept {
  new (operation.transmit_backend) Transmission();
  transmission(operation).socket = &socket;
  if (!socket.is(kRoomIgnored)) {
    poller.ignore_writable(socket.fd, &socket);
    socket.set(kRoomIgnored);
  }
  const Status status = transmitter.give(operation, socket.fd);
  if (status == Status::ok) socket.outbound = &operation;
  return status;
}

// The transmitter's thread.
void Port::State::on_transmitted(void* self, TransmitOperation& operation) noexcept {
  State& state = *static_cast<State*>(self);
  bool first = false;
  {
    const ScopedLock lock(state.posted_lock);
    first = state.add_posted(operation);
  }
  if (first) state.poller.wake();
}

void Port::State::complete_transmit(TransmitOperation& operation) noexcept {
  const Transmission result = transmission(operation);
  counters.blocked_writes.add(result.blocked);
  if (result.bytes > 0) counters.transmits.add();
  counters.transmit_bytes.add(result.bytes);
  Status status = Status::ok;
  if (result.socket != nullptr) {
    result.socket->outbound = nullptr;
    // Perhaps it is; the next write finds out.
    result.socket->set(kWritable);
  }
  if (result.bytes == 0) {
    if (result.cancelled || result.socket == nullptr) {
      status = Status::cancelled;
    } else if (result.shrank) {
      status = Status::file_shrank;
    } else {
      status = after_transmit_failed(*result.socket, result.error);
    }
  }
  deliver(operation, status, result.bytes);
}

void Port::State::cancel_transmit(TransmitOperation& operation, Socket& socket) noexcept {
  if (socket.outbound != &operation) return;
  // While a call is going on the result comes by itself.
  if (transmitter.take_back(operation, false) != Transmitter::Taken::back) return;
  transmission(operation).cancelled = true;
  complete_transmit(operation);
}

bool Port::State::abandon_transmit(TransmitOperation& operation, Socket& socket) noexcept {
  IOCP_DCHECK(socket.outbound == &operation);
  const Transmitter::Taken taken = transmitter.take_back(operation, true);
  transmission(operation).socket = nullptr;
  socket.outbound = nullptr;
  if (taken == Transmitter::Taken::back) complete_transmit(operation);
  return taken == Transmitter::Taken::later;
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
  if (!socket->is(kSentFiles)) {
    prepare_for_files(socket->fd);
    socket->set(kSentFiles);
  }
  std::uint32_t bytes = 0;
  const Status at_once = state_->transmit_at_once(*socket, *operation, &bytes);
  if (at_once != Status::would_block) return finish(operation, at_once, bytes);
  const Status given = state_->give_away(*socket, *operation);
  return given == Status::ok ? kPending : finish(operation, given, 0);
}

}  // namespace iocp
