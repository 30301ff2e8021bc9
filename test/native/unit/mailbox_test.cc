// Records on their way to the owner: every one that was taken on arrives once and in order, packages are refused
// when there is no room, control records never are, and the doorbell is asked for once.
#include "core/mailbox.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "core/lane.h"
#include "core/limits.h"
#include "support/test.h"
#include "unit/arenas.h"
#include "unit/random.h"

using iocp::ClientContext;
using iocp::ConstBytes;
using iocp::kInlinePayloadMax;
using iocp::kSlabBytesMin;
using iocp::LargePayload;
using iocp::Mailbox;
using iocp::RecordHeader;
using iocp::RecordKind;
using unit::Bytes;
using unit::bytes_of;
using unit::Random;

namespace {

struct Record {
  RecordKind kind = RecordKind::package;
  std::uint32_t slot = 0;
  std::uint32_t extra = 0;
  Bytes body;

  friend bool operator==(const Record&, const Record&) = default;
};

// A mailbox and its owner, who reads ranges and checks that they tell a consistent story.
class Fixture {
 public:
  Mailbox box;
  Mailbox::Batch batch;
  std::vector<std::array<std::uint32_t, 2>> places;  // of large ones: the words of their records
  std::vector<Record> records;                       // everything taken so far; a large one's body is its payload
  std::size_t retired = 0;

  void supply(std::size_t bytes = kSlabBytesMin) {
    auto memory = std::make_unique<std::uint64_t[]>(bytes / sizeof(std::uint64_t));
    auto* start = reinterpret_cast<std::uint8_t*>(memory.get());
    const std::uint32_t index = next_index_++;
    slabs_[index] = {std::move(memory), bytes, 0};
    box.supply(index, start, bytes);
  }

  std::size_t slabs_lent() const { return slabs_.size(); }

  bool package(std::uint32_t slot, ConstBytes payload) {
    Mailbox::Writer writer(box);
    return writer.package(slot, payload);
  }

  // As a read does that brings `series` and, behind it, something else. False: there was no place.
  bool receive_in_place(std::uint32_t slot, const Bytes& series) {
    Mailbox::Writer writer(box);
    const iocp::MutableBytes place = writer.place(series.size() + 1);
    if (place.empty()) return false;
    std::copy(series.begin(), series.end(), place.begin());
    place[series.size()] = 0xee;
    writer.series(slot, series.size());
    return true;
  }

  bool large(std::uint32_t slot, std::size_t length, std::uint8_t fill) {
    LargePayload payload;
    payload.memory = static_cast<std::uint8_t*>(std::malloc(length + 4));
    payload.payload = payload.memory + 4;
    payload.length = length;
    std::memset(payload.memory, fill, length + 4);
    Mailbox::Writer writer(box);
    if (writer.large(slot, payload)) return true;
    std::free(payload.memory);
    return false;
  }

  // As an owner who needs nothing of what it has read any more.
  std::size_t take_and_read() {
    const std::size_t count = take();
    box.were_read(batch);
    return count;
  }

  // Takes everything; returns how many records came.
  std::size_t take() {
    const std::size_t before = records.size();
    box.take(&batch);
    std::size_t next_large = 0;
    for (const Mailbox::Range& range : batch.ranges) read(range, &next_large);
    CHECK_EQ(next_large, batch.larges.size());
    for (const LargePayload& payload : batch.larges) payload.free();
    return records.size() - before;
  }

 private:
  struct Slab {
    std::unique_ptr<std::uint64_t[]> memory;
    std::size_t bytes = 0;
    std::size_t read = 0;
    bool has_payloads = false;  // so that it may not be written again
  };

