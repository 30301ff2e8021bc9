// The list behind Roster, and how it is passed through.
#include "core/roster.h"

#include <utility>

#include "core/logical_worker.h"

namespace iocp {

bool Roster::attach(const std::shared_ptr<LogicalWorker>& worker) {
  ScopedLock guard(mutex_);
  if (engine_ == nullptr) return false;
  worker->enter(*engine_, shared_from_this());
  count_.fetch_add(1, std::memory_order_seq_cst);
  members_.push_back(worker);
  return true;
}

void Roster::remove(const LogicalWorker& worker) {
  ScopedLock guard(mutex_);
  const std::size_t gone = std::erase_if(members_, [&](const auto& member) { return member.get() == &worker; });
  count_.fetch_sub(gone, std::memory_order_seq_cst);
}

std::shared_ptr<LogicalWorker> Roster::least_busy() const {
  ScopedLock guard(mutex_);
  const std::shared_ptr<LogicalWorker>* best = nullptr;
  for (const std::shared_ptr<LogicalWorker>& member : members_) {
    if (!member->serving()) continue;
    if (best == nullptr || member->contexts() < (*best)->contexts()) best = &member;
  }
  return best == nullptr ? nullptr : *best;
}

Roster::Members Roster::serving() const {
  Members serving;
  ScopedLock guard(mutex_);
  for (const std::shared_ptr<LogicalWorker>& member : members_) {
    if (member->serving()) serving.push_back(member);
  }
  return serving;
}

void Roster::pass_gates() const {
  if (count_.load(std::memory_order_seq_cst) == 0) return;
  Members members;
  {
    ScopedLock guard(mutex_);
    members = members_;
  }
  for (const std::shared_ptr<LogicalWorker>& member : members) member->pass_gate();
}

void Roster::dismiss_all() {
  Members members;
  {
    ScopedLock guard(mutex_);
    engine_ = nullptr;
    members.swap(members_);
    count_.store(0, std::memory_order_seq_cst);
  }
  for (const std::shared_ptr<LogicalWorker>& member : members) member->dismiss();
}

}  // namespace iocp
