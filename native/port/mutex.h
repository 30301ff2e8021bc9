// Locks that Clang's thread-safety analysis understands. Every lock in the project is one of these, so the
// analysed build sees who guards what; under other compilers the annotations vanish.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#if defined(__clang__)
#define IOCP_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define IOCP_THREAD_ATTRIBUTE(x)
#endif

#define IOCP_CAPABILITY(name) IOCP_THREAD_ATTRIBUTE(capability(name))
#define IOCP_SCOPED_CAPABILITY IOCP_THREAD_ATTRIBUTE(scoped_lockable)
#define IOCP_GUARDED_BY(lock) IOCP_THREAD_ATTRIBUTE(guarded_by(lock))
#define IOCP_PT_GUARDED_BY(lock) IOCP_THREAD_ATTRIBUTE(pt_guarded_by(lock))
#define IOCP_REQUIRES(...) IOCP_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define IOCP_EXCLUDES(...) IOCP_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define IOCP_ACQUIRE(...) IOCP_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define IOCP_RELEASE(...) IOCP_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define IOCP_TRY_ACQUIRE(...) IOCP_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define IOCP_NO_THREAD_SAFETY_ANALYSIS IOCP_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace iocp {

class IOCP_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() IOCP_ACQUIRE() { mutex_.lock(); }
  void unlock() IOCP_RELEASE() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

// Sleep and wake on a word of memory, by the system's own means: std::atomic's wait() loses wake-ups where libstdc++
// 12 finds no futex (MinGW), for it looks at the word before it takes the lock it sleeps with. Each system's folder
// defines these in word_wait.cc. wait_on_word() may return for no reason; wake_word() wakes one sleeper at least.
void wait_on_word(const std::atomic<std::uint32_t>& word, std::uint32_t while_it_is) noexcept;
void wake_word(std::atomic<std::uint32_t>& word) noexcept;

// Four bytes rather than forty, for objects that exist in tens of thousands. Fair enough for locks that are
// held for microseconds and hardly ever contended; waits in the kernel, never spins for long.
class IOCP_CAPABILITY("mutex") CompactMutex {
 public:
  CompactMutex() = default;
  CompactMutex(const CompactMutex&) = delete;
  CompactMutex& operator=(const CompactMutex&) = delete;

  void lock() IOCP_ACQUIRE() {
    std::uint32_t expected = kFree;
    if (state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire)) return;
    // Mark the lock contended before sleeping, so that unlock() knows somebody must be woken.
    while (state_.exchange(kContended, std::memory_order_acquire) != kFree) {
      wait_on_word(state_, kContended);
    }
  }

  void unlock() IOCP_RELEASE() {
    if (state_.exchange(kFree, std::memory_order_release) == kContended) wake_word(state_);
  }

 private:
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kHeld = 1;
  static constexpr std::uint32_t kContended = 2;
  std::atomic<std::uint32_t> state_{kFree};
};

template <typename Lock>
class IOCP_SCOPED_CAPABILITY ScopedLock {
 public:
  explicit ScopedLock(Lock& lock) IOCP_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
  ~ScopedLock() IOCP_RELEASE() { lock_.unlock(); }
  ScopedLock(const ScopedLock&) = delete;
  ScopedLock& operator=(const ScopedLock&) = delete;

 private:
  Lock& lock_;
};

}  // namespace iocp