  void read(const Mailbox::Range& range, std::size_t* next_large) {
    const auto found = slabs_.find(range.slab_index);
    REQUIRE(found != slabs_.end());
    Slab& slab = found->second;
    if (range.begin == 0 && !slab.has_payloads) slab.read = 0;
    REQUIRE(range.begin == slab.read);
    REQUIRE(range.end >= range.begin && range.end <= slab.bytes);
    const auto* start = reinterpret_cast<const std::uint8_t*>(slab.memory.get());
    while (slab.read < range.end) {
      REQUIRE(slab.read % iocp::kRecordAlignment == 0);
      RecordHeader header;
      std::memcpy(&header, start + slab.read, sizeof header);
      REQUIRE(slab.read + iocp::record_bytes(header.length) <= range.end);
      Record record{static_cast<RecordKind>(header.kind), header.slot, header.extra, {}};
      ConstBytes body(start + slab.read + sizeof header, header.length);
      if (record.kind == RecordKind::package || record.kind == RecordKind::series) slab.has_payloads = true;
      if (record.kind == RecordKind::large) {
        REQUIRE(*next_large < batch.larges.size());
        const LargePayload& payload = batch.larges[(*next_large)++];
        std::array<std::uint32_t, 2> place;
        REQUIRE(header.length == sizeof place);
        std::memcpy(place.data(), body.data(), sizeof place);
        places.push_back(place);
        body = ConstBytes(payload.payload, payload.length);
      }
      record.body = unit::copy_of(body);
      records.push_back(std::move(record));
      slab.read += iocp::record_bytes(header.length);
    }
    if (!range.retired) return;
    ++retired;
    slabs_.erase(found);
  }

  std::map<std::uint32_t, Slab> slabs_;
  std::uint32_t next_index_ = 0;
};

const Bytes kHalfSlab(kInlinePayloadMax - sizeof(RecordHeader), 'x');

void fill(Fixture* fixture) {
  while (fixture->package(1, kHalfSlab)) continue;
}

}  // namespace

TEST("mailbox: a package arrives as it was written") {
  Fixture fixture;
  fixture.supply();
  CHECK(!fixture.box.has_events());
  CHECK(fixture.package(7, bytes_of("hello")));
  CHECK(fixture.package(8, {}));
  CHECK(fixture.box.has_events());
  CHECK_EQ(fixture.take(), 2U);
  CHECK(fixture.records[0] == Record({RecordKind::package, 7, 0, bytes_of("hello")}));
  CHECK(fixture.records[1] == Record({RecordKind::package, 8, 0, {}}));
  CHECK(!fixture.box.has_events());
  CHECK_EQ(fixture.take(), 0U);
  CHECK(fixture.batch.empty());
}

TEST("mailbox: a control record joins its parts") {
  Fixture fixture;
  fixture.supply();
  fixture.box.control(RecordKind::written, 3, 99, {bytes_of("ab"), {}, bytes_of("cde")});
  CHECK_EQ(fixture.take(), 1U);
  CHECK(fixture.records[0] == Record({RecordKind::written, 3, 99, bytes_of("abcde")}));
}

TEST("mailbox: a second take hands out only what came since the first, from the same slab") {
  Fixture fixture;
  fixture.supply();
  CHECK(fixture.package(1, bytes_of("first")));
  fixture.take();
  CHECK(fixture.package(1, bytes_of("second")));
  CHECK_EQ(fixture.take(), 1U);
  CHECK(fixture.records[1].body == bytes_of("second"));
  REQUIRE(fixture.batch.ranges.size() == 1);
  CHECK(fixture.batch.ranges[0].begin > 0);
  CHECK(!fixture.batch.ranges[0].retired);
}

TEST("mailbox: without a slab a package is refused and nothing changes") {
  Fixture fixture;
  CHECK(!fixture.package(1, bytes_of("x")));
  CHECK(!fixture.large(1, kInlinePayloadMax + 1, 'x'));
  CHECK(!fixture.box.has_events());
  CHECK(!fixture.box.wants_ring());
}

TEST("mailbox: a full slab is retired once, also when nothing replaces it") {
  Fixture fixture;
  fixture.supply();
  fill(&fixture);
  CHECK_EQ(fixture.take(), 2U);
  CHECK_EQ(fixture.retired, 1U);
  CHECK_EQ(fixture.slabs_lent(), 0U);
  CHECK_EQ(fixture.take(), 0U);
  CHECK(fixture.batch.empty());
}

