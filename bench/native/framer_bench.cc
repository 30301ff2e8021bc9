// What framing costs per package, by kind of framing and by how the bytes arrive.
#include <benchmark/benchmark.h>

#include <cstring>

#include "core/framer.h"
#include "counted.h"

namespace {

using iocp::ConstBytes;
using iocp::Framing;
using iocp::FramingType;

constexpr std::size_t kChunkBytes = std::size_t{64} * 1024;

struct CountingSink {
  std::size_t packages = 0;

  bool package(ConstBytes payload) {
    benchmark::DoNotOptimize(payload.data());
    ++packages;
    return true;
  }
  bool large(const iocp::LargePayload& payload) {
    payload.free();
    ++packages;
    return true;
  }
};

Framing framing_of(FramingType type, std::size_t payload) {
  Framing framing;
  framing.type = type;
  framing.offset = type == FramingType::varint ? 0 : framing.offset;
  if (type == FramingType::delimiter) framing.delimiter = {'\r', '\n'};
  if (type == FramingType::fixed) framing.max_length = payload;
  return framing;
}

// As many whole packages as a chunk holds.
std::vector<std::uint8_t> stream_of(const Framing& framing, std::size_t payload) {
  const std::vector<std::uint8_t> bytes(payload, 'x');
  std::vector<std::uint8_t> stream;
  do {
    iocp::Envelope envelope;
    if (!iocp::encode_envelope(framing, bytes, &envelope)) std::abort();
    stream.insert(stream.end(), envelope.header.begin(), envelope.header.begin() + envelope.header_bytes);
    stream.insert(stream.end(), bytes.begin(), bytes.end());
    stream.insert(stream.end(), envelope.trailer.begin(), envelope.trailer.end());
  } while (stream.size() + payload + 16 < kChunkBytes);
  return stream;
}

// `piece`: bytes per feed(); 0 = the whole stream at once.
void feed(benchmark::State& state, FramingType type) {
  const auto payload = static_cast<std::size_t>(state.range(0));
  const Framing framing = framing_of(type, payload);
  const std::vector<std::uint8_t> stream = stream_of(framing, payload);
  const std::size_t piece = state.range(1) == 0 ? stream.size() : static_cast<std::size_t>(state.range(1));
  iocp::Framer framer;
  CountingSink sink;
  for (auto _ : state) {
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      const auto result =
          framer.feed(framing, ConstBytes(stream).subspan(at, std::min(piece, stream.size() - at)), sink);
      benchmark::DoNotOptimize(result.consumed);
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(sink.packages));
  state.SetBytesProcessed(static_cast<std::int64_t>(stream.size()) * state.iterations());
}

BENCHMARK_CAPTURE(feed, length, FramingType::length)
    ->ArgNames({"payload", "piece"})
    ->Args({64, 0})
    ->Args({4096, 0})
    ->Args({65536, 0})
    ->Args({64, 1})
    ->Args({64, 1448})
    ->Args({65536, 16384})
    ->Apply(counted);
BENCHMARK_CAPTURE(feed, varint, FramingType::varint)
    ->ArgNames({"payload", "piece"})
    ->Args({64, 0})
    ->Args({64, 1})
    ->Apply(counted);
BENCHMARK_CAPTURE(feed, delimiter, FramingType::delimiter)
    ->ArgNames({"payload", "piece"})
    ->Args({64, 0})
    ->Args({4096, 0})
    ->Args({64, 1})
    ->Apply(counted);
BENCHMARK_CAPTURE(feed, fixed, FramingType::fixed)
    ->ArgNames({"payload", "piece"})
    ->Args({64, 0})
    ->Args({64, 1})
    ->Apply(counted);

void encode(benchmark::State& state, FramingType type) {
  const std::vector<std::uint8_t> payload(64, 'x');
  const Framing framing = framing_of(type, payload.size());
  for (auto _ : state) {
    iocp::Envelope envelope;
    benchmark::DoNotOptimize(iocp::encode_envelope(framing, payload, &envelope));
    benchmark::DoNotOptimize(envelope.header.data());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(encode, length, FramingType::length)->Apply(counted);
BENCHMARK_CAPTURE(encode, varint, FramingType::varint)->Apply(counted);
BENCHMARK_CAPTURE(encode, delimiter, FramingType::delimiter)->Apply(counted);

}  // namespace
