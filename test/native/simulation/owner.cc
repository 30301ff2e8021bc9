// Owner's reactions. Every REQUIRE here is a promise of the product about order and number of events.
#include "simulation/owner.h"

#include <algorithm>
#include <cstring>

#include "core/records.h"
#include "core/series.h"
#include "port/check.h"
#include "support/test.h"

namespace simulation {

using iocp::RecordKind;

Owner::Owner(const iocp::EngineOptions& options, const OwnerHabits& habits, Directory& directory, Random& random)
    : directory_(directory),
      random_(random),
      habits_(habits),
      engine_(options, {}),
      owed_(options.lanes, 0),
      seats_(options.lanes),
      output_(options.framing) {
  REQUIRE(engine_.start() == iocp::Status::ok);
  for (std::uint32_t lane = 0; lane < options.lanes; ++lane) {
    supply(lane);
    if (random_.chance(50)) supply(lane);
  }
}

Owner::~Owner() { engine_.shut_down(); }

void Owner::supply(std::uint32_t lane) {
  const std::size_t bytes = iocp::kSlabBytesMin;
  std::uint32_t index = next_slab_;
  while (slabs_.contains(index)) index = (index + 1) % (iocp::kSlabIndexMax + 1);
  next_slab_ = (index + 1) % (iocp::kSlabIndexMax + 1);
  slabs_[index].reset(new std::uint8_t[bytes]);
  engine_.supply(lane, index, slabs_[index].get(), bytes);
}

bool Owner::step(std::uint64_t now_ms) {
  now_ms_ = now_ms;
  bool busy = false;
  const auto count = static_cast<std::uint32_t>(engine_.worker_count());
  const std::uint32_t first = random_.below(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t lane = (first + i) % count;
    if (habits_.restless_percent > 0 && random_.chance(habits_.restless_percent)) hand_over(lane);
    iocp::Worker& worker = engine_.worker(lane);
    Seat& seat = seats_[lane];
    if (seat.stepper == Stepper::nobody) continue;
    if (seat.stepper != Stepper::owner) {
      busy = thread_turn(worker, seat, now_ms) || busy;
      continue;
    }
    const bool collected = worker.collect(0) > 0;
    busy = busy || collected || worker.has_work() || worker.sleep_limit_ms(now_ms) == 0;
    // A host may admit none, which is found out later than the first; and what lies idle is given back.
    engine_.payload_arenas().admit(random_.chance(90));
    if (random_.chance(2)) engine_.trim_payload_arenas();
    worker.step(now_ms);
  }
  return busy;
}

void Owner::threads_turn() {
  for (std::uint32_t lane = 0; lane < engine_.lane_count(); ++lane) {
    Seat& seat = seats_[lane];
    const bool threads = seat.stepper == Stepper::thread || seat.stepper == Stepper::recalled_thread;
    if (threads) thread_turn(engine_.worker(lane), seat, now_ms_);
  }
}

// One round of an I/O thread's loop. What happens while it sleeps, other than completions, it does not see.
bool Owner::thread_turn(iocp::Worker& worker, Seat& seat, std::uint64_t now_ms) {
  const bool collected = worker.collect(0) > 0;
  if (!collected && seat.asleep && now_ms < seat.wakes_at_ms) return false;
  if (!collected && !seat.asleep) {
    const std::int32_t limit = worker.sleep_limit_ms(now_ms);
    if (limit != 0) {
      seat.asleep = true;
      seat.wakes_at_ms = limit < 0 ? kNever : now_ms + static_cast<std::uint64_t>(limit);
      return false;
    }
  }
  seat.asleep = false;
  worker.step(now_ms);
  if (seat.stepper == Stepper::recalled_thread) seat.stepper = Stepper::nobody;
  return true;
}

void Owner::hand_over(std::uint32_t lane) {
  Seat& seat = seats_[lane];
  switch (seat.stepper) {
    case Stepper::owner:
      engine_.hand_over(lane, true);
      seat = {Stepper::thread, false, 0};
      ++hand_overs_;
      return;
    case Stepper::thread:
      seat.stepper = Stepper::recalled_thread;
      engine_.lane(lane).wake();
      return;
    case Stepper::recalled_thread:
      return;  // a sleeper that nothing rouses would be found by the run's end
    case Stepper::nobody:
      engine_.hand_over(lane, false);
      seat = {};
      ++hand_overs_;
      return;
  }
}

std::int32_t Owner::sleep_limit_ms(std::uint64_t now_ms) {
  std::int32_t limit = -1;
  for (std::uint32_t i = 0; i < engine_.worker_count(); ++i) {
    const Seat& seat = seats_[i];
    std::int32_t one = engine_.worker(i).sleep_limit_ms(now_ms);
    if (seat.stepper != Stepper::owner && seat.asleep) {
      const bool due = seat.wakes_at_ms <= now_ms;
      one = seat.wakes_at_ms == kNever ? -1 : due ? 0 : static_cast<std::int32_t>(seat.wakes_at_ms - now_ms);
    }
    if (one >= 0 && (limit < 0 || one < limit)) limit = one;
  }
  return limit;
}

bool Owner::act() {
  if (random_.chance(habits_.lazy_percent)) return false;
  bool busy = false;
  for (std::uint32_t lane = 0; lane < engine_.lane_count(); ++lane) {
    engine_.take(lane, &batch_);
    std::size_t next_large = 0;
    for (const iocp::Mailbox::Range& range : batch_.ranges) {
      busy = true;
      // As JavaScript does: the replacement first, so that reading goes on while the records are looked at.
      if (range.retired) ++owed_[lane];
      read_records(slabs_[range.slab_index].get() + range.begin, range.end - range.begin, batch_.larges, &next_large);
      if (range.retired) slabs_.erase(range.slab_index);
    }
    CHECK_EQ(next_large, batch_.larges.size());
    for (const iocp::LargePayload& large : batch_.larges) large.free();
    // Threads go on while an owner reads.
    if (random_.chance(20)) threads_turn();
    engine_.delivered(lane, batch_);
    while (owed_[lane] > 0 && !random_.chance(habits_.stingy_percent)) {
      --owed_[lane];
      supply(lane);
      busy = true;
    }
  }
  misbehave();
  flush();
  return busy;
}

void Owner::read_records(const std::uint8_t* bytes, std::size_t length, const std::vector<iocp::LargePayload>& larges,
                         std::size_t* next_large) {
  std::size_t at = 0;
  while (at < length) {
    iocp::RecordHeader header;
    std::memcpy(&header, bytes + at, sizeof header);
    const std::uint8_t* body = bytes + at + sizeof header;
    std::uint32_t words[12] = {};
    std::memcpy(words, body, std::min<std::size_t>(header.length, sizeof words));
    at += iocp::record_bytes(header.length);
    REQUIRE(!closed_);
    switch (static_cast<RecordKind>(header.kind)) {
      case RecordKind::package:
        on_package(header.slot, iocp::ConstBytes(body, header.length));
        break;
      case RecordKind::series:
        CHECK(header.length > 0);
        iocp::for_each_in_series(iocp::ConstBytes(body, header.length), iocp::series_room(engine_.options().framing),
                                 [&](iocp::ConstBytes payload) { on_package(header.slot, payload); });
        break;
      case RecordKind::large: {
        REQUIRE(*next_large < larges.size());
        const iocp::LargePayload& large = larges[(*next_large)++];
        CHECK(large.length > iocp::kInlinePayloadMax);
        on_package(header.slot, iocp::ConstBytes(large.payload, large.length));
        break;
      }
      case RecordKind::connected:
        on_connected(header.slot, words);
        break;
      case RecordKind::ended: {
        Context& context = context_at(header.slot);
        REQUIRE(!context.ended);
        context.ended = true;
        flush();
        engine_.finish(header.slot, context.generation);
        break;
      }
      case RecordKind::drain:
        CHECK(header.extra <= engine_.options().low_water_mark);
        context_at(header.slot);
        break;
      case RecordKind::written:
        on_written(context_at(header.slot), header.extra);
        break;
      case RecordKind::disconnected:
        on_disconnected(header.slot, words);
        break;
      case RecordKind::refused:
        ++refused_;
        break;
      case RecordKind::connect_failed:
        REQUIRE(connecting_.erase(header.extra) == 1);
        ++connect_failures_;
        break;
      case RecordKind::listener_failed:
        break;
      case RecordKind::closed:
        CHECK(closing_);
        CHECK(contexts_.empty());
        closed_ = true;
        break;
      case RecordKind::leaving:
        CHECK(false);  // only a logical worker is told that
        break;
      case RecordKind::file:
        CHECK(false);  // nobody here sends files
        break;
    }
  }
  REQUIRE(at == length);
}

Owner::Context& Owner::context_at(std::uint32_t slot) {
  const auto found = contexts_.find(slot);
  REQUIRE(found != contexts_.end());
  return found->second;
}

void Owner::on_connected(std::uint32_t slot, const std::uint32_t* words) {
  REQUIRE(!contexts_.contains(slot));
  CHECK(words[0] > generations_[slot]);
  generations_[slot] = words[0];
  Context context;
  context.generation = words[0];
  context.outgoing = words[1] != 0;
  context.port = static_cast<std::uint16_t>(context.outgoing ? words[4] : words[3]);
  if (context.outgoing) {
    const auto request = connecting_.find(words[1]);
    REQUIRE(request != connecting_.end());
    context.stream = request->second;
    context.stream_known = true;
    directory_.stream_of_port[context.port] = context.stream;
    connecting_.erase(request);
  }
  Context& placed = contexts_[slot] = context;
  if (placed.outgoing) send_more(slot, placed);
}

bool Owner::know_stream(Context& context) {
  if (context.stream_known) return true;
  const auto found = directory_.stream_of_port.find(context.port);
  if (found == directory_.stream_of_port.end()) return false;
  context.stream = found->second;
  context.stream_known = true;
  return true;
}

void Owner::on_written(Context& context, std::uint32_t token) {
  CHECK(habits_.lossy ? token >= context.written_token : token == context.written_token);
  context.written_token = token + 1;
}

void Owner::verify(Context& context, iocp::ConstBytes payload) {
  const auto expected = payload_of(engine_.options().framing, context.stream, context.received);
  REQUIRE(payload.size() == expected.size());
  REQUIRE(std::equal(payload.begin(), payload.end(), expected.begin()));
  ++context.received;
}

void Owner::on_package(std::uint32_t slot, iocp::ConstBytes payload) {
  Context& context = context_at(slot);
  REQUIRE(know_stream(context));
  REQUIRE(!context.ended);
  if (habits_.lossy) {
    ++context.received;
  } else if (engine_.options().framing.type == iocp::FramingType::none) {
    // Chunks as they come: put together again, they must be the packages one after the other.
    context.unframed.insert(context.unframed.end(), payload.begin(), payload.end());
    for (;;) {
      const auto expected = payload_of(engine_.options().framing, context.stream, context.received);
      if (context.unframed.size() < expected.size()) break;
      verify(context, iocp::ConstBytes(context.unframed.data(), expected.size()));
      context.unframed.erase(context.unframed.begin(),
                             context.unframed.begin() + static_cast<std::ptrdiff_t>(expected.size()));
      if (context.outgoing && context.received == habits_.packages_to_send) break;
      if (context.unframed.empty()) break;
    }
  } else {
    verify(context, payload);
  }
  if (context.outgoing) {
    send_more(slot, context);
  } else {
    send(slot, context, payload);
  }
}

void Owner::send_more(std::uint32_t slot, Context& context) {
  if (closing_) return;
  // A window of packages in flight; the connection ends when all of them came back.
  while (context.sent < habits_.packages_to_send && context.sent < context.received + 8) {
    const auto payload = payload_of(engine_.options().framing, context.stream, context.sent++);
    send(slot, context, payload);
  }
  if (context.received >= habits_.packages_to_send && !context.aborted) {
    flush();
    context.aborted = !random_.chance(70);
    engine_.disconnect(slot, context.generation, !context.aborted, 5'000);
  }
}

void Owner::send(std::uint32_t slot, Context& context, iocp::ConstBytes payload) {
  if (random_.chance(5)) {
    flush();
    engine_.send(slot, context.generation, payload, 0);
    return;
  }
  if (random_.chance(10)) {
    const std::uint32_t notify = iocp::kOutputNotify | (context.next_token++ << iocp::kOutputTokenShift);
    output_.add(slot, context.generation, payload, notify);
  } else if (output_.admits_to_series(payload) && random_.chance(70)) {
    output_.add_to_series(slot, context.generation, payload);
  } else {
    output_.add(slot, context.generation, payload, 0);
  }
}

void Owner::flush() {
  if (!output_.empty()) engine_.submit_batch(output_.take(), false);
}

void Owner::on_disconnected(std::uint32_t slot, const std::uint32_t* words) {
  Context& context = context_at(slot);
  if (know_stream(context)) {
    StreamOutcome& outcome = outcomes_[context.stream];
    CHECK(!outcome.disconnected);
    outcome.disconnected = true;
    outcome.packages = context.received;
    outcome.status = static_cast<iocp::Status>(words[1]);
  }
  contexts_.erase(slot);
}

void Owner::misbehave() {
  if (contexts_.empty()) return;
  auto chosen = contexts_.begin();
  std::advance(chosen, random_.below(static_cast<std::uint32_t>(contexts_.size())));
  auto& [slot, context] = *chosen;
  if (habits_.rude && random_.chance(3) && !context.aborted) {
    context.aborted = !random_.chance(40);
    engine_.disconnect(slot, context.generation, !context.aborted, random_.pick<std::uint32_t>({0, 10, 5'000}));
    return;
  }
  if (context.paused ? random_.chance(40) : random_.chance(habits_.pausing_percent)) {
    context.paused = !context.paused;
    if (context.paused) {
      engine_.pause(slot, context.generation);
    } else {
      engine_.resume(slot, context.generation);
    }
  }
}

void Owner::stop_misbehaving() {
  habits_.rude = false;
  habits_.lazy_percent = habits_.stingy_percent = habits_.pausing_percent = 0;
  for (auto& [slot, context] : contexts_) {
    if (!context.paused) continue;
    context.paused = false;
    engine_.resume(slot, context.generation);
  }
}

iocp::Address Owner::listen() {
  iocp::ListenOptions options;
  REQUIRE(iocp::parse_ip("127.0.0.1", 0, &options.address));
  const iocp::Engine::Listening result = engine_.listen(options);
  REQUIRE(result.status == iocp::Status::ok);
  return result.bound;
}

void Owner::connect(const iocp::Address& to, std::uint32_t stream) {
  const std::uint32_t token = next_token_++;
  connecting_[token] = stream;
  const iocp::Status status = engine_.connect(token, to, {}, {}, random_.pick<std::uint32_t>({0, 50, 10'000}));
  REQUIRE(status == iocp::Status::ok);
}

void Owner::close(std::uint32_t grace_ms) {
  flush();
  closing_ = true;
  engine_.close(grace_ms);
}

}  // namespace simulation