TEST("mailbox: a slab that had been read to its end is retired too, and its owner is told") {
  Fixture fixture;
  fixture.supply();
  CHECK(fixture.package(1, kHalfSlab));
  CHECK(fixture.package(1, bytes_of("x")));
  fixture.take();
  CHECK(!fixture.package(1, kHalfSlab));
  CHECK(fixture.box.has_events());
  CHECK(fixture.box.wants_ring());
  CHECK_EQ(fixture.take(), 0U);
  REQUIRE(fixture.batch.ranges.size() == 1);
  CHECK_EQ(fixture.batch.ranges[0].begin, fixture.batch.ranges[0].end);
  CHECK_EQ(fixture.retired, 1U);
}

TEST("mailbox: records go on in the next slab, in order") {
  Fixture fixture;
  for (int i = 0; i < 3; ++i) fixture.supply();
  fill(&fixture);
  CHECK_EQ(fixture.take(), 6U);
  CHECK_EQ(fixture.retired, 3U);
  fixture.supply();
  CHECK(fixture.package(2, bytes_of("after")));
  CHECK_EQ(fixture.take(), 1U);
  CHECK(fixture.records.back().body == bytes_of("after"));
}

TEST("mailbox: control records without room wait, keep their order, and let no package pass") {
  Fixture fixture;
  fixture.supply();
  fill(&fixture);
  fixture.take();
  CHECK(!fixture.box.congested());
  for (std::uint32_t i = 0; i < 10; ++i) fixture.box.control(RecordKind::drain, i, i, {});
  CHECK(fixture.box.congested());
  CHECK(fixture.box.has_events());
  CHECK(fixture.box.wants_ring());
  CHECK(!fixture.package(1, bytes_of("x")));
  CHECK(!fixture.large(1, kInlinePayloadMax + 1, 'x'));
  CHECK_EQ(fixture.take(), 0U);
  fixture.supply();
  CHECK(!fixture.box.congested());
  CHECK(fixture.box.has_events());
  CHECK(fixture.package(1, bytes_of("x")));
  CHECK_EQ(fixture.take(), 11U);
  const std::size_t first = fixture.records.size() - 11;
  for (std::uint32_t i = 0; i < 10; ++i) CHECK_EQ(fixture.records[first + i].slot, i);
  CHECK(fixture.records.back().kind == RecordKind::package);
}

TEST("mailbox: no package passes a control record that waits, though the package would fit") {
  Fixture fixture;
  fixture.supply();
  fill(&fixture);
  const Bytes long_text(kInlinePayloadMax, 't');
  for (int i = 0; i < 3; ++i) fixture.box.control(RecordKind::refused, 0, 0, {long_text});
  fixture.take();
  // One slab holds one of the three: the rest go on waiting.
  fixture.supply();
  CHECK(fixture.box.congested());
  CHECK(!fixture.package(1, bytes_of("x")));
  CHECK_EQ(fixture.take(), 1U);
  fixture.supply();
  fixture.supply();
  CHECK(!fixture.box.congested());
  CHECK(fixture.package(1, bytes_of("x")));
  CHECK_EQ(fixture.take(), 3U);
}

TEST("mailbox: the contexts of connected and disconnected records come with the records, not before") {
  iocp::Lane lane(0);
  ClientContext early(lane, 0, 1);
  ClientContext late(lane, 1, 1);
  Fixture fixture;
  fixture.supply();
  fixture.box.control(RecordKind::connected, 0, 0, {bytes_of("c")}, &early);
  fixture.take();
  CHECK(fixture.batch.connected == std::vector<ClientContext*>({&early}));
  CHECK(fixture.batch.disconnected.empty());
  fill(&fixture);
  fixture.box.control(RecordKind::connected, 1, 0, {kHalfSlab}, &late);
  fixture.box.control(RecordKind::disconnected, 0, 0, {bytes_of("d")}, &early);
  fixture.take();
  CHECK(fixture.batch.connected.empty());
  CHECK(fixture.batch.disconnected.empty());
  fixture.supply();
  fixture.take();
  CHECK(fixture.batch.connected == std::vector<ClientContext*>({&late}));
  CHECK(fixture.batch.disconnected == std::vector<ClientContext*>({&early}));
}

