// Cuts one context's stream into packages. Keeps at most one partly received package; whole ones go straight from
// the read buffer to the sink. Not thread-safe: guarded by its context's lock. Does no I/O and knows no context.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/framing.h"
#include "core/limits.h"
#include "core/mailbox.h"
#include "core/payload_allocator.h"
#include "port/check.h"

namespace iocp {

struct FeedResult {
  enum class Outcome : std::uint8_t {
    drained,         // every byte was used
    no_room,         // the sink refused a package: feed the rest (from `consumed`) again when it has room
    illegal_length,  // the stream cannot be trusted any more; `announced` says why
    out_of_memory,
  };
  Outcome outcome = Outcome::drained;
  std::size_t consumed = 0;
  std::int64_t announced = 0;
};

class Framer {
 public:
  Framer() = default;
  ~Framer() { reset(); }
  Framer(const Framer&) = delete;
  Framer& operator=(const Framer&) = delete;

  // True between the first and the last byte of a package.
  bool mid_package() const noexcept { return partial_ != nullptr; }
  // True when the package is complete and only waits for room in the sink.
  bool package_waits() const noexcept {
    return partial_ != nullptr && partial_->known && partial_->received == partial_->frame.total;
  }
  std::size_t partial_received() const noexcept { return partial_ == nullptr ? 0 : partial_->received; }
  // Bytes of the package being received, on the wire; 0 = not known yet.
  std::uint64_t partial_total() const noexcept {
    return partial_ == nullptr || !partial_->known ? 0 : partial_->frame.total;
  }
  ConstBytes partial_bytes() const noexcept {
    return partial_ == nullptr ? ConstBytes{} : ConstBytes(partial_->memory, partial_->received);
  }

  // A read into a large package may go so many bytes past its end: enough for the header of the next one, so that a
  // stream of large packages costs one read each and no copy.
  static constexpr std::size_t kSurplusMax = 128;
  using Surplus = std::array<std::uint8_t, kSurplusMax>;

  // Where the next bytes of a large package may be received straight into; empty when that is not worth it. Its
  // memory comes from `allocator`, if there is one and it has some.
  MutableBytes direct_target(PayloadAllocator* allocator = nullptr) noexcept;
  // That many bytes were received there. What belongs to the next package is moved to `surplus`; feed() it next, be it
  // empty or not.
  ConstBytes direct_received(std::size_t bytes, Surplus& surplus) noexcept;
  // Not 0: the last package was a large one of so many bytes on the wire, and the next is likely to be. Reading no more
  // than kSurplusMax bytes then shows its header, and the rest can be received straight into its memory; or they are
  // received into a run.
  std::uint64_t expected_large() const noexcept { return partial_ == nullptr ? expected_large_ : 0; }

  // Where a run would have to begin for the package being received to go on into it; null: no run can.
  const std::uint8_t* block_end() const noexcept {
    const bool in_block = partial_ != nullptr && partial_->known && partial_->arena != nullptr;
    return in_block && partial_->frame.total <= kPartialBytesFirst
               ? partial_->memory + partial_->frame.total + kSurplusMax
               : nullptr;
  }
  // Where bytes are to be received into a run, `most` at most: what is missing of the package being received, which
  // the run was opened behind, as many whole ones as fit if they are as long as the last, and the next one's header.
  MutableBytes run_target(const ReceivingRun& run, std::size_t most) const noexcept;

  // `Sink`: bool package(ConstBytes) and bool large(const LargePayload&), false = no room. Large payloads are copied
  // into blocks of `allocator`, if there is one and it has them. `run`: not null, it is that allocator's, the bytes
  // were received at its run_target(), and large packages stay where they are.
  template <typename Sink>
  FeedResult feed(const Framing& framing, ConstBytes bytes, Sink& sink, PayloadAllocator* allocator = nullptr,
                  ReceivingRun* run = nullptr) noexcept;

  void reset() noexcept {
    if (partial_ == nullptr) return;
    partial_->free_memory();
    delete partial_;
    partial_ = nullptr;
  }

 private:
  using Outcome = FeedResult::Outcome;

  struct Partial {
    std::uint8_t* memory = nullptr;
    std::size_t capacity = 0;
    std::size_t received = 0;
    bool known = false;  // frame is valid
    Frame frame;
    PayloadArena* arena = nullptr;  // null: memory is the C library's

    LargePayload payload() const noexcept {
      return {memory, memory + frame.payload_offset, static_cast<std::size_t>(frame.payload_length), arena};
    }
    void free_memory() const noexcept { payload().free(); }
  };

  static constexpr std::size_t kDirectReadMin = 16 * 1024;

