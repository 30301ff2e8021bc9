// A series: packages of one context as they are on the wire, behind each other, but for the first two bytes of each
// header, which hold the payload's length (little-endian) while the series crosses between the engine and its owner.
// Received, it lies in a slab where the socket was read into; to be sent, the owner leaves room for the headers, and
// the engine makes them there. Neither way is a payload copied for its header's sake.
//
// Only for framings whose headers are made from nothing but the payload's length and have two bytes or more.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/framing.h"
#include "core/limits.h"
#include "port/check.h"

namespace iocp {

// Bytes before each payload; 0: this framing has no series.
inline std::size_t series_room(const Framing& framing) noexcept {
  const std::size_t room = makes_whole_header(framing) ? whole_header_bytes(framing) : 0;
  return room >= 2 ? room : 0;
}

// Of the package that a series begins with, which must be all there.
inline std::size_t series_payload_bytes(ConstBytes series, std::size_t room) noexcept {
  IOCP_CHECK(room >= 2 && series.size() >= room);
  const auto length = static_cast<std::size_t>(series[0] | series[1] << 8);
  IOCP_CHECK(series.size() - room >= length);
  return length;
}

// Calls visit(payload) for each package; returns how many there were.
template <typename Visitor>
std::size_t for_each_in_series(ConstBytes series, std::size_t room, Visitor&& visit) {
  std::size_t packages = 0;
  for (; !series.empty(); ++packages) {
    const std::size_t length = series_payload_bytes(series, room);
    visit(series.subspan(room, length));
    series = series.subspan(room + length);
  }
  return packages;
}

struct ReceivedSeries {
  std::size_t bytes = 0;
  std::size_t packages = 0;
};

// Packages so small that they would be more of them in a slab than records are left to the framer.
constexpr std::size_t kSeriesBytesPerPackageMin = 16;

// Makes a series of the whole packages that `bytes` begin with, up to the first that cannot be in one: it is not whole,
// its length is illegal, its payload is no inline one, or `wanted(payload)` is false. What follows is untouched.
template <typename Wanted>
ReceivedSeries make_series(const Framing& framing, MutableBytes bytes, Wanted&& wanted) noexcept {
  ReceivedSeries series;
  while (series.bytes < bytes.size()) {
    const MutableBytes rest = bytes.subspan(series.bytes);
    const Frame frame = inspect_length(framing, rest);
    if (frame.verdict != Frame::Verdict::known || frame.total > rest.size()) break;
    const auto total = static_cast<std::size_t>(frame.total);
    const auto length = static_cast<std::size_t>(frame.payload_length);
    const bool too_small = series.bytes + total < kSeriesBytesPerPackageMin * (series.packages + 1);
    if (length > kInlinePayloadMax || too_small) break;
    if (!wanted(ConstBytes(rest).subspan(total - length, length))) break;
    rest[0] = static_cast<std::uint8_t>(length);
    rest[1] = static_cast<std::uint8_t>(length >> 8);
    series.bytes += total;
    ++series.packages;
  }
  return series;
}

}  // namespace iocp