TEST("mailbox: large payloads are handed over, not copied") {
  Fixture fixture;
  fixture.supply();
  LargePayload payload;
  payload.memory = static_cast<std::uint8_t*>(std::malloc(100'000));
  payload.payload = payload.memory + 4;
  payload.length = 99'996;
  std::memset(payload.memory, 'L', 100'000);
  {
    Mailbox::Writer writer(fixture.box);
    CHECK(writer.large(5, payload));
  }
  CHECK_EQ(fixture.take(), 1U);
  REQUIRE(fixture.batch.larges.size() == 1);
  CHECK(fixture.batch.larges[0].memory == payload.memory);
  CHECK_EQ(fixture.records[0].slot, 5U);
  CHECK(fixture.records[0].body == Bytes(99'996, 'L'));
}

TEST("mailbox: a record says where in its arena a payload is, and nothing of one that is wrapped") {
  Fixture fixture;
  fixture.supply();
  unit::Arenas host;
  host.allocator.acquire(9'000).arena->release();
  const iocp::PayloadAllocator::Block block = host.allocator.acquire(50'000);
  CHECK(fixture.large(1, 20'000, 'w'));
  {
    Mailbox::Writer writer(fixture.box);
    CHECK(writer.large(2, {block.memory, block.memory + 6, 40'000, block.arena}));
  }
  CHECK_EQ(fixture.take(), 2U);
  CHECK(fixture.places[0] == (std::array<std::uint32_t, 2>{0, 0}));
  CHECK(fixture.places[1] == (std::array<std::uint32_t, 2>{40'000, 9'030}));
  CHECK_EQ(host.in_use(), 0U);
}

TEST("mailbox: large payloads that wait are bounded in bytes, and taking them makes room") {
  Fixture fixture;
  fixture.supply();
  constexpr std::size_t kQuarter = iocp::kLargeWaitingBytesMax / 4;
  for (int i = 0; i < 4; ++i) CHECK(fixture.large(1, kQuarter, 'x'));
  CHECK(!fixture.large(1, kInlinePayloadMax + 1, 'x'));
  CHECK(fixture.package(1, bytes_of("small ones go on")));
  fixture.take();
  CHECK(fixture.large(1, kInlinePayloadMax + 1, 'x'));
  fixture.take();
}

TEST("mailbox: payloads nobody took are freed with the mailbox") {
  Fixture fixture;
  fixture.supply();
  CHECK(fixture.large(1, 100'000, 'x'));
  unit::Arenas host;
  const iocp::PayloadAllocator::Block block = host.allocator.acquire(50'000);
  {
    Mailbox box;
    std::array<std::uint64_t, iocp::kSlabBytesMin / 8> slab;
    box.supply(0, reinterpret_cast<std::uint8_t*>(slab.data()), sizeof slab);
    Mailbox::Writer writer(box);
    CHECK(writer.large(2, {block.memory, block.memory, 50'000, block.arena}));
  }
  CHECK_EQ(host.in_use(), 0U);
}

TEST("mailbox: the doorbell is asked for once per change from idle to busy") {
  Fixture fixture;
  fixture.supply();
  CHECK(!fixture.box.wants_ring());
  CHECK(fixture.package(1, bytes_of("a")));
  CHECK(fixture.box.wants_ring());
  CHECK(!fixture.box.wants_ring());
  CHECK(fixture.package(1, bytes_of("b")));
  CHECK(!fixture.box.wants_ring());
  fixture.take();
  CHECK(!fixture.box.wants_ring());
  CHECK(fixture.package(1, bytes_of("c")));
  CHECK(fixture.box.wants_ring());
}

TEST("mailbox: a poke brings the owner although there is no record") {
  Fixture fixture;
  fixture.supply();
  fixture.box.poke();
  CHECK(fixture.box.has_events());
  CHECK(fixture.box.wants_ring());
  CHECK_EQ(fixture.take(), 0U);
  CHECK(!fixture.box.has_events());
}

TEST("mailbox: once everything is discarded records are swallowed, and contexts still come home") {
  iocp::Lane lane(0);
  ClientContext waiting(lane, 0, 1);
  ClientContext later(lane, 1, 1);
  Fixture fixture;
  fixture.supply();
  fill(&fixture);
  fixture.box.control(RecordKind::disconnected, 0, 0, {kHalfSlab}, &waiting);
  CHECK(fixture.box.congested());
  fixture.box.discard_everything();
  CHECK(!fixture.box.congested());
  CHECK(fixture.package(1, bytes_of("x")));
  CHECK(fixture.large(1, kInlinePayloadMax + 1, 'x'));
  fixture.box.control(RecordKind::ended, 1, 0, {});
  fixture.box.control(RecordKind::disconnected, 1, 0, {}, &later);
  fixture.take();
  CHECK(fixture.records.empty());
  CHECK(fixture.batch.disconnected == std::vector<ClientContext*>({&waiting, &later}));
}

TEST("mailbox: what was received in its place becomes a record, and the next one follows it") {
  Random random;
  for (std::size_t size = 1; size < 100; ++size) {
    Fixture fixture;
    fixture.supply();
    const Bytes series = random.bytes(size);
    const Bytes next = random.bytes(20);
    CHECK(fixture.receive_in_place(7, series));
    CHECK(fixture.package(8, next));
    fixture.take();
    REQUIRE(fixture.records.size() == 2);
    CHECK(fixture.records[0] == (Record{RecordKind::series, 7, 0, series}));
    CHECK(fixture.records[1] == (Record{RecordKind::package, 8, 0, next}));
  }
}

TEST("mailbox: there is no place without a slab, and none before records that wait") {
  Fixture fixture;
  const auto place = [&](std::size_t wanted) { return Mailbox::Writer(fixture.box).place(wanted); };
  const auto full = [&] { return Mailbox::Writer(fixture.box).full(); };
  CHECK(place(1).empty());
  CHECK(full());
  // Of a size that ends in the middle of a record's padding.
  alignas(iocp::kRecordAlignment) static std::array<std::uint8_t, kSlabBytesMin + 4> memory;
  fixture.box.supply(1'000, memory.data(), memory.size());
  CHECK(!full());
  const std::size_t room = kSlabBytesMin - sizeof(RecordHeader);
  CHECK_EQ(place(room).size(), room);
  CHECK(place(room).data() == memory.data() + sizeof(RecordHeader));
  fixture.box.control(RecordKind::refused, 1, 1, {Bytes(kSlabBytesMin + 1, 'x')});
  CHECK(fixture.box.congested());
  CHECK(place(1).empty());
  CHECK(full());
  fixture.box.discard_everything();
  CHECK(place(1).empty());
  CHECK(!full());  // whatever comes is swallowed
}

TEST("mailbox: a slab with too little room is given up for the next, but never more than its last quarter") {
  constexpr std::size_t kSlabBytes = 4 * kSlabBytesMin;
  constexpr std::size_t kQuarter = kSlabBytesMin;
  Fixture fixture;
  fixture.supply(kSlabBytes);
  fixture.supply(kSlabBytes);
  const auto room = [&](std::size_t wanted) {
    const iocp::MutableBytes place = Mailbox::Writer(fixture.box).place(wanted);
    return place.empty() ? 0 : place.size() + sizeof(RecordHeader);
  };
  CHECK(fixture.package(1, Bytes(kSlabBytes - kQuarter - sizeof(RecordHeader), 'a')));
  CHECK_EQ(room(1'000'000), kQuarter);  // the whole quarter is left, so it is used
  CHECK(fixture.package(2, Bytes(8, 'b')));
  const std::size_t left = kQuarter - sizeof(RecordHeader) - 8;
  CHECK_EQ(room(left - sizeof(RecordHeader)), left);
  CHECK_EQ(room(left - sizeof(RecordHeader) + 1), kSlabBytes);  // the next one
  CHECK(fixture.package(3, Bytes(kSlabBytes - 64 - sizeof(RecordHeader), 'c')));
  CHECK(fixture.box.has_events());
  fixture.take();
  CHECK_EQ(fixture.retired, 1U);
  CHECK(!fixture.box.has_events());
  CHECK_EQ(room(100), 0U);  // no slab has it
  CHECK(Mailbox::Writer(fixture.box).full());
  CHECK(fixture.box.has_events());  // the owner must hear that its slab is done with
  fixture.take();
  CHECK_EQ(fixture.retired, 2U);
  fixture.supply(kSlabBytes);
  CHECK_EQ(room(100), kSlabBytes);
  CHECK_EQ(fixture.records.size(), 3U);
}

TEST("mailbox: a slab without payloads is written from its begin again once it was read") {
  Fixture fixture;
  fixture.supply();
  const Bytes body(1'000, 'x');
  for (std::size_t sent = 0; sent < 10 * kSlabBytesMin; sent += body.size()) {
    fixture.box.control(RecordKind::written, 1, 2, {body});
    REQUIRE(fixture.take_and_read() == 1);
    CHECK_EQ(fixture.batch.ranges[0].begin, 0U);
  }
  CHECK_EQ(fixture.retired, 0U);
}

TEST("mailbox: a slab is not written again before all of it was read, nor ever with a payload in it") {
  Fixture fixture;
  fixture.supply();
  const auto written_at = [&] {
    fixture.box.control(RecordKind::written, 1, 2, {});
    const bool one = fixture.take() == 1;
    return one ? fixture.batch.ranges[0].begin : UINT32_MAX;
  };
  CHECK_EQ(written_at(), 0U);
  CHECK(written_at() > 0);  // nobody said that the first was read
  const Mailbox::Batch read = fixture.batch;
  fixture.box.control(RecordKind::written, 1, 2, {});
  fixture.box.were_read(read);  // but for the newest
  CHECK_EQ(fixture.take_and_read(), 1U);
  CHECK(fixture.batch.ranges[0].begin > 0);
  CHECK_EQ(written_at(), 0U);

  fixture.box.were_read(fixture.batch);
  CHECK(fixture.package(1, bytes_of("kept")));
  CHECK_EQ(fixture.take_and_read(), 1U);
  CHECK(written_at() > 0);
  fixture.box.were_read(fixture.batch);
  CHECK(written_at() > 0);

  Fixture series;
  series.supply();
  CHECK(series.receive_in_place(1, bytes_of("kept")));
  series.take_and_read();
  CHECK(series.package(1, bytes_of("more")));
  series.take_and_read();
  CHECK(series.batch.ranges[0].begin > 0);
}

TEST("mailbox: whatever the mixture, every record that was taken on arrives once and in order") {
  Random random;
  int refused = 0;
  for (int turn = 0; turn < 30; ++turn) {
    Fixture fixture;
    std::vector<Record> expected;
    for (std::uint32_t step = 0; step < 1'000; ++step) {
      const auto size = static_cast<std::size_t>(random.below(random.chance(10) ? kInlinePayloadMax + 1 : 600));
      const std::uint64_t choice = random.below(20);
      if (choice < 8) {
        const Bytes payload = random.bytes(size);
        if (fixture.package(step, payload)) {
          expected.push_back({RecordKind::package, step, 0, payload});
        } else {
          ++refused;
        }
      } else if (choice < 12) {
        const Bytes body = random.bytes(size / 4);
        fixture.box.control(RecordKind::refused, step, step, {body});
        expected.push_back({RecordKind::refused, step, step, body});
      } else if (choice < 14) {
        const auto fill_byte = static_cast<std::uint8_t>(step);
        const std::size_t length = kInlinePayloadMax + 1 + size;
        if (fixture.large(step, length, fill_byte)) {
          expected.push_back({RecordKind::large, step, 0, Bytes(length, fill_byte)});
        }
      } else if (choice < 16) {
        fixture.take();
      } else if (choice < 17) {
        fixture.take_and_read();
      } else if (choice == 17 && fixture.slabs_lent() < 4) {
        fixture.supply(kSlabBytesMin + 8 * static_cast<std::size_t>(random.below(4'000)));
      }
    }
    while (fixture.box.congested()) {
      fixture.supply();
      fixture.take();
    }
    fixture.take();
    REQUIRE(fixture.records.size() == expected.size());
    REQUIRE(fixture.records == expected);
  }
  CHECK(refused > 0);
}
