// Load generator for framed TCP servers: one thread, epoll, no dependency, and every byte that comes back is checked.
// A lost, repeated, reordered or altered byte is an error, never a faster result. It prints "measuring" when the
// warm-up is over and one line of JSON at the end, and nothing else on standard output: bench/run.mjs reads it.
#include <sys/resource.h>

#include <cerrno>

#include "load_generator.h"
#include "options.h"

namespace {

void raise_descriptor_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) loadgen::fail("getrlimit", errno);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) loadgen::fail("setrlimit", errno);
}

}  // namespace

int main(int argc, char** argv) {
  const loadgen::Options options = loadgen::parse_options(argc, argv);
  raise_descriptor_limit();
  loadgen::LoadGenerator(options).run();
  return 0;
}