  bool append(ConstBytes bytes) noexcept;
  bool grow(std::size_t wanted) noexcept;
  // Moves what was received so far into a block that has room for what may be claimed. False: it stays where it is.
  bool move_into_block(PayloadAllocator& allocator) noexcept;
  // How many more bytes are worth copying before inspect() may know more.
  std::size_t bytes_to_learn(const Framing& framing, std::size_t available) const noexcept;
  // Continues the partial package with bytes[*at…].
  template <typename Sink>
  FeedResult continue_partial(const Framing& framing, ConstBytes bytes, Sink& sink) noexcept;
  template <typename Sink>
  bool emit_partial(Sink& sink) noexcept;
  // Begins a package that is not all there. False: out of memory.
  bool begin_partial(const Frame& frame, ConstBytes bytes, PayloadAllocator* allocator, ReceivingRun* run) noexcept;
  // The package's memory from now on is that block, which has room for so much of it, and for the surplus.
  void take_block(const PayloadAllocator::Block& block, std::size_t capacity) noexcept;
  // A large payload, as a block where it lies.
  template <typename Sink>
  static bool emit_in_place(ConstBytes payload, Sink& sink, ReceivingRun& run) noexcept;
  template <typename Sink>
  static Outcome emit_copy(ConstBytes payload, Sink& sink, PayloadAllocator* allocator) noexcept;
  // Memory for a payload that is copied; none: memory is exhausted.
  static LargePayload make_large(std::size_t bytes, PayloadAllocator* allocator) noexcept;

  static bool is_large(const Frame& frame) noexcept {
    return frame.verdict == Frame::Verdict::known && frame.payload_length > kInlinePayloadMax;
  }
  // How much of the package being received may get memory: a certain part of it before it arrives, or as much as the
  // last one really was.
  std::size_t may_claim(std::size_t received) const noexcept {
    const std::uint64_t most =
        std::max<std::uint64_t>({kPartialBytesFirst, expected_large_, received * kPartialGrowth});
    return static_cast<std::size_t>(std::min<std::uint64_t>(most, partial_->frame.total));
  }
  static std::uint64_t expected_after(const Framing& framing, const Frame& frame) noexcept {
    return frame.payload_length > kInlinePayloadMax && announces_length(framing) ? frame.total : 0;
  }
  // Whether a package's end is known from its first bytes, which makes it worth asking for them alone.
  static bool announces_length(const Framing& framing) noexcept {
    return framing.type == FramingType::length || framing.type == FramingType::varint;
  }

  Partial* partial_ = nullptr;
  std::uint64_t expected_large_ = 0;
};

inline MutableBytes Framer::direct_target(PayloadAllocator* allocator) noexcept {
  if (partial_ == nullptr || !partial_->known) return {};
  const std::uint64_t missing = partial_->frame.total - partial_->received;
  if (missing < kDirectReadMin) return {};
  if (partial_->capacity - partial_->received < kDirectReadMin) {
    const bool moved = allocator != nullptr && move_into_block(*allocator);
    if (!moved && !grow(may_claim(partial_->received))) return {};
  }
  const std::size_t beyond = partial_->capacity == partial_->frame.total ? kSurplusMax : 0;
  return MutableBytes(partial_->memory + partial_->received, partial_->capacity - partial_->received + beyond);
}

inline MutableBytes Framer::run_target(const ReceivingRun& run, std::size_t most) const noexcept {
  std::uint8_t* const start = partial_ == nullptr ? run.begin() : partial_->memory + partial_->received;
  const std::size_t missing =
      partial_ == nullptr ? 0 : static_cast<std::size_t>(partial_->frame.total) - partial_->received;
  const std::size_t least = missing + kSurplusMax;
  const std::size_t room = std::min(most, static_cast<std::size_t>(run.end() - start));
  if (expected_large_ == 0 || room < least) return {start, std::min(room, least)};
  return {start, least + (room - least) / expected_large_ * expected_large_};
}

inline ConstBytes Framer::direct_received(std::size_t bytes, Surplus& surplus) noexcept {
  partial_->received += bytes;
  if (partial_->received <= partial_->frame.total) return {};
  const auto total = static_cast<std::size_t>(partial_->frame.total);
  const std::size_t extra = partial_->received - total;
  IOCP_CHECK(extra <= kSurplusMax);
  std::memcpy(surplus.data(), partial_->memory + total, extra);
  partial_->received = total;
  return ConstBytes(surplus).first(extra);
}

inline bool Framer::grow(std::size_t wanted) noexcept {
  if (partial_->known) wanted = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, partial_->frame.total));
  if (wanted <= partial_->capacity) return true;
  // With room for what a direct read may fetch beyond the end.
  const bool whole = partial_->known && wanted == partial_->frame.total;
  const std::size_t bytes = wanted + (whole ? kSurplusMax : 0);
  const bool in_block = partial_->arena != nullptr;
  void* const memory = in_block ? std::malloc(bytes) : std::realloc(partial_->memory, bytes);
  if (memory == nullptr) return false;
  if (in_block) {
    std::memcpy(memory, partial_->memory, partial_->received);
    std::exchange(partial_->arena, nullptr)->release();
  }
  partial_->memory = static_cast<std::uint8_t*>(memory);
  partial_->capacity = wanted;
  return true;
}

