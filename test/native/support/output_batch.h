// The output batch as an owner of an engine writes it: records one by one, and series (core/series.h).
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "core/records.h"
#include "core/series.h"

namespace support {

class OutputBatch {
 public:
  explicit OutputBatch(const iocp::Framing& framing) : room_(iocp::series_room(framing)) {}

  bool empty() const { return bytes_.empty(); }
  // Whether the framing has series, and one may hold such a payload.
  bool admits_to_series(iocp::ConstBytes payload) const { return room_ > 0 && payload.size() <= UINT16_MAX; }

  void add(std::uint32_t slot, std::uint32_t generation, iocp::ConstBytes payload, std::uint32_t flags) {
    put(begin({slot, generation, static_cast<std::uint32_t>(payload.size()), flags}), payload);
    end_record();
  }

  // Joins the last record when that is a series of the same context.
  void add_to_series(std::uint32_t slot, std::uint32_t generation, iocp::ConstBytes payload) {
    iocp::OutputHeader header = {};
    if (!bytes_.empty()) std::memcpy(&header, bytes_.data() + last_, sizeof header);
    const bool joins = header.flags == iocp::kOutputSeries && header.slot == slot && header.generation == generation;
    if (joins) {
      bytes_.resize(last_ + sizeof header + header.length);  // without the padding
    } else {
      header = {slot, generation, 0, iocp::kOutputSeries};
      begin(header);
    }
    const std::size_t at = bytes_.size();
    header.length += static_cast<std::uint32_t>(room_ + payload.size());
    std::memcpy(bytes_.data() + last_, &header, sizeof header);
    bytes_.resize(at + room_, 0xee);  // nobody has promised what is there
    bytes_[at] = static_cast<std::uint8_t>(payload.size());
    bytes_[at + 1] = static_cast<std::uint8_t>(payload.size() >> 8);
    put(bytes_.size(), payload);
    end_record();
  }

  // Everything added since, to be given to the engine; valid until something is added.
  std::vector<std::uint8_t>& take() {
    taken_.swap(bytes_);
    bytes_.clear();
    return taken_;
  }

 private:
  std::size_t begin(const iocp::OutputHeader& header) {
    last_ = bytes_.size();
    bytes_.resize(last_ + sizeof header);
    std::memcpy(bytes_.data() + last_, &header, sizeof header);
    return bytes_.size();
  }
  void put(std::size_t at, iocp::ConstBytes payload) {
    bytes_.resize(at + payload.size());
    if (!payload.empty()) std::memcpy(bytes_.data() + at, payload.data(), payload.size());
  }
  void end_record() {
    const std::size_t body = bytes_.size() - last_ - sizeof(iocp::OutputHeader);
    bytes_.resize(last_ + iocp::output_record_bytes(body));
  }

  const std::size_t room_;
  std::vector<std::uint8_t> bytes_;
  std::size_t last_ = 0;  // where the last record begins
  std::vector<std::uint8_t> taken_;
};

}  // namespace support
