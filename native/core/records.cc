// Names of the system calls that records refer to.
#include "core/records.h"

#include "port/check.h"

namespace iocp {

const char* syscall_name(Syscall syscall) noexcept {
  switch (syscall) {
    case Syscall::none:
      return "";
    case Syscall::accept:
      return "accept";
    case Syscall::bind:
      return "bind";
    case Syscall::close:
      return "close";
    case Syscall::connect:
      return "connect";
    case Syscall::listen:
      return "listen";
    case Syscall::read:
      return "read";
    case Syscall::shutdown:
      return "shutdown";
    case Syscall::socket:
      return "socket";
    case Syscall::write:
      return "write";
  }
  IOCP_UNREACHABLE("a Syscall outside the enum");
}

std::uint8_t syscall_count() noexcept { return static_cast<std::uint8_t>(Syscall::write) + 1; }

}  // namespace iocp
