// What one thread has queued to contexts and not yet told their lanes: one flush command per context and batch. The
// engine's owner has one of these, and so has every logical worker. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/lane.h"

namespace iocp {

struct Outgoing {
  explicit Outgoing(std::size_t lanes) : flushes(lanes) {}

  std::vector<std::vector<Command>> flushes;  // per lane
  std::uint64_t packages_sent = 0;
  std::uint64_t packages_dropped = 0;
  std::uint64_t sends_to_the_gone = 0;
};

}  // namespace iocp
