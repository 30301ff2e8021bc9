// The segment list behind SendQueue.
#include "core/send_queue.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "port/check.h"

namespace iocp {
namespace {

// What stands in for the bytes of a file that failed.
constexpr std::array<std::uint8_t, 16 * 1024> kZeros = {};

}  // namespace

SendQueue::~SendQueue() { IOCP_CHECK(head_ == nullptr); }

SendQueue::Segment* SendQueue::make_pooled(BufferPool& pool) noexcept {
  void* memory = pool.acquire();
  if (memory == nullptr) return nullptr;
  auto* segment = new (memory) Segment;
  segment->begin = segment->storage();
  segment->room = pool.buffer_bytes() - sizeof(Segment);
  return segment;
}

void SendQueue::release(BufferPool& pool, Segment* segment) noexcept {
  if (segment->shared == nullptr && segment->file == nullptr) {
    pool.release(segment);
    return;
  }
  if (segment->shared != nullptr) segment->shared->release();
  delete segment->file;
  delete segment;
}

void SendQueue::push(Segment* segment) noexcept {
  if (tail_ == nullptr) {
    head_ = segment;
  } else {
    tail_->next = segment;
  }
  tail_ = segment;
}

bool SendQueue::append_copy(BufferPool& pool, std::initializer_list<ConstBytes> parts) noexcept {
  std::uint64_t total = 0;
  for (const ConstBytes part : parts) total += part.size();

  // Take all the buffers first, so that running out of memory leaves the queue as it was.
  Segment* fresh_head = nullptr;
  Segment* fresh_tail = nullptr;
  std::uint64_t room = tail_ == nullptr ? 0 : tail_->room;
  while (room < total) {
    Segment* segment = make_pooled(pool);
    if (segment == nullptr) {
      while (fresh_head != nullptr) {
        Segment* next = fresh_head->next;
        release(pool, fresh_head);
        fresh_head = next;
      }
      return false;
    }
    room += segment->room;
    (fresh_tail == nullptr ? fresh_head : fresh_tail->next) = segment;
    fresh_tail = segment;
  }

  Segment* into = tail_ != nullptr && tail_->room > 0 ? tail_ : fresh_head;
  if (fresh_head != nullptr) {
    push(fresh_head);
    tail_ = fresh_tail;
  }
  for (ConstBytes part : parts) {
    while (!part.empty()) {
      if (into->room == 0) into = into->next;
      const std::size_t count = std::min(part.size(), into->room);
      // `begin` may have advanced, but begin + length is always the end of what was copied in.
      std::memcpy(const_cast<std::uint8_t*>(into->begin) + into->length, part.data(), count);
      into->length += count;
      into->room -= count;
      part = part.subspan(count);
    }
  }
  queued_bytes_ += total;
  stream_bytes_ += total;
  return true;
}

bool SendQueue::append_shared(SharedBytes* bytes) noexcept {
  if (bytes->length() == 0) return true;
  auto* segment = new (std::nothrow) Segment;
  if (segment == nullptr) return false;
  bytes->add_reference();
  segment->shared = bytes;
  segment->begin = bytes->data();
  segment->length = bytes->length();
  push(segment);
  queued_bytes_ += bytes->length();
  stream_bytes_ += bytes->length();
  return true;
}

bool SendQueue::append_file(std::unique_ptr<FilePiece> piece) noexcept {
  auto* segment = new (std::nothrow) Segment;
  if (segment == nullptr) return false;
  stream_bytes_ += piece->length + piece->head_length;
  segment->file = piece.release();
  push(segment);
  return true;
}

std::size_t SendQueue::gather(std::span<ConstBytes> slices) const noexcept {
  std::size_t count = 0;
  for (const Segment* segment = head_; segment != nullptr && count < slices.size(); segment = segment->next) {
    if (segment->file == nullptr) {
      slices[count++] = ConstBytes(segment->begin, segment->length);
      continue;
    }
    // A head that is out was followed by some of its file, or is followed by zeros now.
    const FilePiece& piece = *segment->file;
    if (!piece.zeros) return count;
    if (!piece.head_rest().empty()) {
      slices[count++] = piece.head_rest();
      return count;
    }
    slices[count++] =
        ConstBytes(kZeros).first(static_cast<std::size_t>(std::min<std::uint64_t>(piece.length, kZeros.size())));
    return count;
  }
  return count;
}

std::unique_ptr<FilePiece> SendQueue::consume(BufferPool& pool, std::uint64_t bytes) noexcept {
  IOCP_CHECK(bytes <= stream_bytes_);
  stream_bytes_ -= bytes;
  std::unique_ptr<FilePiece> finished;
  while (bytes > 0) {
    Segment* segment = head_;
    if (segment->file != nullptr) {
      bytes -= advance(*segment->file, bytes);
      if (segment->file->length > 0 || !segment->file->head_rest().empty()) return finished;
      finished.reset(segment->file);
      segment->file = nullptr;
      pop_front();
      delete segment;
      continue;
    }
    if (bytes < segment->length) {
      segment->begin += bytes;
      segment->length -= static_cast<std::size_t>(bytes);
      queued_bytes_ -= bytes;
      return finished;
    }
    bytes -= segment->length;
    queued_bytes_ -= segment->length;
    pop_front();
    release(pool, segment);
  }
  return finished;
}

std::uint64_t SendQueue::advance(FilePiece& piece, std::uint64_t bytes) noexcept {
  const std::uint64_t of_head = std::min<std::uint64_t>(bytes, piece.head_length - piece.head_sent);
  piece.head_sent += static_cast<std::uint32_t>(of_head);
  const std::uint64_t of_file = std::min(bytes - of_head, piece.length);
  piece.offset += of_file;
  piece.length -= of_file;
  return of_head + of_file;
}

void SendQueue::pop_front() noexcept {
  head_ = head_->next;
  if (head_ == nullptr) tail_ = nullptr;
}

void SendQueue::clear(BufferPool& pool) noexcept {
  while (head_ != nullptr) {
    Segment* segment = head_;
    head_ = segment->next;
    release(pool, segment);
  }
  tail_ = nullptr;
  queued_bytes_ = 0;
  stream_bytes_ = 0;
}

}  // namespace iocp