inline bool Framer::move_into_block(PayloadAllocator& allocator) noexcept {
  if (!is_large(partial_->frame)) return false;
  const std::size_t claim = may_claim(partial_->received);
  const PayloadAllocator::Block block = allocator.acquire(claim + kSurplusMax);
  if (block.memory == nullptr) return false;
  std::memcpy(block.memory, partial_->memory, partial_->received);
  partial_->free_memory();
  take_block(block, claim);
  return true;
}

inline bool Framer::append(ConstBytes bytes) noexcept {
  if (bytes.empty()) return true;
  const std::size_t needed = partial_->received + bytes.size();
  if (needed > partial_->capacity) {
    // Doubling, but never more than the package: a header alone cannot claim memory that did not arrive.
    if (!grow(std::max({needed, partial_->received * 2, std::size_t{64}})) || partial_->capacity < needed) return false;
  }
  std::uint8_t* const at = partial_->memory + partial_->received;
  if (at != bytes.data()) std::memcpy(at, bytes.data(), bytes.size());  // unless they were received there
  partial_->received += bytes.size();
  return true;
}

inline bool Framer::begin_partial(const Frame& frame, ConstBytes bytes, PayloadAllocator* allocator,
                                  ReceivingRun* run) noexcept {
  partial_ = new (std::nothrow) Partial;
  if (partial_ == nullptr) return false;
  partial_->known = frame.verdict == Frame::Verdict::known;
  partial_->frame = frame;
  if (allocator != nullptr && is_large(frame)) {
    const std::size_t claim = may_claim(bytes.size());
    const std::size_t wanted = claim + kSurplusMax;
    const bool stays = run != nullptr && claim == frame.total && run->has_room(bytes.data(), wanted);
    const PayloadAllocator::Block block = stays ? run->claim(bytes.data(), wanted) : allocator->acquire(wanted);
    if (block.memory != nullptr) take_block(block, claim);
  }
  return append(bytes);
}

inline void Framer::take_block(const PayloadAllocator::Block& block, std::size_t capacity) noexcept {
  partial_->memory = block.memory;
  partial_->capacity = capacity;
  partial_->arena = block.arena;
}

inline std::size_t Framer::bytes_to_learn(const Framing& framing, std::size_t available) const noexcept {
  switch (framing.type) {
    case FramingType::length:
      return std::min<std::size_t>(available, framing.offset + framing.width - partial_->received);
    case FramingType::varint: {
      const std::size_t first = std::size_t{framing.offset} + 1;
      return partial_->received < first ? std::min(available, first - partial_->received)
                                        : std::min<std::size_t>(available, 1);
    }
    case FramingType::delimiter:
      // One byte past the limit is enough to know that the package is too long.
      return static_cast<std::size_t>(
          std::min<std::uint64_t>(available, framing.max_length + framing.delimiter.size() + 1 - partial_->received));
    case FramingType::fixed:
    case FramingType::none:
      break;
  }
  IOCP_UNREACHABLE("these framings know a package's end from its first byte");
}

inline LargePayload Framer::make_large(std::size_t bytes, PayloadAllocator* allocator) noexcept {
  LargePayload large;
  large.length = bytes;
  const PayloadAllocator::Block block = allocator == nullptr ? PayloadAllocator::Block{} : allocator->acquire(bytes);
  if (block.memory != nullptr) {
    large.memory = block.memory;
    large.arena = block.arena;
  } else {
    large.memory = static_cast<std::uint8_t*>(std::malloc(bytes));
  }
  large.payload = large.memory;
  return large;
}

template <typename Sink>
Framer::Outcome Framer::emit_copy(ConstBytes payload, Sink& sink, PayloadAllocator* allocator) noexcept {
  if (payload.size() <= kInlinePayloadMax) return sink.package(payload) ? Outcome::drained : Outcome::no_room;
  const LargePayload large = make_large(payload.size(), allocator);
  if (large.memory == nullptr) return Outcome::out_of_memory;
  std::memcpy(large.memory, payload.data(), payload.size());
  if (sink.large(large)) return Outcome::drained;
  large.free();
  return Outcome::no_room;
}

