// Jobs on their way to logical workers, and their results on the way back (the article's AddJob and ProcessJob). One
// owner adds, cancels and takes results; any number of workers take jobs and finish them, each on its own thread.
// Higher priorities first, and in the order they were added within one priority.
//
// What a job is about are bytes that mean nothing here. The queue calls nobody but the bells it is given, never under
// its lock, starts no thread and reads no clock: time is an argument, in microseconds of whatever clock the callers
// share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/bell.h"
#include "core/histogram.h"
#include "port/mutex.h"

namespace iocp {

// generation * 2^24 + slot: a safe integer in JavaScript, never 0, and reused only after 2^29 others in its slot.
using JobId = std::uint64_t;

// Bytes with the caller's own note of how they are to be read. Owns them.
struct JobPayload {
  std::uint32_t form = 0;
  std::uint32_t length = 0;
  std::unique_ptr<std::uint8_t[]> bytes;
};

enum class JobOutcome : std::uint8_t {
  done,
  failed,       // the worker says so
  worker_died,  // detached before it had finished
};

struct JobResult {
  JobId id = 0;
  JobOutcome outcome = JobOutcome::done;
  std::uint32_t worker = 0;  // that ran it
  JobPayload payload;
};

struct TakenJob {
  JobId id = 0;
  std::int32_t priority = 0;
  std::uint64_t about = 0;
  std::uint64_t waited_us = 0;
  JobPayload payload;
};

struct JobFigures {
  std::uint64_t waiting = 0;
  std::uint64_t running = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;  // workers that died included
  std::uint64_t cancelled = 0;
  double wait_us_p50 = 0;
  double wait_us_p99 = 0;
  double run_us_p50 = 0;
  double run_us_p99 = 0;
};

class JobQueue {
 public:
  // `capacity`: most jobs that wait at once; 1 … kCapacityMax.
  static constexpr std::size_t kCapacityMax = std::size_t{1} << 24;  // one for each slot that an id can name
  explicit JobQueue(std::size_t capacity) : capacity_(capacity) {}
  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;

  // --- the owner ---------------------------------------------------------------------------------------------

  // Rung when there are results, or room that was asked for. Null: nobody wants to know any more.
  void set_owner_bell(std::shared_ptr<Bell> bell) IOCP_EXCLUDES(mutex_);
  // 0 = full, and the payload is gone; room that appears later rings the owner's bell, once. Jobs that run take part of
  // the kCapacityMax as well: their results ring it. `about` is the owner's note for whoever takes the job.
  JobId add(JobPayload payload, std::int32_t priority, std::uint64_t now_us, std::uint64_t about = 0)
      IOCP_EXCLUDES(mutex_);
  enum class Cancelled : std::uint8_t {
    gone,     // finished before, or never there
    removed,  // it waited, and will not run; no result follows
    running,  // its worker is told, and its result follows
  };
  Cancelled cancel(JobId id) IOCP_EXCLUDES(mutex_);
  // Removes all that wait; returns them, in the order they would have run.
  std::vector<JobId> clear() IOCP_EXCLUDES(mutex_);
  // Appends what was finished since the last call, in order, at most so many. True: there are more, for which the bell
  // will not be rung.
  bool take_results(std::vector<JobResult>* into, std::size_t most = SIZE_MAX) IOCP_EXCLUDES(mutex_);
  // The worker finishes what it runs and is told `retire` then.
  void retire(std::uint32_t worker) IOCP_EXCLUDES(mutex_);
  JobFigures figures() const IOCP_EXCLUDES(mutex_);

  // --- workers -------------------------------------------------------------------------------------------------

  // `worker`: a number that no other attached worker has. The bell is rung after take() answered `none`, when there is
  // something to take, and when a job the worker runs was cancelled.
  void attach(std::uint32_t worker, std::shared_ptr<Bell> bell) IOCP_EXCLUDES(mutex_);
  // For good, at any moment. What the worker was running becomes a result: worker_died.
  void detach(std::uint32_t worker) IOCP_EXCLUDES(mutex_);
  enum class Take : std::uint8_t { job, none, retire };
  Take take(std::uint32_t worker, std::uint64_t now_us, TakenJob* out) IOCP_EXCLUDES(mutex_);
  // Appends the jobs of this worker that were cancelled since the last call.
  void take_cancelled(std::uint32_t worker, std::vector<JobId>* into) IOCP_EXCLUDES(mutex_);
  // False: the worker runs no such job (it is detached, say), and the payload is gone.
  bool finish(std::uint32_t worker, JobId id, JobOutcome outcome, JobPayload payload, std::uint64_t now_us)
      IOCP_EXCLUDES(mutex_);

 private:
  static constexpr std::uint32_t kSlotBits = 24;
  static constexpr std::uint32_t kNoWorker = UINT32_MAX;

  struct Job {
    JobId id = 0;
    Job* previous = nullptr;  // of those that wait with the same priority
    Job* next = nullptr;
    std::int32_t priority = 0;
    std::uint32_t worker = kNoWorker;  // that runs it
    std::uint64_t since_us = 0;        // added, and later: started
    std::uint64_t about = 0;
    JobPayload payload;
  };
  struct Line {
    Job* first = nullptr;
    Job* last = nullptr;
  };
  struct Attached {
    std::shared_ptr<Bell> bell;
    bool idle = false;  // take() answered `none`, and the bell was not rung since
    bool retiring = false;
    std::vector<JobId> cancelled;
  };
  struct Slot {
    std::unique_ptr<Job> job;
    std::uint32_t generation = 1;
  };

  Job* find(JobId id) IOCP_REQUIRES(mutex_);
  void forget(Job& job) IOCP_REQUIRES(mutex_);
  void leave_line(Job& job) IOCP_REQUIRES(mutex_);
  // The bell to ring for a job that waits: of the worker that fell idle last. Null when there is none.
  std::shared_ptr<Bell> rouse_one() IOCP_REQUIRES(mutex_);
  // The owner's bell when it has not been rung since the owner last looked.
  std::shared_ptr<Bell> rouse_owner() IOCP_REQUIRES(mutex_);
  static void ring(const std::shared_ptr<Bell>& bell) noexcept {
    if (bell != nullptr) bell->ring();
  }

  const std::size_t capacity_;
  mutable Mutex mutex_;
  std::vector<Slot> slots_ IOCP_GUARDED_BY(mutex_);
  std::vector<std::uint32_t> free_slots_ IOCP_GUARDED_BY(mutex_);
  std::map<std::int32_t, Line, std::greater<>> lines_ IOCP_GUARDED_BY(mutex_);
  std::unordered_map<std::uint32_t, Attached> workers_ IOCP_GUARDED_BY(mutex_);
  std::vector<std::uint32_t> idle_ IOCP_GUARDED_BY(mutex_);  // the last one is roused first: its caches are warm
  std::deque<JobResult> results_ IOCP_GUARDED_BY(mutex_);
  std::shared_ptr<Bell> owner_bell_ IOCP_GUARDED_BY(mutex_);
  bool owner_rung_ IOCP_GUARDED_BY(mutex_) = false;
  bool room_wanted_ IOCP_GUARDED_BY(mutex_) = false;
  JobFigures figures_ IOCP_GUARDED_BY(mutex_);
  Histogram waited_ IOCP_GUARDED_BY(mutex_);
  Histogram ran_ IOCP_GUARDED_BY(mutex_);
};

}  // namespace iocp
