// Logical workers on threads of their own, to whom a real engine delivers packages: they come, retire and die while
// traffic goes on. As long as none dies every message is echoed once and in order, whoever serves its connection; when
// they die the connections end that they had, and the books are in order all the same.
#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "core/logical_worker.h"
#include "core/records.h"
#include "port/check.h"
#include "stress/engines.h"
#include "stress/owner.h"
#include "stress/traffic.h"
#include "support/test.h"

using iocp::ConstBytes;
using iocp::LogicalWorker;
using iocp::RecordKind;
using stress::Owner;

namespace {

constexpr std::size_t kSlabBytes = 32 * 1024;

class SleepingBell : public iocp::Bell {
 public:
  void ring() noexcept override {
    rung_.store(1, std::memory_order_release);
    iocp::wake_word(rung_);
  }
  void sleep() {
    while (rung_.exchange(0, std::memory_order_acq_rel) == 0) iocp::wait_on_word(rung_, 0);
  }

 private:
  std::atomic<std::uint32_t> rung_{0};
};

// A logical worker that echoes.
class Echo {
 public:
  enum class Wish : std::uint8_t { work, retire, die };

  Echo(std::uint32_t number, const std::shared_ptr<iocp::Roster>& roster)
      : bell_(std::make_shared<SleepingBell>()), worker_(std::make_shared<LogicalWorker>(number, bell_)) {
    thread_ = std::thread([this, roster] {
      if (roster->attach(worker_)) live();
      worker_->leave();
    });
  }
  ~Echo() {
    if (thread_.joinable()) end(Wish::retire);
  }
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;

  void end(Wish how) {
    wish_.store(how);
    bell_->ring();
    thread_.join();
  }

 private:
  void live() {
    for (int i = 0; i < 2; ++i) supply();
    worker_->serve();
    bool retiring = false;
    for (;;) {
      const Wish wish = wish_.load();
      if (wish == Wish::die) return;
      if (wish == Wish::retire && !retiring) worker_->retire();
      retiring = wish == Wish::retire;
      take();
      if (retiring && worker_->contexts() == 0 && !worker_->has_events()) return;
      if (!worker_->has_events()) bell_->sleep();
    }
  }

  void supply() {
    slabs_[next_slab_] = std::make_unique<std::uint64_t[]>(kSlabBytes / sizeof(std::uint64_t));
    worker_->supply(0, next_slab_, reinterpret_cast<std::uint8_t*>(slabs_[next_slab_].get()), kSlabBytes);
    ++next_slab_;
  }

  void take() {
    iocp::Mailbox::Batch batch;
    worker_->take(0, &batch);
    std::size_t next_large = 0;
    for (const iocp::Mailbox::Range& range : batch.ranges) {
      const auto* memory = reinterpret_cast<const std::uint8_t*>(slabs_.at(range.slab_index).get());
      for (std::uint32_t at = range.begin; at < range.end;) {
        iocp::RecordHeader header;
        std::memcpy(&header, memory + at, sizeof header);
        read(header, ConstBytes(memory + at + sizeof header, header.length), batch, &next_large);
        at += static_cast<std::uint32_t>(iocp::record_bytes(header.length));
      }
      if (!range.retired) continue;
      slabs_.erase(range.slab_index);
      supply();
    }
    worker_->flush();
  }

  void read(const iocp::RecordHeader& header, ConstBytes body, const iocp::Mailbox::Batch& batch, std::size_t* large) {
    const std::uint32_t slot = header.slot;
    switch (static_cast<RecordKind>(header.kind)) {
      case RecordKind::connected:
        std::memcpy(&generations_[slot], body.data(), sizeof(std::uint32_t));
        static_cast<void>(worker_->take_luggage(slot, generations_[slot]));
        return;
      case RecordKind::package:
        static_cast<void>(worker_->send(slot, generations_.at(slot), body, 0));
        return;
      case RecordKind::large: {
        const iocp::LargePayload& payload = batch.larges[(*large)++];
        const ConstBytes bytes(payload.payload, payload.length);
        static_cast<void>(worker_->send(slot, generations_.at(slot), bytes, 0));
        payload.free();
        return;
      }
      case RecordKind::ended:
        worker_->finish(slot, generations_.at(slot));
        return;
      case RecordKind::leaving:
        if (header.extra == 1) {
          generations_.erase(slot);
        } else {
          worker_->release(slot, generations_.at(slot), std::make_unique<iocp::Luggage>(100));
        }
        return;
      case RecordKind::disconnected:
        generations_.erase(slot);
        return;
      case RecordKind::drain:
        return;
      case RecordKind::written:
      case RecordKind::refused:
      case RecordKind::connect_failed:
      case RecordKind::listener_failed:
      case RecordKind::closed:
      case RecordKind::file:
      case RecordKind::series:
        break;
    }
    IOCP_UNREACHABLE("a record that is none of a logical worker's business");
  }

  const std::shared_ptr<SleepingBell> bell_;
  const std::shared_ptr<LogicalWorker> worker_;
  std::atomic<Wish> wish_{Wish::work};
  std::map<std::uint32_t, std::unique_ptr<std::uint64_t[]>> slabs_;
  std::uint32_t next_slab_ = 0;
  std::map<std::uint32_t, std::uint32_t> generations_;
  std::thread thread_;
};

// Talks on its connections until they end, and makes new ones then. A connection may end before it is made: its logical
// worker had died.
class Persistent : public stress::Handler {
 public:
  Persistent(const iocp::Address& server, std::uint32_t connections) : server_(server), left_(connections) {}

  stress::Progress ended;

