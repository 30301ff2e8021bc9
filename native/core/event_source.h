// What an environment takes events from: the engine, of its owner; a logical worker's mailbox, of anybody else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/mailbox.h"

namespace iocp {

// For the one thread that the events are for.
class EventSource {
 public:
  virtual ~EventSource() = default;

  virtual std::size_t lane_count() const noexcept = 0;
  // Lends memory until a Range of it says retired.
  virtual void supply(std::uint32_t lane, std::uint32_t slab_index, std::uint8_t* memory, std::size_t bytes) = 0;
  // Moves what is waiting in that lane into `batch`. Call delivered() when its records have been read; with `rewinds`
  // unset, if some are still to be read.
  virtual void take(std::uint32_t lane, Mailbox::Batch* batch) = 0;
  virtual void delivered(std::uint32_t lane, const Mailbox::Batch& batch) = 0;
  virtual bool has_events() const noexcept = 0;
};

}  // namespace iocp
