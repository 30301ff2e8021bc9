// The end of an engine, told while another lane's last record is not read yet.
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/engine.h"
#include "core/records.h"
#include "core/worker.h"
#include "port/sim/sim_world.h"
#include "support/test.h"

using iocp::Engine;
using iocp::Mailbox;
using iocp::RecordKind;

namespace {

using SlabMemory = std::array<std::uint64_t, iocp::kSlabBytesMin / sizeof(std::uint64_t)>;

// What a lane's mailbox had; the batch stays undelivered.
std::vector<RecordKind> take(Engine& engine, std::uint32_t lane, const SlabMemory& slab, Mailbox::Batch* batch) {
  engine.take(lane, batch);
  std::vector<RecordKind> kinds;
  const auto* const memory = reinterpret_cast<const std::uint8_t*>(slab.data());
  for (const Mailbox::Range& range : batch->ranges) {
    for (std::uint32_t at = range.begin; at < range.end;) {
      iocp::RecordHeader header;
      std::memcpy(&header, memory + at, sizeof header);
      kinds.push_back(static_cast<RecordKind>(header.kind));
      at += static_cast<std::uint32_t>(iocp::record_bytes(header.length));
    }
  }
  return kinds;
}

void step(iocp::SimWorld& world, iocp::Worker& worker) {
  worker.collect(0);
  worker.step(world.now_ms());
}

}  // namespace

TEST("closed comes after what another lane wrote while its owner was reading") {
  iocp::SimWorld world(1, {});
  const iocp::SimWorldScope scope(world);
  iocp::EngineOptions options;
  options.lanes = 2;
  Engine engine(options, {});
  REQUIRE(engine.start() == iocp::Status::ok);
  std::array<SlabMemory, 2> slabs;
  for (std::uint32_t lane = 0; lane < 2; ++lane) {
    engine.supply(lane, lane, reinterpret_cast<std::uint8_t*>(slabs[lane].data()), sizeof slabs[lane]);
  }
  iocp::Address elsewhere;  // nobody answers there
  REQUIRE(iocp::parse_ip("203.0.113.1", 9, &elsewhere));
  REQUIRE(engine.connect(1, elsewhere, {}, {}, 0) == iocp::Status::ok);  // on lane 1
  step(world, engine.worker(1));
  engine.close(0);
  step(world, engine.worker(0));

  Mailbox::Batch batch;
  CHECK(take(engine, 0, slabs[0], &batch).empty());
  engine.delivered(0, batch);
  CHECK(take(engine, 1, slabs[1], &batch).empty());
  step(world, engine.worker(1));  // as a thread does, while the owner reads what it took
  world.advance_until_idle();
  step(world, engine.worker(1));
  engine.delivered(1, batch);

  CHECK(take(engine, 0, slabs[0], &batch).empty());
  engine.delivered(0, batch);
  CHECK(take(engine, 1, slabs[1], &batch) == std::vector<RecordKind>({RecordKind::connect_failed}));
  engine.delivered(1, batch);
  CHECK(take(engine, 0, slabs[0], &batch) == std::vector<RecordKind>({RecordKind::closed}));
  engine.delivered(0, batch);
  engine.shut_down();
}
