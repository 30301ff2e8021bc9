// For counting instructions rather than time: the environment fixes how often a benchmark repeats its work.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdlib>

// BENCHMARK(x)->Apply(counted): IOCP_BENCH_ITERATIONS, when set, is how many iterations are run, no more, no fewer.
inline void counted(benchmark::internal::Benchmark* it) {
  const char* iterations = std::getenv("IOCP_BENCH_ITERATIONS");
  if (iterations != nullptr) it->Iterations(std::atoll(iterations));
}
