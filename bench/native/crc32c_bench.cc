// How fast the check of a file transfer is, by the processor's instruction and by tables, over blocks that fit the
// cache and blocks that do not.
#include <benchmark/benchmark.h>

#include <vector>

#include "core/crc32c.h"
#include "counted.h"

namespace {

using Function = std::uint32_t (*)(std::uint32_t, iocp::ConstBytes) noexcept;

void crc32c(benchmark::State& state, Function function) {
  const std::vector<std::uint8_t> block(static_cast<std::size_t>(state.range(0)), 0x5A);
  std::uint32_t check = 0;
  for (auto _ : state) {
    check = function(check, block);
    benchmark::DoNotOptimize(check);
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
  state.SetLabel(function == iocp::crc32c_extend ? iocp::crc32c_hardware_name() : "tables");
}

void sizes(benchmark::internal::Benchmark* it) {
  counted(it);
  for (const int bytes : {64, 1 << 10, 64 << 10, 64 << 20}) it->Arg(bytes);
}

BENCHMARK_CAPTURE(crc32c, processor, iocp::crc32c_extend)->Apply(sizes);
BENCHMARK_CAPTURE(crc32c, tables, iocp::crc32c_extend_by_table)->Apply(sizes);

}  // namespace
