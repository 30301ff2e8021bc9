// Slabs, overflow and the doorbell flag behind Mailbox.
#include "core/mailbox.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/limits.h"
#include "port/check.h"

namespace iocp {

void Mailbox::Batch::clear() noexcept {
  ranges.clear();
  larges.clear();
  connected.clear();
  disconnected.clear();
  rewinds = false;
}

Mailbox::~Mailbox() {
  for (const LargePayload& payload : larges_) payload.free();
}

void Mailbox::supply(std::uint32_t index, std::uint8_t* memory, std::size_t bytes) {
  IOCP_CHECK(bytes >= kSlabBytesMin && bytes <= UINT32_MAX);
  IOCP_CHECK(reinterpret_cast<std::uintptr_t>(memory) % kRecordAlignment == 0);
  ScopedLock guard(mutex_);
  Slab slab;
  slab.index = index;
  slab.memory = memory;
  slab.size = static_cast<std::uint32_t>(bytes);
  slabs_.push_back(slab);
  if (current_ == nullptr) current_ = &slabs_.back();
  flush_overflow();
}

void Mailbox::take(Batch* batch) {
  batch->clear();
  ScopedLock guard(mutex_);
  for (Slab& slab : slabs_) {
    if (slab.taken == slab.written && !slab.full) continue;
    batch->ranges.push_back({slab.index, slab.taken, slab.written, slab.full});
    slab.taken = slab.written;
  }
  while (!slabs_.empty() && slabs_.front().full) slabs_.pop_front();
  batch->rewinds = !batch->ranges.empty() && current_ != nullptr && !current_->has_payloads;
  batch->larges.swap(larges_);
  batch->connected.swap(connected_);
  batch->disconnected.swap(disconnected_);
  large_bytes_ = 0;
  unseen_ = false;
  rung_ = false;
}

void Mailbox::were_read(const Batch& batch) {
  if (!batch.rewinds) return;
  ScopedLock guard(mutex_);
  if (current_ == nullptr || current_->has_payloads || current_->taken != current_->written) return;
  current_->taken = current_->written = 0;
}

bool Mailbox::has_events() const noexcept {
  ScopedLock guard(mutex_);
  return unseen_;
}

void Mailbox::discard_everything() {
  ScopedLock guard(mutex_);
  discarding_ = true;
  for (const Kept& kept : overflow_) {
    if (kept.subject != nullptr && kept.header.kind == static_cast<std::uint32_t>(RecordKind::disconnected)) {
      disconnected_.push_back(kept.subject);
    }
  }
  overflow_.clear();
  slabs_.clear();
  current_ = nullptr;
}

// Even when no other slab is at hand: the owner replaces what it gets back.
void Mailbox::retire_current() noexcept {
  current_->full = true;
  const auto next = std::find_if(slabs_.begin(), slabs_.end(), [](const Slab& slab) { return !slab.full; });
  current_ = next == slabs_.end() ? nullptr : &*next;
}

bool Mailbox::append_record(const RecordHeader& header, std::initializer_list<ConstBytes> parts,
                            ClientContext* subject) {
  std::uint8_t* at = reserve(record_bytes(header.length));
  if (at == nullptr) return false;
  std::memcpy(at, &header, sizeof header);
  at += sizeof header;
  for (const ConstBytes part : parts) {
    if (part.empty()) continue;
    std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  if (subject != nullptr) {
    const bool arrived = header.kind == static_cast<std::uint32_t>(RecordKind::connected);
    (arrived ? connected_ : disconnected_).push_back(subject);
  }
  return true;
}

void Mailbox::flush_overflow() {
  while (!overflow_.empty()) {
    const Kept& kept = overflow_.front();
    if (!append_record(kept.header, {ConstBytes(kept.body)}, kept.subject)) return;
    overflow_.pop_front();
  }
}

void Mailbox::control(RecordKind kind, std::uint32_t slot, std::uint32_t extra, std::initializer_list<ConstBytes> parts,
                      ClientContext* subject) {
  RecordHeader header = {};
  header.kind = static_cast<std::uint32_t>(kind);
  header.slot = slot;
  header.extra = extra;
  for (const ConstBytes part : parts) header.length += static_cast<std::uint32_t>(part.size());

  ScopedLock guard(mutex_);
  if (discarding_) {
    if (kind == RecordKind::disconnected && subject != nullptr) disconnected_.push_back(subject);
    return;
  }
  if (overflow_.empty() && append_record(header, parts, subject)) return;
  Kept kept;
  kept.header = header;
  kept.subject = subject;
  for (const ConstBytes part : parts) kept.body.insert(kept.body.end(), part.begin(), part.end());
  overflow_.push_back(std::move(kept));
  unseen_ = true;  // the owner must come and lend a slab
}

void Mailbox::poke() {
  ScopedLock guard(mutex_);
  unseen_ = true;
}

bool Mailbox::congested() const noexcept {
  ScopedLock guard(mutex_);
  return !overflow_.empty();
}

bool Mailbox::wants_ring() noexcept {
  ScopedLock guard(mutex_);
  if (!unseen_ || rung_) return false;
  rung_ = true;
  return true;
}

MutableBytes Mailbox::Writer::place(std::size_t wanted) noexcept {
  Mailbox& box = mailbox_;
  if (box.discarding_ || !box.overflow_.empty()) return {};
  while (box.current_ != nullptr) {
    const Slab& slab = *box.current_;
    const std::size_t room = (slab.size - slab.written) & ~(kRecordAlignment - 1);
    if (room >= std::min<std::size_t>(record_bytes(wanted), slab.size / 4)) {
      return {slab.memory + slab.written + sizeof(RecordHeader), room - sizeof(RecordHeader)};
    }
    box.unseen_ = true;
    box.retire_current();
  }
  return {};
}

bool Mailbox::Writer::full() const noexcept {
  return !mailbox_.discarding_ && (mailbox_.current_ == nullptr || !mailbox_.overflow_.empty());
}

void Mailbox::Writer::series(std::uint32_t slot, std::size_t bytes) {
  std::uint8_t* const at = mailbox_.reserve(record_bytes(bytes));
  IOCP_CHECK(at != nullptr);
  const RecordHeader header = {static_cast<std::uint32_t>(RecordKind::series), slot, static_cast<std::uint32_t>(bytes),
                               0};
  std::memcpy(at, &header, sizeof header);
  mailbox_.current_->has_payloads = true;
}

bool Mailbox::Writer::package(std::uint32_t slot, ConstBytes payload) {
  Mailbox& box = mailbox_;
  if (box.discarding_) return true;
  if (!box.overflow_.empty()) return false;
  std::uint8_t* at = box.reserve(record_bytes(payload.size()));
  if (at == nullptr) return false;
  const RecordHeader header = {static_cast<std::uint32_t>(RecordKind::package), slot,
                               static_cast<std::uint32_t>(payload.size()), 0};
  std::memcpy(at, &header, sizeof header);
  if (!payload.empty()) std::memcpy(at + sizeof header, payload.data(), payload.size());
  box.current_->has_payloads = true;
  return true;
}

bool Mailbox::Writer::large(std::uint32_t slot, const LargePayload& payload) {
  Mailbox& box = mailbox_;
  if (box.discarding_) {
    payload.free();
    return true;
  }
  if (!box.overflow_.empty() || box.large_bytes_ >= kLargeWaitingBytesMax) return false;
  // Memory of the C library is wrapped from the payload on; an arena is handed over whole.
  const bool shared = payload.arena != nullptr;
  const std::uint32_t place[] = {shared ? static_cast<std::uint32_t>(payload.length) : 0,
                                 shared ? payload.arena->offset_of(payload.payload) : 0};
  std::uint8_t* at = box.reserve(record_bytes(sizeof place));
  if (at == nullptr) return false;
  const RecordHeader header = {static_cast<std::uint32_t>(RecordKind::large), slot, sizeof place, 0};
  std::memcpy(at, &header, sizeof header);
  std::memcpy(at + sizeof header, place, sizeof place);
  box.larges_.push_back(payload);
  box.large_bytes_ += payload.length;
  return true;
}

}  // namespace iocp
