// The thread that sends the files of a readiness port, as the kernel does behind a completion port on Windows. The
// thread that steps the port gives transmits away and hears of their ends; it never waits for a disk, and a hundred
// files on their way to fast readers do not keep anybody else's package from it.
//
// While a transmit is here, nobody else writes to its socket. The socket itself stays the port's: this class knows
// descriptors, and closes one only when the port let go of it while a system call was using it.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <new>
#include <utility>

#include "port/mutex.h"
#include "port/port.h"
#include "port/posix/poller.h"

namespace iocp {

// What became of a transmit, kept in TransmitOperation::transmit_backend from the moment it is given away.
struct Transmission {
  Socket* socket = nullptr;   // the port's: null once it is closed
  void* entry = nullptr;      // the transmitter's, while the operation is there
  std::uint32_t bytes = 0;    // sent
  std::uint32_t blocked = 0;  // calls that found the socket full
  int error = 0;              // errno of the call that sent nothing
  bool shrank = false;        // there was nothing to send: the file ends at or before the offset
  bool cancelled = false;     // it was taken back while a call was going on
};
static_assert(sizeof(Transmission) <= sizeof(TransmitOperation::transmit_backend));

inline Transmission& transmission(TransmitOperation& operation) noexcept {
  return *std::launder(reinterpret_cast<Transmission*>(operation.transmit_backend));
}

class Transmitter {
 public:
  // Called on the transmitter's thread when an operation is through; the callee owns it again.
  struct Owner {
    void (*finished)(void* context, TransmitOperation& operation) noexcept = nullptr;
    void* context = nullptr;
  };

  explicit Transmitter(Owner owner) noexcept : owner_(owner) {}
  ~Transmitter();
  Transmitter(const Transmitter&) = delete;
  Transmitter& operator=(const Transmitter&) = delete;

  // The operation is this thread's until it is finished or taken back. The first one starts the thread. out_of_memory:
  // there is no thread, descriptor or memory to be had, and the operation is the caller's.
  Status give(TransmitOperation& operation, int fd) noexcept IOCP_EXCLUDES(lock_);

  enum class Taken : std::uint8_t {
    back,      // it is the caller's again, as far as it came
    later,     // a call is going on: it will be finished in a moment
    finished,  // it was finished already
  };
  // With `close_after`, Taken::later means that the descriptor is closed here, after that call.
  Taken take_back(TransmitOperation& operation, bool close_after) noexcept IOCP_EXCLUDES(lock_);

  // Ends the thread. Every operation must be finished or taken back.
  void stop() noexcept IOCP_EXCLUDES(lock_);

 private:
  using Clock = std::chrono::steady_clock;

  struct Entry {
    TransmitOperation* operation = nullptr;  // null: taken back, or finished
    Entry* next = nullptr;                   // in due_, let_go_ or free_
    Entry* all = nullptr;                    // every entry there is
    int fd = -1;
    bool running = false;
    bool waiting = false;  // for room
    bool watched = false;  // by poller_
    bool close_after = false;
    Clock::time_point begun;
  };

  // First in, first out.
  struct Queue {
    Entry* head = nullptr;
    Entry* tail = nullptr;
    void push(Entry& entry) noexcept;
    Entry* pop() noexcept;
    bool remove(const Entry& entry) noexcept;
  };

  Status start() noexcept IOCP_REQUIRES(lock_);
  Entry* take_entry() noexcept IOCP_REQUIRES(lock_);
  void run() noexcept IOCP_EXCLUDES(lock_);
  void look_for_room() noexcept IOCP_EXCLUDES(lock_);
  void serve(Entry& entry) noexcept IOCP_EXCLUDES(lock_);
  static bool takes_long(const Entry& entry) noexcept;
  bool goes_on(Entry& entry, ssize_t sent, int error) noexcept IOCP_REQUIRES(lock_);
  void let_go(Entry& entry) noexcept IOCP_REQUIRES(lock_);

  const Owner owner_;
  Poller poller_;
  pthread_t thread_ = {};
  bool started_ = false;  // the stepping thread's
  std::atomic<bool> stopping_{false};

  Mutex lock_;
  Queue due_ IOCP_GUARDED_BY(lock_);
  // An event that was fetched before its entry was let go may still name it: such entries are used again only when
  // those events have been dealt with.
  Entry* let_go_ IOCP_GUARDED_BY(lock_) = nullptr;
  Entry* free_ IOCP_GUARDED_BY(lock_) = nullptr;
  Entry* entries_ IOCP_GUARDED_BY(lock_) = nullptr;
  bool asleep_ IOCP_GUARDED_BY(lock_) = false;
};

}  // namespace iocp
