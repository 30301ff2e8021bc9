// Consecutive packages of one context, laid out for one gathered write: what is small is copied into one stretch, what
// is not stays where its sender has it. Lives for the length of a call; allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "port/check.h"
#include "port/port.h"

namespace iocp {

class WriteRun {
 public:
  // A part up to this size costs less to copy than a slice of its own costs the kernel.
  static constexpr std::size_t kCopiedPartMax = 1024;

  WriteRun() noexcept {}  // leaves the arrays as they are: clearing them costs as much as a small package

  // `before` is memory that ends where the payload begins and that nobody reads any more: the header of a payload that
  // stays where it is may go there, so that both are one slice. False: it would not fit, and nothing was added.
  bool add(ConstBytes header, ConstBytes payload, ConstBytes trailer, MutableBytes before = {}) noexcept {
    const bool copied = payload.size() <= kCopiedPartMax;
    const bool in_place = !copied && header.size() <= before.size();
    const std::size_t staged = (in_place ? 0 : header.size()) + trailer.size() + (copied ? payload.size() : 0);
    if (staged > staging_.size() - staged_ || count_ + 3 > Port::kMaxSlices) return false;
    if (in_place) {
      append_slice(put_before(before, header, payload));
    } else {
      stage(header);
      if (copied) {
        stage(payload);
      } else {
        append_slice(payload);
      }
    }
    stage(trailer);
    bytes_ += header.size() + payload.size() + trailer.size();
    ++packages_;
    return true;
  }

  std::span<const ConstBytes> slices() const noexcept { return std::span<const ConstBytes>(slices_.data(), count_); }
  std::size_t bytes() const noexcept { return bytes_; }
  std::size_t packages() const noexcept { return packages_; }

 private:
  static ConstBytes put_before(MutableBytes before, ConstBytes header, ConstBytes payload) noexcept {
    IOCP_DCHECK(before.data() + before.size() == payload.data());
    const MutableBytes at = before.last(header.size());
    std::memcpy(at.data(), header.data(), header.size());
    return ConstBytes(at.data(), header.size() + payload.size());
  }

  // Behind the last slice when that is staged too, else as a slice of its own.
  void stage(ConstBytes part) noexcept {
    if (part.empty()) return;
    std::uint8_t* const at = staging_.data() + staged_;
    std::memcpy(at, part.data(), part.size());
    staged_ += part.size();
    if (count_ > 0 && slices_[count_ - 1].data() + slices_[count_ - 1].size() == at) {
      slices_[count_ - 1] = ConstBytes(slices_[count_ - 1].data(), slices_[count_ - 1].size() + part.size());
    } else {
      append_slice(ConstBytes(at, part.size()));
    }
  }

  void append_slice(ConstBytes slice) noexcept { std::construct_at(&slices_[count_++], slice); }

  union {
    std::array<ConstBytes, Port::kMaxSlices> slices_;  // the first count_ of them
  };
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  std::size_t packages_ = 0;
  std::size_t staged_ = 0;
  std::array<std::uint8_t, 16 * 1024> staging_;  // uninitialised
};

}  // namespace iocp
