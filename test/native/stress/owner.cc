// The owner's loop, and the books it keeps.
#include "stress/owner.h"

#include <array>
#include <cstring>
#include <utility>

#include "core/limits.h"
#include "core/series.h"
#include "core/worker.h"
#include "port/check.h"

namespace stress {

using iocp::ConstBytes;
using iocp::RecordKind;

namespace {

// After so many rounds tasks get their turn even if events keep coming.
constexpr int kRoundsMax = 8;

template <std::size_t N>
std::array<std::uint32_t, N> words_of(ConstBytes body) {
  std::array<std::uint32_t, N> words;
  IOCP_CHECK(body.size() >= sizeof words);
  std::memcpy(words.data(), body.data(), sizeof words);
  return words;
}

}  // namespace

void Handler::ended(Owner& owner, Peer peer) { owner.engine().finish(peer.slot, peer.generation); }

void Owner::ring(void* owner) {
  auto& self = *static_cast<Owner*>(owner);
  const std::lock_guard guard(self.mutex_);
  self.rung_ = true;
  self.changed_.notify_all();
}

Owner::Owner(const iocp::EngineOptions& options, Handler& handler, Slabs slabs, Stepping stepping)
    : handler_(handler), slabs_(slabs), engine_(options, {&Owner::ring, this}), output_(options.framing) {
  IOCP_CHECK(engine_.start() == iocp::Status::ok);
  for (std::uint32_t lane = 0; lane < engine_.lane_count(); ++lane) {
    for (std::size_t i = 0; i < slabs_.per_lane; ++i) supply(lane);
  }
  switch (stepping) {
    case Stepping::threads:
      IOCP_CHECK(workers_.start(engine_));
      break;
    case Stepping::turns:
      standby_ = std::make_unique<iocp::StandbyThread>(engine_, iocp::Doorbell{&Owner::ring, this});
      break;
  }
  thread_ = std::thread([this] { loop(); });
}

void Owner::run(std::function<void()> task) {
  bool done = false;
  post([&] {
    task();
    const std::lock_guard guard(mutex_);
    done = true;
    changed_.notify_all();
  });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done; });
}

void Owner::post(std::function<void()> task) {
  const std::lock_guard guard(mutex_);
  tasks_.push_back(std::move(task));
  changed_.notify_all();
}

void Owner::hold(bool held) {
  const std::lock_guard guard(mutex_);
  held_ = held;
  changed_.notify_all();
}

void Owner::wait_until_closed() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_; });
}

void Owner::stop() {
  if (stopped_) return;
  stopped_ = true;
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
  workers_.stop();
  if (standby_ != nullptr) standby_->stop();
  engine_.shut_down();
}

iocp::Address Owner::listen() {
  iocp::ListenOptions options;
  IOCP_CHECK(iocp::parse_ip("127.0.0.1", 0, &options.address));
  iocp::Engine::Listening result;
  run([&] { result = engine_.listen(options); });
  IOCP_CHECK(result.status == iocp::Status::ok);
  return result.bound;
}

void Owner::expect_nothing_left() {
  const auto expect_zero = [this](const char* name, std::uint64_t count) {
    if (count != 0) complain(std::string(name) + " left over: " + std::to_string(count));
  };
  expect_zero("contexts", engine_.table().live());
  expect_zero("memory of contexts", engine_.table().pool_counts().in_use);
  expect_zero("send buffers", engine_.send_buffers().counts().in_use);
  expect_zero("read buffers", engine_.read_buffers().counts().in_use);
  for (std::size_t i = 0; i < engine_.lane_count(); ++i) {
    expect_zero("read operations", engine_.lane(i).read_operations.counts().in_use);
    expect_zero("write operations", engine_.lane(i).write_operations.counts().in_use);
  }
}

