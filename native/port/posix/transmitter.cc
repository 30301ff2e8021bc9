// The turns of the thread that sends files: whoever has room sends a stretch and goes to the end of the queue.
#include "port/posix/transmitter.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <span>

#include "port/check.h"
#include "port/posix/descriptor.h"
#include "port/posix/socket_posix.h"

namespace iocp {
namespace {

constexpr std::size_t kEventBatch = 256;

// What one turn sends: a call that moves more would keep the next file, and on a kernel that does not interrupt system
// calls everybody else on this processor.
constexpr std::size_t kTurnBytes = 256 * 1024;

// A transmit that takes longer is finished with what it has sent by then, that its owner sees progress.
constexpr std::chrono::milliseconds kTellAfter{100};

int descriptor_of(RawFile raw) { return static_cast<int>(static_cast<std::uintptr_t>(raw)); }

// Signals are for the host's threads.
bool create_thread(pthread_t* thread, void* (*body)(void*), void* context) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  IOCP_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  const int result = pthread_create(thread, nullptr, body, context);
  IOCP_CHECK(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
  return result == 0;
}

}  // namespace

void Transmitter::Queue::push(Entry& entry) noexcept {
  entry.next = nullptr;
  if (head == nullptr) {
    head = &entry;
  } else {
    tail->next = &entry;
  }
  tail = &entry;
}

Transmitter::Entry* Transmitter::Queue::pop() noexcept {
  Entry* const first = head;
  if (first != nullptr) head = first->next;
  return first;
}

bool Transmitter::Queue::remove(const Entry& entry) noexcept {
  Entry* previous = nullptr;
  for (Entry* each = head; each != nullptr; previous = each, each = each->next) {
    if (each != &entry) continue;
    (previous == nullptr ? head : previous->next) = each->next;
    if (tail == each) tail = previous;
    return true;
  }
  return false;
}

// --- the stepping thread ---------------------------------------------------------------------------------------------

Transmitter::~Transmitter() { IOCP_CHECK(!started_); }

Status Transmitter::start() noexcept {
  if (started_) return Status::ok;
  if (poller_.open() != Status::ok) return Status::out_of_memory;
  const auto body = [](void* self) -> void* {
    static_cast<Transmitter*>(self)->run();
    return nullptr;
  };
  if (!create_thread(&thread_, body, this)) {
    poller_.close();
    return Status::out_of_memory;
  }
  started_ = true;
  return Status::ok;
}

Status Transmitter::give(TransmitOperation& operation, int fd) noexcept {
  bool wake = false;
  {
    const ScopedLock lock(lock_);
    Entry* const entry = take_entry();
    if (entry == nullptr || start() != Status::ok) return Status::out_of_memory;
    free_ = entry->next;
    entry->operation = &operation;
    entry->fd = fd;
    entry->begun = Clock::now();
    transmission(operation).entry = entry;
    due_.push(*entry);
    wake = std::exchange(asleep_, false);
  }
  if (wake) poller_.wake();
  return Status::ok;
}

Transmitter::Taken Transmitter::take_back(TransmitOperation& operation, bool close_after) noexcept {
  const ScopedLock lock(lock_);
  auto* const entry = static_cast<Entry*>(transmission(operation).entry);
  if (entry == nullptr) return Taken::finished;
  if (entry->running) {
    transmission(operation).cancelled = true;
    entry->close_after = entry->close_after || close_after;
    return Taken::later;
  }
  if (!entry->waiting) IOCP_CHECK(due_.remove(*entry));
  let_go(*entry);
  return Taken::back;
}

void Transmitter::stop() noexcept {
  if (!started_) return;
  stopping_.store(true, std::memory_order_release);
  poller_.wake();
  IOCP_CHECK(pthread_join(thread_, nullptr) == 0);
  started_ = false;
  poller_.close();
  const ScopedLock lock(lock_);
  IOCP_CHECK(due_.head == nullptr);
  while (entries_ != nullptr) delete std::exchange(entries_, entries_->all);
  free_ = nullptr;
  let_go_ = nullptr;
}

// The first of the free ones, which it stays until it is used.
Transmitter::Entry* Transmitter::take_entry() noexcept {
  if (free_ == nullptr) {
    free_ = new (std::nothrow) Entry();
    if (free_ != nullptr) free_->all = std::exchange(entries_, free_);
  }
  return free_;
}

// --- either thread ---------------------------------------------------------------------------------------------------

void Transmitter::let_go(Entry& entry) noexcept {
  transmission(*entry.operation).entry = nullptr;
  if (entry.watched) poller_.remove(entry.fd);
  if (entry.close_after) close_descriptor(entry.fd);
  entry.operation = nullptr;
  entry.waiting = false;
  entry.watched = false;
  entry.close_after = false;
  entry.next = std::exchange(let_go_, &entry);
}

// --- the transmitter's thread ----------------------------------------------------------------------------------------

void Transmitter::run() noexcept {
  prepare_thread_for_files();
  while (!stopping_.load(std::memory_order_acquire)) {
    look_for_room();
    Entry* entry = nullptr;
    {
      const ScopedLock lock(lock_);
      entry = due_.pop();
      if (entry != nullptr) entry->running = true;
    }
    if (entry != nullptr) serve(*entry);
  }
}

void Transmitter::look_for_room() noexcept {
  bool sleep = false;
  {
    const ScopedLock lock(lock_);
    sleep = due_.head == nullptr;
    asleep_ = sleep;
  }
  std::array<PollEvent, kEventBatch> events;
  const std::size_t count = poller_.wait(events, sleep ? -1 : 0);
  const ScopedLock lock(lock_);
  asleep_ = false;
  for (const PollEvent& event : std::span(events).first(count)) {
    auto* const entry = static_cast<Entry*>(event.key);
    if (entry == nullptr || !entry->waiting) continue;
    entry->waiting = false;
    due_.push(*entry);
  }
  while (let_go_ != nullptr) {
    Entry* const entry = std::exchange(let_go_, let_go_->next);
    entry->next = std::exchange(free_, entry);
  }
}

void Transmitter::serve(Entry& entry) noexcept {
  TransmitOperation& operation = *entry.operation;
  Transmission& state = transmission(operation);
  // Only this thread adds to it.
  const std::size_t before = state.bytes;
  const ConstBytes head = operation.head.subspan(std::min(before, operation.head.size()));
  const auto of_file = static_cast<std::uint32_t>(before - std::min(before, operation.head.size()));
  const std::uint32_t left = operation.length - of_file;
  const FileRange range = {descriptor_of(operation.file), operation.offset + of_file,
                           static_cast<std::uint32_t>(std::min<std::size_t>(left, kTurnBytes))};
  const ssize_t sent = send_file_range(entry.fd, head, range);
  const int error = sent < 0 ? errno : 0;
  {
    const ScopedLock lock(lock_);
    entry.running = false;
    if (sent > 0) state.bytes += static_cast<std::uint32_t>(sent);
    if (!state.cancelled && goes_on(entry, sent, error)) return;
    let_go(entry);
  }
  owner_.finished(owner_.context, operation);
}

bool Transmitter::takes_long(const Entry& entry) noexcept { return Clock::now() - entry.begun >= kTellAfter; }

// False: there is a result.
bool Transmitter::goes_on(Entry& entry, ssize_t sent, int error) noexcept {
  Transmission& state = transmission(*entry.operation);
  if (sent > 0) {
    if (state.bytes == entry.operation->head.size() + entry.operation->length || takes_long(entry)) return false;
    // Less than asked may mean a full socket or a short file; only the next call can tell.
    due_.push(entry);
    return true;
  }
  if (error == EAGAIN) {
    ++state.blocked;
    if (state.bytes > 0 && takes_long(entry)) return false;
    if (!entry.watched) entry.watched = poller_.add_writable(entry.fd, &entry) == Status::ok;
    entry.waiting = entry.watched;
    if (!entry.watched) state.error = ENOMEM;
    return entry.watched;
  }
  // After some bytes the next transmit meets it again, and tells it.
  state.shrank = sent == 0;
  state.error = error;
  return false;
}

}  // namespace iocp
