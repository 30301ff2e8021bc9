// Sending a file on Windows: TransmitFile() with the head in its own buffers, its work done by the kernel on whatever
// thread is at hand (TF_USE_KERNEL_APC). Client editions of Windows work on two such requests at a time and queue the
// rest.
#include <algorithm>

#include "port/iocp/iocp_port.h"
#include "port/iocp/windows_status.h"

namespace iocp {
namespace {

static_assert(sizeof(TRANSMIT_FILE_BUFFERS) <= sizeof(TransmitOperation::transmit_backend));

HANDLE handle_of(RawFile raw) { return reinterpret_cast<HANDLE>(static_cast<std::uintptr_t>(raw)); }

}  // namespace

void Port::State::count_transmit(std::uint32_t bytes) noexcept {
  if (bytes == 0) return;
  counters.transmits.add();
  counters.transmit_bytes.add(bytes);
}

// `operation` is submitted already and its fields are set.
Submission Port::State::start_transmit(TransmitOperation& operation, Socket& socket) noexcept {
  LARGE_INTEGER size = {};
  if (GetFileSizeEx(handle_of(operation.file), &size) == 0) {
    return reject(operation, status_from_windows(GetLastError()));
  }
  const auto end = static_cast<std::uint64_t>(size.QuadPart);
  const std::uint64_t there = end > operation.offset ? end - operation.offset : 0;
  // Asked for more than there is, TransmitFile() fails without telling what it has sent.
  const auto length = static_cast<DWORD>(std::min<std::uint64_t>(operation.length, there));
  if (length == 0 && operation.head.empty()) return reject(operation, Status::file_shrank);
  // Neither call writes through the pointer, and neither's structure can say so.
  auto* const head = const_cast<std::uint8_t*>(operation.head.data());
  const auto head_length = static_cast<DWORD>(operation.head.size());
  OVERLAPPED* const overlapped = &request_of(operation).overlapped;
  DWORD bytes = 0;
  bool failed = false;
  if (length == 0) {
    // A length of 0 would mean the whole file to TransmitFile().
    WSABUF buffer = {head_length, reinterpret_cast<char*>(head)};
    // Passes to the kernel, with the head.
    failed = WSASend(socket.handle, &buffer, 1, &bytes, 0, overlapped, nullptr) != 0;
  } else {
    auto* const buffers = new (operation.transmit_backend) TRANSMIT_FILE_BUFFERS();
    buffers->Head = head;
    buffers->HeadLength = head_length;
    overlapped->Offset = static_cast<DWORD>(operation.offset);
    overlapped->OffsetHigh = static_cast<DWORD>(operation.offset >> 32);
    const bool skips = socket.skips_success;
    // Passes to the kernel, with the head and the file.
    failed = winsock().transmit_file(socket.handle, handle_of(operation.file), length, 0, overlapped, buffers,
                                     TF_USE_KERNEL_APC) == 0;
    // Only then is the operation still this thread's.
    if (!failed && skips) bytes = static_cast<DWORD>(overlapped->InternalHigh);
  }
  const Submission answered = answer(operation, socket, failed, bytes);
  if (!answered.pending && answered.status == Status::ok) count_transmit(answered.bytes);
  return answered;
}

Submission Port::submit_transmit(TransmitOperation* operation, Socket* socket, const File& file, std::uint64_t offset,
                                 std::uint32_t length, ConstBytes head) noexcept {
  IOCP_CHECK(file.is_open());
  IOCP_CHECK((length != 0 || !head.empty()) && length <= kMostTransmitBytes && head.size() <= kMostTransmitBytes);
  begin(operation, OperationKind::transmit, socket);
  operation->head = head;
  operation->file = file.raw();
  operation->offset = offset;
  operation->length = length;
  if (offset > static_cast<std::uint64_t>(INT64_MAX) - length) {
    return state_->reject(*operation, Status::file_too_large);
  }
  return state_->start_transmit(*operation, *socket);
}

}  // namespace iocp
