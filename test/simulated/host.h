// What an engine finds in a simulated host in place of an event loop and a disk thread: entries in two lists, which the
// test steps in an order of its own. Part of the addon that test/simulated is run on; never of what is published.
#pragma once

#include <cstdint>
#include <vector>

#include "core/disk_queue.h"

namespace simulated {

constexpr std::uint64_t kNever = UINT64_MAX;

// An engine's place in the host's loop.
struct Loop {
  std::uint32_t number = 0;  // in the order of opening
  void (*on_ready)(void* context) = nullptr;
  void* ready_context = nullptr;
  std::uint64_t planned_ms = kNever;
  bool closing = false;
  void (*on_closed)(void* context) = nullptr;
  void* closed_context = nullptr;
};

struct Host {
  std::vector<Loop*> loops;             // open ones, oldest first
  std::vector<Loop*> closing;           // their on_closed is still to be called
  std::vector<iocp::DiskQueue*> disks;  // those that a thread would serve, oldest first
  std::uint32_t loops_opened = 0;
};

Host& host();

}  // namespace simulated
