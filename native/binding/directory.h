// Where environments of one process find what another one made: by a number, which may travel in any message. A number
// is never used again, and names its object only while somebody else keeps it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "port/mutex.h"

namespace iocp {

template <typename Object>
class Directory {
 public:
  // Any thread. Never 0.
  static std::uint32_t enlist(const std::shared_ptr<Object>& object) {
    State& all = state();
    ScopedLock guard(all.mutex);
    all.objects[++all.last] = object;
    return all.last;
  }

  static void strike(std::uint32_t number) {
    State& all = state();
    ScopedLock guard(all.mutex);
    all.objects.erase(number);
  }

  // Null when there is no such object any more.
  static std::shared_ptr<Object> find(std::uint32_t number) {
    State& all = state();
    ScopedLock guard(all.mutex);
    const auto found = all.objects.find(number);
    return found == all.objects.end() ? nullptr : found->second.lock();
  }

 private:
  struct State {
    Mutex mutex;
    std::map<std::uint32_t, std::weak_ptr<Object>> objects IOCP_GUARDED_BY(mutex);
    std::uint32_t last IOCP_GUARDED_BY(mutex) = 0;
  };

  static State& state() {
    static State* const all = new State;  // never destroyed: environments may end after the process' statics
    return *all;
  }
};

}  // namespace iocp