  void begin(Owner& owner, std::uint32_t at_once) {
    while (at_once-- > 0) connect_one(owner);
  }
  void connected(Owner& owner, stress::Peer peer, std::uint32_t token) override {
    for (std::uint32_t number = 0; number < 4; ++number) owner.send(peer, stress::message(token, number));
  }
  void package(Owner& owner, stress::Peer peer, ConstBytes payload) override {
    owner.send(peer, payload);
    // Without it a connection of a worker that is never chosen would last for ever.
    if (++echoes_ % 200 == 0) owner.engine().disconnect(peer.slot, peer.generation, false, 0);
  }
  void disconnected(Owner& owner, stress::Peer, const stress::Ending&) override { connect_next(owner); }
  void connect_failed(Owner& owner, std::uint32_t, iocp::Status) override { connect_next(owner); }

 private:
  void connect_next(Owner& owner) {
    ended.add();
    connect_one(owner);
  }
  void connect_one(Owner& owner) {
    if (left_ == 0) return;
    --left_;
    const iocp::Status status = owner.engine().connect(++token_, server_, {}, {}, stress::kEngineGraceMs);
    if (status != iocp::Status::ok) owner.complain("connect() did not start");
  }

  const iocp::Address server_;
  std::uint32_t left_;
  std::uint32_t token_ = 0;
  std::uint32_t echoes_ = 0;
};

// Has some of them come and go until told to stop.
class Staff {
 public:
  Staff(const iocp::Engine& engine, std::size_t most) : roster_(engine.roster()), most_(most) {}

  void hire() { members_.push_back(std::make_unique<Echo>(++last_, roster_)); }
  void change(std::mt19937_64& random, Echo::Wish how) {
    if (members_.size() < most_ && (members_.empty() || random() % 2 == 0)) return hire();
    const std::size_t chosen = random() % members_.size();
    std::swap(members_[chosen], members_.back());
    members_.back()->end(how);
    members_.pop_back();
  }
  bool empty() const { return members_.empty(); }

 private:
  const std::shared_ptr<iocp::Roster> roster_;
  const std::size_t most_;
  std::uint32_t last_ = 0;
  std::vector<std::unique_ptr<Echo>> members_;
};

iocp::EngineOptions serving_options(std::uint32_t lanes, std::uint32_t pending_reads) {
  iocp::EngineOptions options = stress::options_for(lanes, pending_reads, true);
  options.deliver_to_workers = true;
  return options;
}

void walk(std::uint32_t lanes, std::uint32_t pending_reads, std::uint64_t seed) {
  constexpr std::uint32_t kConnections = 12;
  constexpr std::uint32_t kMessages = 400;
  const iocp::EngineOptions options = serving_options(lanes, pending_reads);
  test::context(stress::description(options));
  std::mt19937_64 random(seed);
  stress::Handler nothing;
  stress::EchoClient connecting(kMessages, true);
  Owner server(options, nothing);
  Owner client(stress::options_for(1, 1, true), connecting);
  Staff staff(server.engine(), 5);
  stress::connect(client, server.listen(), kConnections);
  while (connecting.ended_connections.count() < kConnections) staff.change(random, Echo::Wish::retire);
  if (staff.empty()) staff.hire();
  stress::close(client);
  stress::close(server);
  stress::stop_and_check(client);
  stress::stop_and_check(server);
}

}  // namespace

TEST_WITHIN("logical workers: come and retire, and every message is echoed once and in order", 120) {
  const std::uint64_t seed = test::seed();
  for (const std::uint32_t lanes : {1U, 3U}) {
    for (const std::uint32_t pending_reads : {1U, 4U}) walk(lanes, pending_reads, seed);
  }
}

TEST_WITHIN("logical workers: die at any moment, and the books are in order", 120) {
  constexpr std::uint32_t kConnections = 60;
  std::mt19937_64 random(test::seed());
  for (std::uint32_t round = 0; round < 12; ++round) {
    stress::Handler nothing;
    Owner server(serving_options(1 + round % 3, 1), nothing);
    Persistent calling(server.listen(), kConnections);
    Owner client(stress::options_for(1, 1, true), calling);
    Staff staff(server.engine(), 4);
    staff.hire();
    client.run([&] { calling.begin(client, 8); });
    while (calling.ended.count() < kConnections) {
      staff.change(random, random() % 3 == 0 ? Echo::Wish::retire : Echo::Wish::die);
      if (staff.empty()) staff.hire();
    }
    stress::close(client);
    // Now and then the engine goes without a farewell, and whoever is still there finds it gone.
    if (round % 2 == 0) stress::close(server);
    stress::stop_and_check(client);
    stress::stop_and_check(server);
  }
}

TEST_WITHIN("logical workers: an engine that goes finds what was sent and not told, and answers no more", 30) {
  stress::Handler nothing;
  stress::EchoClient connecting(1'000'000, false);
  Owner server(stress::options_for(2, 1, true), nothing);
  Owner client(stress::options_for(1, 1, true), connecting);
  const auto visitor = std::make_shared<LogicalWorker>(1, std::make_shared<SleepingBell>());
  CHECK(server.engine().roster()->attach(visitor));
  stress::connect(client, server.listen(), 1);
  const std::array<std::uint8_t, 3> bytes = {1, 2, 3};
  // The first context of the first lane, as soon as there is one.
  while (visitor->send(0, 1, bytes, 0).status == iocp::Status::gone) std::this_thread::yield();
  client.stop();
  const std::shared_ptr<iocp::Roster> roster = server.engine().roster();
  server.stop();
  CHECK(visitor->send(0, 1, bytes, 0).status == iocp::Status::gone);
  CHECK(!visitor->disconnect(0, 1, false, 0));
  CHECK(!roster->attach(std::make_shared<LogicalWorker>(2, std::make_shared<SleepingBell>())));
  visitor->leave();
  stress::stop_and_check(server);
}
