// Names and messages of every Status, generated from the one list in status.h.
#include "port/status.h"

#include "port/check.h"

namespace iocp {

const char* status_code(Status status) noexcept {
  switch (status) {
#define IOCP_STATUS_CASE(name, code, message) \
  case Status::name:                          \
    return code;
    IOCP_STATUS_LIST(IOCP_STATUS_CASE)
#undef IOCP_STATUS_CASE
  }
  IOCP_UNREACHABLE("a Status outside the list");
}

const char* status_message(Status status) noexcept {
  switch (status) {
#define IOCP_STATUS_CASE(name, code, message) \
  case Status::name:                          \
    return message;
    IOCP_STATUS_LIST(IOCP_STATUS_CASE)
#undef IOCP_STATUS_CASE
  }
  IOCP_UNREACHABLE("a Status outside the list");
}

std::uint8_t status_count() noexcept {
#define IOCP_STATUS_ONE(name, code, message) +1
  return 0 IOCP_STATUS_LIST(IOCP_STATUS_ONE);
#undef IOCP_STATUS_ONE
}

}  // namespace iocp
