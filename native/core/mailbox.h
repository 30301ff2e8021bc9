// Events on their way to the owner of a lane (JavaScript, or a test). Workers append records to slabs that the owner
// lent; the owner takes everything at once. Payload bytes are bounded by the slabs: when none has room, package()
// says so and the worker stops reading. Control records (connected, disconnected, …) are never refused: they wait
// in the overflow, and while they do no package may pass them.
//
// Thread-safe. Never calls out.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <vector>

#include "core/large_payload.h"
#include "core/records.h"
#include "port/mutex.h"
#include "port/port.h"

namespace iocp {

class ClientContext;

class Mailbox {
 public:
  // A stretch of a slab the owner has not seen yet. `retired`: the engine will not touch this slab again.
  struct Range {
    std::uint32_t slab_index = 0;
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    bool retired = false;
  };

  // What take() hands over. `connected` and `disconnected` name the contexts whose records are in the ranges.
  struct Batch {
    std::vector<Range> ranges;
    std::vector<LargePayload> larges;
    std::vector<ClientContext*> connected;
    std::vector<ClientContext*> disconnected;
    // The slab that is being written has no payload in it: nobody needs its records once they were read.
    bool rewinds = false;

    bool empty() const noexcept { return ranges.empty(); }
    void clear() noexcept;
  };

  Mailbox() = default;
  ~Mailbox();  // frees payloads nobody took
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // --- owner -------------------------------------------------------------------------------------------------

  // Lends memory, at least kSlabBytesMin, aligned to kRecordAlignment, until a Range says retired.
  void supply(std::uint32_t index, std::uint8_t* memory, std::size_t bytes) IOCP_EXCLUDES(mutex_);
  // Moves everything that is waiting into `batch` (cleared first) and answers the doorbell.
  void take(Batch* batch) IOCP_EXCLUDES(mutex_);
  // Every record of `batch` and of those before it was read: a slab without a payload is written from its begin again.
  void were_read(const Batch& batch) IOCP_EXCLUDES(mutex_);
  bool has_events() const noexcept IOCP_EXCLUDES(mutex_);
  // From now on records are swallowed; used while an engine is torn down without an owner.
  void discard_everything() IOCP_EXCLUDES(mutex_);

  // --- workers -----------------------------------------------------------------------------------------------

  // Holds the lock while one read's packages are appended.
  class IOCP_SCOPED_CAPABILITY Writer {
   public:
    explicit Writer(Mailbox& mailbox) IOCP_ACQUIRE(mailbox.mutex_) : mailbox_(mailbox) { mailbox_.mutex_.lock(); }
    ~Writer() IOCP_RELEASE() { mailbox_.mutex_.unlock(); }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    // Where the body of the next record would be, with room for one of `wanted` bytes, or of a quarter of a slab if
    // that is less; a slab that has not so much left is given up. Empty: no slab has it. Nobody's again when anything
    // is appended, or the lock is let go.
    MutableBytes place(std::size_t wanted) noexcept IOCP_NO_THREAD_SAFETY_ANALYSIS;
    // Whatever is appended now would be refused: no slab has room, or control records wait for one.
    bool full() const noexcept IOCP_NO_THREAD_SAFETY_ANALYSIS;
    // A record of that many bytes of place(), which are a series (series.h).
    void series(std::uint32_t slot, std::size_t bytes) IOCP_NO_THREAD_SAFETY_ANALYSIS;
    // Copies an inline payload (at most kInlinePayloadMax). False = no room, nothing appended.
    bool package(std::uint32_t slot, ConstBytes payload) IOCP_NO_THREAD_SAFETY_ANALYSIS;
    // Takes the payload over on success.
    bool large(std::uint32_t slot, const LargePayload& payload) IOCP_NO_THREAD_SAFETY_ANALYSIS;

   private:
    Mailbox& mailbox_;
  };

  // Appends a record of `parts`; waits in the overflow when there is no room. `subject`: the context a connected
  // or disconnected record is about.
  void control(RecordKind kind, std::uint32_t slot, std::uint32_t extra, std::initializer_list<ConstBytes> parts,
               ClientContext* subject = nullptr) IOCP_EXCLUDES(mutex_);

  // Something changed that the owner should look at although there is no record for it.
  void poke() IOCP_EXCLUDES(mutex_);
  // True while control records wait for a slab: no new work should be taken on.
  bool congested() const noexcept IOCP_EXCLUDES(mutex_);
  // True once after events arrived that the owner has not been told of; the caller then rings.
  bool wants_ring() noexcept IOCP_EXCLUDES(mutex_);

 private:
  struct Slab {
    std::uint32_t index = 0;
    std::uint8_t* memory = nullptr;
    std::uint32_t size = 0;
    std::uint32_t written = 0;
    std::uint32_t taken = 0;
    bool full = false;
    bool has_payloads = false;  // which the owner may keep for as long as it likes
  };
  struct Kept {
    RecordHeader header;
    std::vector<std::uint8_t> body;
    ClientContext* subject;
  };

  // Room for a record in the current slab, or null. Marks slabs that are too full for it.
  std::uint8_t* reserve(std::size_t bytes) noexcept IOCP_REQUIRES(mutex_) {
    while (current_ != nullptr) {
      unseen_ = true;  // a slab that is too full is news as well: the owner replaces it
      if (current_->size - current_->written >= bytes) {
        std::uint8_t* const at = current_->memory + current_->written;
        current_->written += static_cast<std::uint32_t>(bytes);
        return at;
      }
      retire_current();
    }
    return nullptr;
  }
  void retire_current() noexcept IOCP_REQUIRES(mutex_);
  bool append_record(const RecordHeader& header, std::initializer_list<ConstBytes> parts, ClientContext* subject)
      IOCP_REQUIRES(mutex_);
  void flush_overflow() IOCP_REQUIRES(mutex_);

  mutable CompactMutex mutex_;
  std::deque<Slab> slabs_ IOCP_GUARDED_BY(mutex_);   // front: oldest with something to take
  Slab* current_ IOCP_GUARDED_BY(mutex_) = nullptr;  // of slabs_, the one being written; null: all are full
  std::deque<Kept> overflow_ IOCP_GUARDED_BY(mutex_);
  std::vector<LargePayload> larges_ IOCP_GUARDED_BY(mutex_);
  std::size_t large_bytes_ IOCP_GUARDED_BY(mutex_) = 0;
  std::vector<ClientContext*> connected_ IOCP_GUARDED_BY(mutex_);
  std::vector<ClientContext*> disconnected_ IOCP_GUARDED_BY(mutex_);
  bool unseen_ IOCP_GUARDED_BY(mutex_) = false;  // something was appended since take()
  bool rung_ IOCP_GUARDED_BY(mutex_) = false;
  bool discarding_ IOCP_GUARDED_BY(mutex_) = false;
};

}  // namespace iocp
