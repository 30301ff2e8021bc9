// One file on its way, out or in. It is shared by the engine's owner, who named it, the context it travels on and the
// disk queue, and lives until the last of them lets go. Plain state; the reactions are in engine_files.cc,
// worker_files.cc and disk_queue.cc. No bytes of a file ever pass the owner's thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/framing.h"
#include "core/limits.h"
#include "port/file.h"
#include "port/port.h"

namespace iocp {

class ClientContext;
class Lane;

// What a `file` record tells its owner.
enum class FileEvent : std::uint32_t {
  opened = 1,    // source: value = size, extra = modified ms. target: value = bytes there already
  written = 2,   // value = bytes of the file that are on the disk (target)
  sent = 3,      // the last byte was given to the system (source)
  checked = 4,   // value = CRC-32C of the whole content (source)
  finished = 5,  // the file has its final name, which is the text; value = its CRC-32C (target)
  failed = 6,    // status says why; nothing more follows
};

// What becomes of a file that has the wanted name already.
enum class OnExists : std::uint8_t { refuse = 0, overwrite = 1, rename = 2 };

// Where a received file goes.
struct FileTarget {
  std::string directory;
  std::string name;
  std::uint64_t size = 0;
  OnExists on_exists = OnExists::refuse;
  bool resume = false;   // go on with name.part, and leave it there when the transfer fails
  bool checked = false;  // compute the CRC-32C of what is written
  bool durable = false;  // wait for the disk before the file gets its name
};

struct FileTransfer {
  FileTransfer(std::uint32_t token_of, bool sending_of, Lane& lane_of, std::uint32_t slot_of,
               std::uint32_t generation_of)
      : token(token_of), sending(sending_of), lane(lane_of), slot(slot_of), generation(generation_of) {}
  FileTransfer(const FileTransfer&) = delete;
  FileTransfer& operator=(const FileTransfer&) = delete;

  const std::uint32_t token;
  const bool sending;
  Lane& lane;
  const std::uint32_t slot;
  const std::uint32_t generation;

  // --- the disk queue's, one job at a time (the port only names `file` while a transmit is pending) ---------------
  File file;
  std::string path;  // source
  Folder folder;     // target
  FileTarget target;
  std::string part_name;
  bool has_part = false;  // that file is this transfer's
  std::uint32_t check = 0;
  std::uint64_t checked_to = 0;
  std::uint64_t check_begin = 0;
  std::uint64_t check_length = 0;
  std::uint64_t on_disk = 0;
  std::uint64_t told = 0;  // of on_disk, by the last `written` record
  bool over = false;       // finished or failed: what still comes is thrown away

  // --- under the context's lock -----------------------------------------------------------------------------------
  std::uint32_t id = 0;        // in the heads of its chunks
  bool raw = false;            // one run of bytes without heads
  bool piece_queued = false;   // source: in the send queue
  std::uint64_t next = 0;      // source: where the next piece begins, in the file
  std::uint64_t end = 0;       // source: where the last one ends
  std::uint64_t credit = 0;    // bytes that may still be sent, or may still arrive
  std::uint64_t expected = 0;  // target: bytes that are still to arrive

  // --- anybody's -----------------------------------------------------------------------------------------------------
  std::atomic<bool> stopped{false};
  std::atomic<std::uint64_t> moved{0};                  // source: bytes given to the system; target: written
  std::atomic<std::uint64_t> to_disk{0};                // target: bytes on their way to the disk
  std::atomic<ClientContext*> waits_for_disk{nullptr};  // not read from until to_disk is low; holds a reference
};

using FileTransferPointer = std::shared_ptr<FileTransfer>;

// A stretch of a file in a send queue, behind the head that announces it.
struct FilePiece {
  FileTransferPointer transfer;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // of the file, what is left
  std::array<std::uint8_t, 160> head = {};
  std::uint32_t head_length = 0;
  std::uint32_t head_sent = 0;
  // The file failed after the head went out: zeros fill the package, and the peer is told that they are none of it.
  bool zeros = false;

  ConstBytes head_rest() const noexcept { return ConstBytes(head).subspan(head_sent, head_length - head_sent); }
};

// A package of a logical worker's that waits until a classic file is over.
struct HeldPackage {
  std::vector<std::uint8_t> payload;
  std::uint32_t flags = 0;
};

// What a context that sends or receives files has beside the others.
struct ContextFiles {
  std::vector<FileTransferPointer> sending;
  std::vector<FileTransferPointer> receiving;
  TransmitOperation transmit;
  bool transmitting = false;
  // The raw run: that many bytes are not packages but this file's.
  FileTransferPointer raw;
  std::uint64_t raw_left = 0;
  std::uint8_t* raw_buffer = nullptr;  // malloc
  std::size_t raw_capacity = 0;
  std::size_t raw_filled = 0;
  // The peer would take a package for the file that was announced to it: what others than the owner send waits.
  bool holds_others = false;
  std::vector<HeldPackage> held;
  std::uint64_t held_bytes = 0;

  ContextFiles() = default;
  ~ContextFiles();
  ContextFiles(const ContextFiles&) = delete;
  ContextFiles& operator=(const ContextFiles&) = delete;

  static void take_out(std::vector<FileTransferPointer>& list, const FileTransfer& transfer) noexcept;
};

// The type byte of a chunk, and how long the head inside its payload is: the type and the transfer's id.
constexpr std::uint8_t kFileChunkType = 19;
constexpr std::size_t kFileChunkHeadBytes = 5;

inline bool is_file_chunk(ConstBytes payload) noexcept {
  return payload.size() >= kFileChunkHeadBytes && payload[0] == kFileChunkType;
}
inline std::uint32_t file_chunk_id(ConstBytes payload) noexcept {
  return static_cast<std::uint32_t>(payload[1]) | static_cast<std::uint32_t>(payload[2]) << 8 |
         static_cast<std::uint32_t>(payload[3]) << 16 | static_cast<std::uint32_t>(payload[4]) << 24;
}

// The next piece of what `transfer` sends, or null: nothing is left, no credit, or no memory.
std::unique_ptr<FilePiece> next_piece(const FileTransferPointer& transfer, const Framing& framing) noexcept;

}  // namespace iocp
