// errno values in the engine's words. Never decides what to do about one.
#pragma once

#include "port/status.h"

namespace iocp {

// 0 is ok; a number we have no name for is unknown_system_error.
Status status_from_errno(int error) noexcept;

}  // namespace iocp
