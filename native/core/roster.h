// The logical workers of one engine. Outlives the engine for as long as anybody holds it: who attaches too late is told
// so. Its lock is a leaf: nothing is called under it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "port/mutex.h"

namespace iocp {

class Engine;
class LogicalWorker;

class Roster : public std::enable_shared_from_this<Roster> {
 public:
  using Members = std::vector<std::shared_ptr<LogicalWorker>>;

  explicit Roster(Engine& engine) : engine_(&engine) {}
  Roster(const Roster&) = delete;
  Roster& operator=(const Roster&) = delete;

  // --- any thread ------------------------------------------------------------------------------------------------

  // False: the engine has gone.
  bool attach(const std::shared_ptr<LogicalWorker>& worker) IOCP_EXCLUDES(mutex_);
  void remove(const LogicalWorker& worker) IOCP_EXCLUDES(mutex_);
  // The one of those that serve with the fewest contexts; null when none does.
  std::shared_ptr<LogicalWorker> least_busy() const IOCP_EXCLUDES(mutex_);
  Members serving() const IOCP_EXCLUDES(mutex_);

  // --- the engine's owner ------------------------------------------------------------------------------------------

  // Returns when no logical worker can hold a pointer to a context any more that was withdrawn from the table before.
  void pass_gates() const IOCP_EXCLUDES(mutex_);
  // The engine goes: no call of any logical worker reaches it from now on.
  void dismiss_all() IOCP_EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  Engine* engine_ IOCP_GUARDED_BY(mutex_);
  Members members_ IOCP_GUARDED_BY(mutex_);
  // Sequentially consistent with the table's entries: who attaches counts first and looks up afterwards, the owner
  // withdraws first and looks at the count afterwards.
  std::atomic<std::size_t> count_{0};
};

}  // namespace iocp