template <typename Sink>
bool Framer::emit_partial(Sink& sink) noexcept {
  const auto offset = static_cast<std::size_t>(partial_->frame.payload_offset);
  const auto length = static_cast<std::size_t>(partial_->frame.payload_length);
  if (length <= kInlinePayloadMax) {
    if (!sink.package(ConstBytes(partial_->memory + offset, length))) return false;
  } else {
    if (!sink.large(partial_->payload())) return false;
    // The sink owns it now.
    partial_->memory = nullptr;
    partial_->arena = nullptr;
  }
  reset();
  return true;
}

template <typename Sink>
FeedResult Framer::continue_partial(const Framing& framing, ConstBytes bytes, Sink& sink) noexcept {
  FeedResult result;
  while (!partial_->known) {
    const ConstBytes rest = bytes.subspan(result.consumed);
    if (rest.empty()) return result;
    const std::size_t before = partial_->received;
    const std::size_t count = bytes_to_learn(framing, rest.size());
    if (!append(rest.first(count))) {
      result.outcome = Outcome::out_of_memory;
      return result;
    }
    result.consumed += count;
    partial_->frame = inspect(framing, partial_bytes(), before);
    if (partial_->frame.verdict == Frame::Verdict::illegal_length) {
      result.outcome = Outcome::illegal_length;
      result.announced = partial_->frame.announced;
      return result;
    }
    partial_->known = partial_->frame.verdict == Frame::Verdict::known;
  }
  if (partial_->received > partial_->frame.total) {
    // Delimiter framing copied past the end: what follows the delimiter goes back.
    result.consumed -= static_cast<std::size_t>(partial_->received - partial_->frame.total);
    partial_->received = static_cast<std::size_t>(partial_->frame.total);
  }
  const ConstBytes rest = bytes.subspan(result.consumed);
  const auto missing = static_cast<std::size_t>(partial_->frame.total - partial_->received);
  const std::size_t count = std::min(rest.size(), missing);
  if (!append(rest.first(count))) {
    result.outcome = Outcome::out_of_memory;
    return result;
  }
  result.consumed += count;
  if (partial_->received < partial_->frame.total) return result;
  expected_large_ = expected_after(framing, partial_->frame);
  if (!emit_partial(sink)) result.outcome = Outcome::no_room;
  return result;
}

template <typename Sink>
bool Framer::emit_in_place(ConstBytes payload, Sink& sink, ReceivingRun& run) noexcept {
  const PayloadAllocator::Block block = run.claim(payload.data(), payload.size());
  const LargePayload large = {block.memory, block.memory, payload.size(), block.arena};
  if (sink.large(large)) return true;
  large.free();
  return false;
}

template <typename Sink>
FeedResult Framer::feed(const Framing& framing, ConstBytes bytes, Sink& sink, PayloadAllocator* allocator,
                        ReceivingRun* run) noexcept {
  FeedResult result;
  if (partial_ != nullptr) {
    result = continue_partial(framing, bytes, sink);
    if (result.outcome != Outcome::drained || partial_ != nullptr) return result;
  }
  while (result.consumed < bytes.size()) {
    const ConstBytes rest = bytes.subspan(result.consumed);
    const Frame frame = framing.type == FramingType::length ? inspect_length(framing, rest) : inspect(framing, rest, 0);
    if (frame.verdict == Frame::Verdict::illegal_length) {
      result.outcome = Outcome::illegal_length;
      result.announced = frame.announced;
      return result;
    }
    if (frame.verdict == Frame::Verdict::incomplete || frame.total > rest.size()) {
      if (!begin_partial(frame, rest, allocator, run)) result.outcome = Outcome::out_of_memory;
      if (partial_ != nullptr) result.consumed = bytes.size();
      return result;
    }
    const ConstBytes payload =
        rest.subspan(static_cast<std::size_t>(frame.payload_offset), static_cast<std::size_t>(frame.payload_length));
    if (run != nullptr && payload.size() > kInlinePayloadMax) {
      result.outcome = emit_in_place(payload, sink, *run) ? Outcome::drained : Outcome::no_room;
    } else {
      result.outcome = emit_copy(payload, sink, allocator);
    }
    expected_large_ = expected_after(framing, frame);
    if (result.outcome != Outcome::drained) return result;
    result.consumed += static_cast<std::size_t>(frame.total);
  }
  return result;
}

}  // namespace iocp
