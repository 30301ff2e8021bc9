// The lines of waiting jobs, who runs what, and whom to rouse.
#include "core/job_queue.h"

#include <algorithm>
#include <utility>

#include "port/check.h"

namespace iocp {
namespace {

constexpr std::int64_t kNanosecondsPerMicrosecond = 1000;

std::int64_t nanoseconds(std::uint64_t from_us, std::uint64_t to_us) {
  return to_us > from_us ? static_cast<std::int64_t>(to_us - from_us) * kNanosecondsPerMicrosecond : 0;
}

}  // namespace

// --- the owner -----------------------------------------------------------------------------------------------

void JobQueue::set_owner_bell(std::shared_ptr<Bell> bell) {
  ScopedLock guard(mutex_);
  owner_bell_ = std::move(bell);
}

JobId JobQueue::add(JobPayload payload, std::int32_t priority, std::uint64_t now_us, std::uint64_t about) {
  std::shared_ptr<Bell> bell;
  JobId id = 0;
  {
    ScopedLock guard(mutex_);
    if (figures_.waiting >= capacity_ || figures_.waiting + figures_.running >= kCapacityMax) {
      room_wanted_ = true;
      return 0;
    }
    if (free_slots_.empty()) {
      free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t index = free_slots_.back();
    free_slots_.pop_back();
    Slot& slot = slots_[index];
    slot.job = std::make_unique<Job>();
    Job& job = *slot.job;
    id = (static_cast<JobId>(slot.generation) << kSlotBits) + index;
    job.id = id;
    job.priority = priority;
    job.since_us = now_us;
    job.about = about;
    job.payload = std::move(payload);
    Line& line = lines_[priority];
    job.previous = line.last;
    (line.last == nullptr ? line.first : line.last->next) = &job;
    line.last = &job;
    ++figures_.waiting;
    bell = rouse_one();
  }
  ring(bell);
  return id;
}

JobQueue::Cancelled JobQueue::cancel(JobId id) {
  std::shared_ptr<Bell> bell;
  {
    ScopedLock guard(mutex_);
    Job* job = find(id);
    if (job == nullptr) return Cancelled::gone;
    if (job->worker == kNoWorker) {
      ++figures_.cancelled;
      leave_line(*job);
      forget(*job);
      return Cancelled::removed;
    }
    Attached& worker = workers_.at(job->worker);
    worker.cancelled.push_back(id);
    bell = worker.bell;
  }
  ring(bell);
  return Cancelled::running;
}

std::vector<JobId> JobQueue::clear() {
  std::vector<JobId> removed;
  ScopedLock guard(mutex_);
  removed.reserve(figures_.waiting);
  while (!lines_.empty()) {
    Job& job = *lines_.begin()->second.first;
    removed.push_back(job.id);
    leave_line(job);
    forget(job);
  }
  figures_.cancelled += removed.size();
  return removed;
}

bool JobQueue::take_results(std::vector<JobResult>* into, std::size_t most) {
  ScopedLock guard(mutex_);
  for (std::size_t taken = 0; taken < most && !results_.empty(); ++taken) {
    into->push_back(std::move(results_.front()));
    results_.pop_front();
  }
  owner_rung_ = !results_.empty();
  return owner_rung_;
}

void JobQueue::retire(std::uint32_t worker) {
  std::shared_ptr<Bell> bell;
  {
    ScopedLock guard(mutex_);
    const auto found = workers_.find(worker);
    if (found == workers_.end()) return;
    found->second.retiring = true;
    std::erase(idle_, worker);
    found->second.idle = false;
    bell = found->second.bell;
  }
  ring(bell);
}

JobFigures JobQueue::figures() const {
  ScopedLock guard(mutex_);
  JobFigures figures = figures_;
  figures.wait_us_p50 = waited_.percentile_us(0.5);
  figures.wait_us_p99 = waited_.percentile_us(0.99);
  figures.run_us_p50 = ran_.percentile_us(0.5);
  figures.run_us_p99 = ran_.percentile_us(0.99);
  return figures;
}

// --- workers ---------------------------------------------------------------------------------------------------

void JobQueue::attach(std::uint32_t worker, std::shared_ptr<Bell> bell) {
  IOCP_CHECK(worker != kNoWorker);
  ScopedLock guard(mutex_);
  const bool fresh = workers_.try_emplace(worker, Attached{std::move(bell), false, false, {}}).second;
  IOCP_CHECK(fresh);
}

void JobQueue::detach(std::uint32_t worker) {
  std::shared_ptr<Bell> another;
  std::shared_ptr<Bell> owner;
  {
    ScopedLock guard(mutex_);
    if (workers_.erase(worker) == 0) return;
    std::erase(idle_, worker);
    bool died = false;
    // Rare, so no list is kept of who runs what.
    for (Slot& slot : slots_) {
      if (slot.job == nullptr || slot.job->worker != worker) continue;
      results_.push_back({slot.job->id, JobOutcome::worker_died, worker, {}});
      --figures_.running;
      ++figures_.failed;
      forget(*slot.job);
      died = true;
    }
    // It may have been roused for a job that it will not take now.
    if (figures_.waiting > 0) another = rouse_one();
    if (died) owner = rouse_owner();
  }
  ring(another);
  ring(owner);
}

JobQueue::Take JobQueue::take(std::uint32_t worker, std::uint64_t now_us, TakenJob* out) {
  std::shared_ptr<Bell> bell;
  Take answer = Take::none;
  {
    ScopedLock guard(mutex_);
    Attached& self = workers_.at(worker);
    if (self.retiring) {
      answer = Take::retire;
      if (figures_.waiting > 0) bell = rouse_one();
    } else if (lines_.empty()) {
      if (!self.idle) idle_.push_back(worker);
      self.idle = true;
    } else {
      answer = Take::job;
      if (self.idle) std::erase(idle_, worker);
      self.idle = false;
      Job& job = *lines_.begin()->second.first;
      leave_line(job);
      out->id = job.id;
      out->priority = job.priority;
      out->about = job.about;
      out->waited_us = now_us > job.since_us ? now_us - job.since_us : 0;
      out->payload = std::move(job.payload);
      waited_.record(nanoseconds(job.since_us, now_us));
      job.worker = worker;
      job.since_us = now_us;
      ++figures_.running;
      if (room_wanted_) bell = rouse_owner();
      room_wanted_ = false;
    }
  }
  ring(bell);
  return answer;
}

void JobQueue::take_cancelled(std::uint32_t worker, std::vector<JobId>* into) {
  ScopedLock guard(mutex_);
  std::vector<JobId>& cancelled = workers_.at(worker).cancelled;
  into->insert(into->end(), cancelled.begin(), cancelled.end());
  cancelled.clear();
}

bool JobQueue::finish(std::uint32_t worker, JobId id, JobOutcome outcome, JobPayload payload, std::uint64_t now_us) {
  std::shared_ptr<Bell> bell;
  {
    ScopedLock guard(mutex_);
    Job* job = find(id);
    if (job == nullptr || job->worker != worker) return false;
    ran_.record(nanoseconds(job->since_us, now_us));
    --figures_.running;
    ++(outcome == JobOutcome::done ? figures_.done : figures_.failed);
    forget(*job);
    results_.push_back({id, outcome, worker, std::move(payload)});
    bell = rouse_owner();
  }
  ring(bell);
  return true;
}

// --- inside ------------------------------------------------------------------------------------------------------

JobQueue::Job* JobQueue::find(JobId id) {
  const auto index = static_cast<std::size_t>(id & ((JobId{1} << kSlotBits) - 1));
  if (index >= slots_.size()) return nullptr;
  Job* job = slots_[index].job.get();
  return job != nullptr && job->id == id ? job : nullptr;
}

void JobQueue::forget(Job& job) {
  const auto index = static_cast<std::uint32_t>(job.id & ((JobId{1} << kSlotBits) - 1));
  Slot& slot = slots_[index];
  // 29 bits of it keep the id a safe integer; 0 is left out, so that no id is 0.
  constexpr std::uint32_t kGenerations = std::uint32_t{1} << 29;
  slot.generation = slot.generation + 1 == kGenerations ? 1 : slot.generation + 1;
  slot.job.reset();
  free_slots_.push_back(index);
}

void JobQueue::leave_line(Job& job) {
  const auto line = lines_.find(job.priority);
  (job.previous == nullptr ? line->second.first : job.previous->next) = job.next;
  (job.next == nullptr ? line->second.last : job.next->previous) = job.previous;
  job.previous = job.next = nullptr;
  if (line->second.first == nullptr) lines_.erase(line);
  --figures_.waiting;
}

std::shared_ptr<Bell> JobQueue::rouse_one() {
  if (idle_.empty()) return nullptr;
  Attached& worker = workers_.at(idle_.back());
  idle_.pop_back();
  worker.idle = false;
  return worker.bell;
}

std::shared_ptr<Bell> JobQueue::rouse_owner() {
  if (owner_rung_) return nullptr;
  owner_rung_ = true;
  return owner_bell_;
}

}  // namespace iocp
