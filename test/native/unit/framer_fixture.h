// What framer tests share: a sink that may refuse, and streams of packages with what a listener gets of them.
#pragma once

#include "core/framer.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "support/test.h"
#include "unit/random.h"

namespace unit {

using iocp::ConstBytes;
using iocp::FeedResult;
using iocp::Framer;
using iocp::Framing;
using iocp::kInlinePayloadMax;
using iocp::LargePayload;

using Outcome = FeedResult::Outcome;

// Keeps what it is given. With a generator it refuses some of it, as a full mailbox does.
struct Sink {
  std::vector<Bytes> packages;
  int inline_packages = 0;
  int large_packages = 0;
  int large_blocks = 0;  // of these
  std::uint32_t offset_in_block = 0;
  int refusals = 0;
  bool refuse_all = false;
  std::uint32_t refuse_percent = 0;
  Random* random = nullptr;

  bool refuses() {
    if (!refuse_all && (random == nullptr || !random->chance(refuse_percent))) return false;
    ++refusals;
    return true;
  }

  bool package(ConstBytes payload) {
    CHECK(payload.size() <= kInlinePayloadMax);
    if (refuses()) return false;
    ++inline_packages;
    packages.push_back(copy_of(payload));
    return true;
  }

  bool large(const LargePayload& payload) {
    CHECK(payload.length > kInlinePayloadMax);
    CHECK(payload.payload >= payload.memory);
    if (refuses()) return false;
    ++large_packages;
    packages.push_back(copy_of(ConstBytes(payload.payload, payload.length)));
    large_blocks += payload.arena != nullptr ? 1 : 0;
    if (payload.arena != nullptr) offset_in_block = payload.arena->offset_of(payload.payload);
    payload.free();
    return true;
  }
};

// Feeds all of `bytes`, again and again where the sink refuses, as a worker does with its backlog.
inline Outcome feed_all(Framer& framer, const Framing& framing, ConstBytes bytes, Sink& sink) {
  for (;;) {
    const FeedResult result = framer.feed(framing, bytes, sink);
    REQUIRE(result.consumed <= bytes.size());
    if (result.outcome != Outcome::no_room) return result.outcome;
    bytes = bytes.subspan(result.consumed);
  }
}

struct Stream {
  Framing framing;
  Bytes wire;
  std::vector<Bytes> packages;  // as a listener gets them
};

inline void add_package(Stream* stream, const Bytes& payload) {
  iocp::Envelope envelope;
  if (!iocp::encode_envelope(stream->framing, payload, &envelope)) return;
  append(&stream->wire, ConstBytes(envelope.header).first(envelope.header_bytes));
  append(&stream->wire, payload);
  append(&stream->wire, envelope.trailer);
  Bytes expected = payload;
  if (stream->framing.strip == 0) append(&expected, envelope.trailer);
  stream->packages.push_back(std::move(expected));
}

inline void expect_packages(const Stream& stream, const Sink& sink, const Framer& framer) {
  CHECK_EQ(sink.packages.size(), stream.packages.size());
  CHECK(sink.packages == stream.packages);
  CHECK(!framer.mid_package());
}

inline Bytes header_of(std::uint32_t length) {
  return bytes_of({static_cast<int>(length & 0xFF), static_cast<int>(length >> 8 & 0xFF),
                   static_cast<int>(length >> 16 & 0xFF), static_cast<int>(length >> 24)});
}

}  // namespace unit
