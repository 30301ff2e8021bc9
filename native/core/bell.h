// How one thread rouses another that sleeps somewhere the core knows nothing of.
#pragma once

namespace iocp {

// Called from any thread, never under a lock that the roused one could want.
class Bell {
 public:
  virtual ~Bell() = default;
  virtual void ring() noexcept = 0;
};

}  // namespace iocp
