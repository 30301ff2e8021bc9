// When something that is done now and then is due. Reads no clock. Not thread-safe.
#pragma once

#include <cstdint>

namespace iocp {

class Period {
 public:
  explicit Period(std::uint64_t length_ns) noexcept : length_ns_(length_ns) {}

  // True when so long has passed since it was true last. A later `now_ns` is never less.
  bool over(std::uint64_t now_ns) noexcept {
    if (now_ns - began_ns_ < length_ns_) return false;
    began_ns_ = now_ns;
    return true;
  }

 private:
  const std::uint64_t length_ns_;
  std::uint64_t began_ns_ = 0;
};

}  // namespace iocp
