// The whole engine in a simulated world: thousands of seeds, each its own options, network, faults, peers and moods.
// A failing seed is printed and replays with `--seed N`. Nothing here may depend on real time or real sockets.
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "core/limits.h"
#include "core/worker.h"
#include "port/sim/sim_world.h"
#include "simulation/owner.h"
#include "simulation/traffic.h"
#include "support/test.h"

namespace simulation {
namespace {

using iocp::SimFaults;
using iocp::SimPeer;
using iocp::SimWorld;
using iocp::Status;

constexpr std::uint64_t kSeeds = IOCP_SIMULATED_SEEDS;
constexpr std::uint32_t kClientStreams = 1'000;  // streams of engine-made connections start here

enum class Farewell : std::uint8_t { finish, close, reset, mid_package, illegal };

// A peer without an engine: sends a prepared stream in random pieces and expects every byte of it back.
struct Script {
  SimPeer peer;
  std::uint32_t stream = 0;
  std::uint32_t packages = 0;
  std::vector<std::uint8_t> to_send;
  std::size_t whole_bytes = 0;  // of complete packages
  std::size_t sent = 0;
  std::size_t received = 0;
  Farewell farewell = Farewell::finish;
  bool said_farewell = false;
  bool done = false;
};

struct Plan {
  iocp::EngineOptions server;
  iocp::EngineOptions client;
  OwnerHabits server_habits;
  OwnerHabits client_habits;
  SimFaults faults;
  bool calm = false;     // no failures, nobody rude: everything must arrive
  bool crash = false;    // shut down in the middle
  bool starved = false;  // the system is short of buffers, which loses nothing either
  std::uint32_t scripts = 0;
  std::uint32_t outgoing = 0;
};

iocp::EngineOptions random_options(Random& random, const iocp::Framing& framing) {
  iocp::EngineOptions options;
  options.lanes = random.pick<std::uint32_t>({1, 1, 2, 3});
  options.pending_reads = random.pick<std::uint32_t>({1, 1, 2, 4, 16});
  options.zero_byte_reads = random.chance(75);
  options.max_free_buffers = random.pick<std::int64_t>({-1, 0, 3, 1024});
  options.max_free_contexts = random.pick<std::int64_t>({-1, 0, 2, 1024});
  options.framing = framing;
  options.low_water_mark = random.pick<std::uint64_t>({100, 4'096});
  options.high_water_mark = options.low_water_mark * 2;
  options.max_queued_bytes = 64 * 1024 * 1024;
  return options;
}

Plan random_plan(Random& random) {
  Plan plan;
  const iocp::Framing framing = random_framing(random);
  plan.server = random_options(random, framing);
  plan.client = random_options(random, framing);
  plan.calm = random.chance(60);
  plan.crash = !plan.calm && random.chance(30);
  plan.faults = plan.calm ? (random.chance(30) ? SimFaults{} : SimFaults::gentle()) : SimFaults::hostile();
  plan.starved = plan.calm && random.chance(30);
  plan.scripts = random.below(8);
  plan.outgoing = random.below(6);
  plan.server_habits.rude = !plan.calm && random.chance(50);
  for (OwnerHabits* habits : {&plan.server_habits, &plan.client_habits}) {
    habits->lazy_percent = random.pick<std::uint32_t>({0, 0, 30, 90});
    habits->stingy_percent = random.pick<std::uint32_t>({0, 0, 50, 95});
    habits->pausing_percent = random.pick<std::uint32_t>({0, 0, 10});
  }
  plan.client_habits.packages_to_send = 1 + random.below(60);
  if (!plan.calm && random.chance(30)) {
    plan.server.max_connections = 1 + random.below(5);
    plan.server.max_queued_bytes = 2'000;
    plan.server.on_overflow = random.pick({iocp::OverflowPolicy::disconnect, iocp::OverflowPolicy::drop});
    const bool lossy = plan.server.on_overflow == iocp::OverflowPolicy::drop;
    plan.server_habits.lossy = plan.client_habits.lossy = lossy;
  }
  return plan;
}

// Shortages of one kind and another, now and then or all the time.
void starve(Random& random, SimFaults* faults) {
  faults->no_buffer_space = random.pick<std::uint32_t>({0, 40, 300});
  faults->pending_no_buffer_space = random.pick<std::uint32_t>({0, 40, 300});
  faults->read_now_no_buffer_space = random.pick<std::uint32_t>({0, 40, 300});
  faults->accept_no_buffer_space = random.pick<std::uint32_t>({0, 40, 300});
  faults->lockable_read_bytes = random.pick<std::uint64_t>({0, 20'000, 60'000, UINT64_MAX});
  faults->largest_write_bytes = random.pick<std::uint64_t>({iocp::kLeastWriteBytes, 10'000, UINT64_MAX});
}

// With every other seed threads step the engines now and then, and no longer: hand-overs at any step.
void make_restless(Random moods, Plan* plan) {
  for (OwnerHabits* habits : {&plan->server_habits, &plan->client_habits}) {
    habits->restless_percent = moods.pick<std::uint32_t>({0, 2, 20, 60});
  }
}

// From generators of their own, so that the seeds below keep the plans they had when they were written down.
Plan plan_of(std::uint64_t seed, Random& random) {
  Plan plan = random_plan(random);
  Random more(~seed);
  plan.server.buffer_when_busy = more.chance(50);
  plan.client.buffer_when_busy = more.chance(50);
  if (plan.starved) starve(more, &plan.faults);
  if (seed % 2 == 0) make_restless(Random(seed), &plan);
  return plan;
}

// Over all seeds of this process.
struct Shortages {
  double met = 0;
  std::uint64_t injected = 0;
} shortages;

// One seed from its first connection to the audit of an empty world.
class Run {
 public:
  explicit Run(std::uint64_t seed) : random_(seed), plan_(plan_of(seed, random_)), world_(seed, plan_.faults) {}

  std::uint32_t hand_overs() const { return hand_overs_; }
  std::uint64_t arenas_begun() const { return arenas_begun_; }

  void play() {
    const iocp::SimWorldScope scope(world_);
    {
      Owner server(plan_.server, plan_.server_habits, directory_, random_);
      Owner client(plan_.client, plan_.client_habits, directory_, random_);
      server_ = &server;
      client_ = &client;
      const iocp::Address address = server.listen();
      start_scripts(address);
      for (std::uint32_t i = 0; i < plan_.outgoing; ++i) client.connect(address, kClientStreams + i);
      if (plan_.crash) {
        const std::uint32_t rounds = random_.below(400);
        for (std::uint32_t i = 0; i < rounds; ++i) round();
      } else {
        traffic();
        goodbye();
      }
      hand_overs_ = server.hand_overs() + client.hand_overs();
      arenas_begun_ = server.arenas_begun() + client.arenas_begun();
    }
    // Both engines are gone, and their pools have checked that everything came back.
    scripts_.clear();
    CHECK(world_.advance_until_idle());
    const iocp::SimAudit audit = world_.audit();
    CHECK_EQ(audit.sockets, std::size_t{0});
    CHECK_EQ(audit.operations, std::size_t{0});
    CHECK_EQ(audit.raw_sockets, std::size_t{0});
  }

 private:
  void start_scripts(const iocp::Address& address) {
    const iocp::Framing& framing = plan_.server.framing;
    for (std::uint32_t i = 0; i < plan_.scripts; ++i) {
      auto script = std::make_unique<Script>();
      script->stream = i;
      script->packages = random_.below(80);
      for (std::uint32_t number = 0; number < script->packages; ++number) {
        const auto frame = frame_of(framing, payload_of(framing, i, number));
        script->to_send.insert(script->to_send.end(), frame.begin(), frame.end());
      }
      script->whole_bytes = script->to_send.size();
      script->farewell = random_.pick({Farewell::finish, Farewell::finish, Farewell::close, Farewell::reset,
                                       Farewell::mid_package, Farewell::illegal});
      add_bad_ending(*script);
      script->peer = world_.connect_peer(address);
      directory_.stream_of_port[script->peer.local_address().port] = i;
      scripts_.push_back(std::move(script));
    }
  }

  void add_bad_ending(Script& script) {
    const iocp::Framing& framing = plan_.server.framing;
    if (script.farewell == Farewell::illegal) {
      const auto bytes = illegal_bytes(framing);
      if (bytes.empty()) script.farewell = Farewell::finish;
      script.to_send.insert(script.to_send.end(), bytes.begin(), bytes.end());
    }
    if (script.farewell == Farewell::mid_package) {
      const auto frame = frame_of(framing, payload_of(framing, script.stream, script.packages));
      if (frame.size() < 2 || framing.type == iocp::FramingType::none) {
        script.farewell = Farewell::finish;
        return;
      }
      const auto cut = static_cast<std::ptrdiff_t>(1 + random_.below(static_cast<std::uint32_t>(frame.size() - 1)));
      script.to_send.insert(script.to_send.end(), frame.begin(), frame.begin() + cut);
    }
  }

  bool act(Script& script) {
    if (script.done) return false;
    bool busy = false;
    const auto bytes = script.peer.receive(random_.chance(80) ? SIZE_MAX : random_.below(50));
    if (!bytes.empty()) {
      busy = true;
      REQUIRE(script.received + bytes.size() <= script.to_send.size());
      const bool echoed =
          std::equal(bytes.begin(), bytes.end(), script.to_send.begin() + static_cast<std::ptrdiff_t>(script.received));
      REQUIRE(echoed || plan_.server_habits.lossy);
      script.received += bytes.size();
    }
    if (script.sent < script.to_send.size() && random_.chance(60)) {
      const std::size_t rest = script.to_send.size() - script.sent;
      const std::size_t piece = std::min<std::size_t>(rest, random_.chance(20) ? 1 : 1 + random_.below(9'000));
      script.peer.send(iocp::ConstBytes(script.to_send.data() + script.sent, piece));
      script.sent += piece;
      busy = true;
    }
    busy = say_farewell(script) || busy;
    const bool over = script.peer.ended() || script.peer.was_reset() || script.peer.status() != Status::ok;
    if (over && script.peer.readable() == 0) {
      script.done = true;
      script.peer.close();
      busy = true;
    }
    return busy;
  }

  bool say_farewell(Script& script) {
    if (script.said_farewell || script.sent < script.to_send.size()) return false;
    switch (script.farewell) {
      case Farewell::finish:
      case Farewell::mid_package:
        script.peer.finish();
        break;
      case Farewell::close:
        // Only once everything came back, or unread bytes would make it a reset.
        if (script.received < script.to_send.size()) return false;
        script.peer.close();
        script.done = true;
        break;
      case Farewell::reset:
        script.peer.reset();
        script.done = true;
        break;
      case Farewell::illegal:
        break;  // the server ends it
    }
    script.said_farewell = true;
    return true;
  }

  // Everybody gets a turn. When nobody had anything to do, time passes.
  void round() {
    ++rounds_;
    bool busy = server_->step(world_.now_ms());
    busy = client_->step(world_.now_ms()) || busy;
    busy = server_->act() || busy;
    busy = client_->act() || busy;
    for (const auto& script : scripts_) busy = act(*script) || busy;
    if (busy && !random_.chance(5)) return;
    std::uint64_t wait = 50;
    if (world_.next_due_ms() != SimWorld::kNever) wait = std::min(wait, world_.next_due_ms() - world_.now_ms());
    for (Owner* owner : {server_, client_}) {
      const std::int32_t limit = owner->sleep_limit_ms(world_.now_ms());
      if (limit >= 0) wait = std::min<std::uint64_t>(wait, static_cast<std::uint64_t>(limit));
    }
    world_.advance(std::max<std::uint64_t>(wait, 1));
  }

  bool scripts_done() const {
    return std::all_of(scripts_.begin(), scripts_.end(), [](const auto& script) { return script->done; });
  }

  void traffic() {
    constexpr std::uint32_t kMisbehaviourRounds = 3'000;
    constexpr std::uint32_t kRoundsMax = 60'000;
    while (!scripts_done() || client_->connects_pending() > 0 || !client_->idle() || (plan_.calm && !server_->idle())) {
      round();
      if (rounds_ == kMisbehaviourRounds) {
        server_->stop_misbehaving();
        client_->stop_misbehaving();
      }
      if (rounds_ < kRoundsMax) continue;
      // A hostile network may leave a peer without an answer for ever; a calm one may not.
      REQUIRE(!plan_.calm);
      return;
    }
    if (plan_.calm) check_everything_arrived();
  }

  void check_everything_arrived() const {
    for (const auto& script : scripts_) {
      const bool whole = script->farewell == Farewell::finish || script->farewell == Farewell::close;
      if (whole) CHECK_EQ(script->received, script->to_send.size());
      const auto found = server_->outcomes().find(script->stream);
      // A peer that resets, or that says nothing and closes, may be gone before it was accepted.
      if (script->farewell == Farewell::reset) continue;
      if (found == server_->outcomes().end() && script->packages == 0) continue;
      REQUIRE(found != server_->outcomes().end());
      const StreamOutcome& outcome = found->second;
      CHECK_EQ(outcome.packages, script->packages);
      switch (script->farewell) {
        case Farewell::finish:
        case Farewell::close:
          // Who closes before it was accepted, without a word, may as well have reset.
          if (script->packages > 0) CHECK_EQ(outcome.status, Status::peer_closed);
          break;
        case Farewell::mid_package:
          CHECK_EQ(outcome.status, Status::package_incomplete);
          break;
        case Farewell::illegal:
          CHECK_EQ(outcome.status, Status::package_too_large);
          break;
        case Farewell::reset:
          break;
      }
    }
    CHECK_EQ(client_->connect_failures() + client_->outcomes().size(), std::size_t{plan_.outgoing});
    for (const auto& [stream, outcome] : client_->outcomes()) {
      CHECK_EQ(outcome.packages, plan_.client_habits.packages_to_send);
      CHECK_EQ(server_->outcomes().at(stream).packages, plan_.client_habits.packages_to_send);
    }
  }

  void goodbye() {
    constexpr std::uint32_t kRoundsMax = 20'000;
    server_->stop_misbehaving();
    client_->stop_misbehaving();
    server_->close(random_.pick<std::uint32_t>({0, 100, 5'000}));
    client_->close(random_.pick<std::uint32_t>({0, 100, 5'000}));
    for (std::uint32_t i = 0; i < kRoundsMax && !(server_->closed() && client_->closed()); ++i) round();
    REQUIRE(server_->closed() && client_->closed());
    if (plan_.starved) shortages.injected += world_.shortages();
    std::vector<double> figures(iocp::Engine::stat_count());
    for (Owner* owner : {server_, client_}) {
      owner->engine().stats(figures.data());
      const auto figure = [&](const std::string& name) {
        for (std::size_t i = 0; i < figures.size(); ++i) {
          if (name == iocp::Engine::stat_name(i)) return figures[i];
        }
        return -1.0;
      };
      if (plan_.starved) shortages.met += figure("bufferShortages");
      CHECK_EQ(figure("connections"), 0.0);
      CHECK_EQ(figure("contexts.live"), 0.0);
      CHECK_EQ(figure("sendBuffers.inUse"), 0.0);
      CHECK_EQ(figure("readBuffers.inUse"), 0.0);
    }
  }

  Random random_;
  Plan plan_;
  SimWorld world_;
  Directory directory_;
  std::vector<std::unique_ptr<Script>> scripts_;
  Owner* server_ = nullptr;
  Owner* client_ = nullptr;
  std::uint32_t rounds_ = 0;
  std::uint32_t hand_overs_ = 0;
  std::uint64_t arenas_begun_ = 0;
};

}  // namespace

TEST_WITHIN("every seed keeps every promise: order, exactly once, one disconnect, nothing left behind", 200) {
  // The same seeds every time, so that a green run stays green; explore others with --seed.
  const std::uint64_t first = test::seed_given() ? test::seed() : 1;
  const std::uint64_t count = test::seed_given() ? 1 : kSeeds;
  std::uint64_t hand_overs = 0;
  std::uint64_t arenas_begun = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    test::context("seed " + std::to_string(first + i) + " (replay it with --seed " + std::to_string(first + i) + ")");
    Run run(first + i);
    run.play();
    if (test::case_failed()) return;
    hand_overs += run.hand_overs();
    arenas_begun += run.arenas_begun();
  }
  if (test::seed_given()) return;
  CHECK(hand_overs > count);
  CHECK(arenas_begun > count / 20);
  // Each was answered once, but for those that came home to a connection that had ended meanwhile.
  CHECK(shortages.injected > count);
  CHECK(shortages.met <= static_cast<double>(shortages.injected));
  CHECK(shortages.met >= 0.9 * static_cast<double>(shortages.injected));
}

TEST("seeds that once broke a promise keep it") {
  // 21277, 31249: the end of a paused stream was read before its last package, which waited for room.
  for (const std::uint64_t seed : {std::uint64_t{21277}, std::uint64_t{31249}}) {
    test::context("seed " + std::to_string(seed));
    Run(seed).play();
  }
}

}  // namespace simulation
