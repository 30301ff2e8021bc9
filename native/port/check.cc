// The one place where a broken invariant ends the process.
#include "port/check.h"

#include <cstdio>
#include <cstdlib>

namespace iocp {

void check_failed(const char* file, int line, const char* what) noexcept {
  std::fprintf(stderr, "iocp: internal error at %s:%d: %s\n", file, line, what);
  std::fflush(stderr);
  std::abort();
}

}  // namespace iocp
