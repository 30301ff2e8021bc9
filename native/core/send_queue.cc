// The segment list behind SendQueue.
#include "core/send_queue.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "port/check.h"

namespace iocp {

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
  if (segment->shared == nullptr) {
    pool.release(segment);
    return;
  }
  segment->shared->release();
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
  return true;
}

std::size_t SendQueue::gather(std::span<ConstBytes> slices) const noexcept {
  std::size_t count = 0;
  for (const Segment* segment = head_; segment != nullptr && count < slices.size(); segment = segment->next) {
    slices[count++] = ConstBytes(segment->begin, segment->length);
  }
  return count;
}

void SendQueue::consume(BufferPool& pool, std::uint64_t bytes) noexcept {
  IOCP_CHECK(bytes <= queued_bytes_);
  queued_bytes_ -= bytes;
  while (bytes > 0) {
    Segment* segment = head_;
    if (bytes < segment->length) {
      segment->begin += bytes;
      segment->length -= static_cast<std::size_t>(bytes);
      return;
    }
    bytes -= segment->length;
    head_ = segment->next;
    if (head_ == nullptr) tail_ = nullptr;
    release(pool, segment);
  }
}

void SendQueue::clear(BufferPool& pool) noexcept {
  while (head_ != nullptr) {
    Segment* segment = head_;
    head_ = segment->next;
    release(pool, segment);
  }
  tail_ = nullptr;
  queued_bytes_ = 0;
}

}  // namespace iocp
