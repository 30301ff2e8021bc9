// Cutting a file into pieces, and letting go of what a context held.
#include "core/file_transfer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace iocp {

ContextFiles::~ContextFiles() { std::free(raw_buffer); }

void ContextFiles::take_out(std::vector<FileTransferPointer>& list, const FileTransfer& transfer) noexcept {
  std::erase_if(list, [&](const FileTransferPointer& one) { return one.get() == &transfer; });
}

std::unique_ptr<FilePiece> next_piece(const FileTransferPointer& transfer, const Framing& framing) noexcept {
  FileTransfer& file = *transfer;
  std::uint64_t length = file.end - file.next;
  if (!file.raw) {
    const std::uint64_t most = std::min<std::uint64_t>(kFileChunkBytes, framing.max_length - kFileChunkHeadBytes);
    length = std::min({length, most, file.credit});
  }
  if (length == 0) return nullptr;
  std::unique_ptr<FilePiece> piece(new (std::nothrow) FilePiece);
  if (piece == nullptr) return nullptr;
  if (!file.raw) {
    Envelope envelope;
    if (!encode_length_header(framing, kFileChunkHeadBytes + length, &envelope)) return nullptr;
    std::memcpy(piece->head.data(), envelope.header.data(), envelope.header_bytes);
    std::uint8_t* const at = piece->head.data() + envelope.header_bytes;
    at[0] = kFileChunkType;
    for (std::uint32_t i = 0; i < 4; ++i) at[1 + i] = static_cast<std::uint8_t>(file.id >> (8 * i));
    piece->head_length = envelope.header_bytes + static_cast<std::uint32_t>(kFileChunkHeadBytes);
    file.credit -= length;
  }
  piece->transfer = transfer;
  piece->offset = file.next;
  piece->length = length;
  file.next += length;
  file.piece_queued = true;
  return piece;
}

}  // namespace iocp