double Owner::figure(const char* name) const {
  std::vector<double> figures(iocp::Engine::stat_count());
  engine_.stats(figures.data());
  for (std::size_t i = 0; i < figures.size(); ++i) {
    if (std::strcmp(iocp::Engine::stat_name(i), name) == 0) return figures[i];
  }
  IOCP_UNREACHABLE("a figure of no such name");
}

void Owner::send(Peer peer, ConstBytes payload, std::uint32_t flags) {
  if (flags == 0 && output_.admits_to_series(payload)) {
    output_.add_to_series(peer.slot, peer.generation, payload);
  } else {
    output_.add(peer.slot, peer.generation, payload, flags);
  }
}

void Owner::flush() {
  if (!output_.empty()) engine_.submit_batch(output_.take(), false);
}

void Owner::complain(const std::string& what) {
  // The first few say it; a broken promise tends to be broken thousands of times.
  if (complaints_.size() < 2'000) complaints_ += what + "\n";
}

void Owner::loop() {
  for (;;) {
    std::vector<std::function<void()>> tasks;
    bool may_take = false;
    {
      std::unique_lock lock(mutex_);
      const bool sleeps = !steps_itself();
      if (sleeps) changed_.wait(lock, [&] { return stopping_ || !tasks_.empty() || (rung_ && !held_); });
      if (stopping_) return;
      tasks.swap(tasks_);
      may_take = (rung_ || !sleeps) && !held_;
      if (may_take) rung_ = false;
    }
    for (const std::function<void()>& task : tasks) task();
    flush();
    if (steps_itself()) step();
    if (may_take) take_everything();
    if (standby_ != nullptr) change_stepper();
  }
}

void Owner::step() {
  constexpr std::int32_t kTasksWaitAtMostMs = 1;
  iocp::Worker& worker = engine_.worker(0);
  worker.collect(kTasksWaitAtMostMs);
  worker.step(iocp::monotonic_ms());
}

void Owner::change_stepper() {
  if (standby_->reclaim() || --rounds_until_change_ > 0) return;
  // Uneven, so that the changes meet every moment of the traffic.
  rounds_until_change_ = 1 + (generations_.size() * 7 + batch_.ranges.size() * 13 + ++changes_ * 31) % 6;
  if (standby_->owner_steps()) {
    IOCP_CHECK(standby_->take_over());
  } else {
    standby_->recall();
  }
}

void Owner::take_everything() {
  for (int round = 0; round < kRoundsMax; ++round) {
    for (std::uint32_t lane = 0; lane < engine_.lane_count(); ++lane) {
      engine_.take(lane, &batch_);
      next_large_ = 0;
      for (const iocp::Mailbox::Range& range : batch_.ranges) read(lane, range);
      if (next_large_ != batch_.larges.size()) complain("large payloads without a record");
      engine_.delivered(lane, batch_);
    }
    flush();
    if (!engine_.has_events()) break;
  }
  const std::lock_guard guard(mutex_);
  // What waited for a slab comes without a ring, because the owner itself made the room; and a round may be too few.
  if (engine_.has_events()) rung_ = true;
  closed_ = closed_seen_;
  changed_.notify_all();
}

void Owner::supply(std::uint32_t lane) {
  const std::uint32_t index = next_index_++ % (iocp::kSlabIndexMax + 1);
  IOCP_CHECK(!lent_.contains(index));
  Slab& slab = lent_[index];
  slab.memory.reset(new std::uint64_t[slabs_.bytes / sizeof(std::uint64_t)]);
  engine_.supply(lane, index, reinterpret_cast<std::uint8_t*>(slab.memory.get()), slabs_.bytes);
}

void Owner::read(std::uint32_t lane, const iocp::Mailbox::Range& range) {
  const auto found = lent_.find(range.slab_index);
  if (found == lent_.end()) return complain("a range of a slab that is not lent");
  Slab& slab = found->second;
  if (range.begin == 0 && !slab.has_payloads) slab.read = 0;  // written again, as nobody needs what was there
  if (range.begin != slab.read || range.end > slabs_.bytes) return complain("ranges that do not join");
  const auto* const memory = reinterpret_cast<const std::uint8_t*>(slab.memory.get());
  while (slab.read < range.end) {
    iocp::RecordHeader header;
    std::memcpy(&header, memory + slab.read, sizeof header);
    const ConstBytes body(memory + slab.read + sizeof header, header.length);
    slab.read += static_cast<std::uint32_t>(iocp::record_bytes(header.length));
    const auto kind = static_cast<RecordKind>(header.kind);
    if (kind == RecordKind::package || kind == RecordKind::series) slab.has_payloads = true;
    dispatch(lane, header, body);
  }
  if (slab.read != range.end) complain("a record that leaves its range");
  if (!range.retired) return;
  lent_.erase(found);
  supply(lane);
}

void Owner::dispatch(std::uint32_t lane, const iocp::RecordHeader& header, ConstBytes body) {
  if (closed_seen_) complain("a record after `closed`");
  const auto kind = static_cast<RecordKind>(header.kind);
  const auto found = live_.find(header.slot);
  const bool about_context =
      kind == RecordKind::series || (kind != RecordKind::connected && kind < RecordKind::refused);
  if (about_context && (found == live_.end() || header.slot % engine_.lane_count() != lane)) {
    return complain("a record of kind " + std::to_string(header.kind) + " about a context that is not live there");
  }
  const Peer peer = about_context ? Peer{header.slot, found->second} : Peer{};
  switch (kind) {
    case RecordKind::package:
      return handler_.package(*this, peer, body);
    case RecordKind::series:
      iocp::for_each_in_series(body, iocp::series_room(engine_.options().framing),
                               [&](ConstBytes payload) { handler_.package(*this, peer, payload); });
      return;
    case RecordKind::large:
      return on_large(peer);
    case RecordKind::connected:
      return on_connected(header, body);
    case RecordKind::ended:
      return handler_.ended(*this, peer);
    case RecordKind::drain:
      return handler_.drain(*this, peer);
    case RecordKind::written:
      return handler_.written(*this, peer, header.extra);
    case RecordKind::disconnected:
      return on_disconnected(peer, body);
    case RecordKind::refused:
    case RecordKind::listener_failed:
      return complain("a refused connection or a failed listener");
    case RecordKind::connect_failed:
      return handler_.connect_failed(*this, header.extra, static_cast<iocp::Status>(words_of<2>(body)[0]));
    case RecordKind::leaving:
      return complain("a record that only logical workers get");
    case RecordKind::closed: {
      closed_seen_ = true;
      if (!live_.empty()) complain("closed before every context had its disconnected record");
      const auto words = words_of<2>(body);
      return handler_.closed(*this, words[0], words[1]);
    }
    case RecordKind::file:
      return complain("a record about a file, though nobody sends one");
  }
  complain("a record of an unknown kind");
}

void Owner::on_connected(const iocp::RecordHeader& header, ConstBytes body) {
  const auto words = words_of<8>(body);
  const Peer peer = {header.slot, words[0]};
  if (!live_.emplace(peer.slot, peer.generation).second) complain("connected twice");
  std::uint32_t& last = generations_[peer.slot];
  if (peer.generation <= last) complain("a generation that was there before");
  last = peer.generation;
  handler_.connected(*this, peer, words[1]);
}

void Owner::on_disconnected(Peer peer, ConstBytes body) {
  live_.erase(peer.slot);
  const auto words = words_of<12>(body);
  handler_.disconnected(*this, peer,
                        {static_cast<iocp::DisconnectedBy>(words[0]), static_cast<iocp::Status>(words[1])});
}

void Owner::on_large(Peer peer) {
  if (next_large_ >= batch_.larges.size()) return complain("a large record without its payload");
  const iocp::LargePayload& payload = batch_.larges[next_large_++];
  handler_.package(*this, peer, ConstBytes(payload.payload, payload.length));
  payload.free();
}

}  // namespace stress
