// The disk queue, one job after the other on the simulated disk: what is opened, resumed, written, checked and named,
// what each failure leaves behind, and what the owner is told.
#include "core/disk_queue.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/client_context.h"
#include "core/crc32c.h"
#include "core/lane.h"
#include "port/sim/sim_disk.h"
#include "port/sim/sim_world.h"
#include "support/test.h"

using iocp::ConstBytes;
using iocp::DiskJob;
using iocp::FileEvent;
using iocp::FileTarget;
using iocp::FileTransfer;
using iocp::FileTransferPointer;
using iocp::OnExists;
using iocp::SimFaults;
using iocp::Status;

namespace {

constexpr std::uint32_t kAlways = 1000;
using Bytes = std::vector<std::uint8_t>;

struct Told {
  FileEvent event = FileEvent::failed;
  Status status = Status::ok;
  std::uint64_t value = 0;
  std::string text;
};

Bytes some_bytes(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  return bytes;
}

// A queue, a lane that is told, and a disk with a folder.
class Fixture {
 public:
  Fixture() {
    disk().make_directory("/in");
    REQUIRE(lane.port.open() == Status::ok);
    lane.mailbox.supply(0, reinterpret_cast<std::uint8_t*>(slab_.data()), sizeof slab_);
  }

  ~Fixture() {
    std::array<iocp::Completion, 1> wake;
    lane.port.wait(wake, 0);
    lane.port.close();
  }

  iocp::SimDisk& disk() { return world_.disk(); }

  void set(std::uint32_t SimFaults::*fault, std::uint32_t value = kAlways) {
    SimFaults faults;
    faults.*fault = value;
    world_.set_faults(faults);
  }
  void no_faults() { world_.set_faults({}); }

  // A file of that size on its way in, and what became of opening it.
  FileTransferPointer incoming(std::uint64_t size, FileTarget target = {}) {
    auto transfer = std::make_shared<FileTransfer>(1, false, lane, 3, 1);
    target.directory = "/in";
    target.name = "a.txt";
    target.size = size;
    transfer->part_name = "a.txt.part";
    transfer->target = std::move(target);
    run(DiskJob::Kind::open_target, transfer);
    return transfer;
  }

  void run(DiskJob::Kind kind, const FileTransferPointer& transfer, bool is = false, std::uint32_t value = 0) {
    DiskJob job;
    job.kind = kind;
    job.flag = is;
    job.value = value;
    job.transfer = transfer;
    queue.push(std::move(job));
    while (queue.step()) {
    }
    listen();
  }

  void write(const FileTransferPointer& transfer, const Bytes& bytes) {
    DiskJob job;
    job.transfer = transfer;
    job.bytes.memory = job.bytes.payload = static_cast<std::uint8_t*>(std::malloc(bytes.size()));
    job.bytes.length = bytes.size();
    std::memcpy(job.bytes.memory, bytes.data(), bytes.size());
    transfer->to_disk += bytes.size();
    queue.push(std::move(job));
    while (queue.step()) {
    }
    listen();
  }

  // The last thing the owner was told, of so many since the last time.
  Told told(std::size_t count = 1) {
    CHECK_EQ(told_.size(), count);
    const Told last = told_.empty() ? Told{} : told_.back();
    told_.clear();
    return last;
  }

  iocp::Lane lane{0};
  iocp::DiskQueue queue;

 private:
  void listen() {
    lane.mailbox.take(&batch_);
    for (const iocp::Mailbox::Range& range : batch_.ranges) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(slab_.data());
      for (std::size_t at = range.begin; at < range.end;) {
        iocp::RecordHeader header;
        std::array<std::uint32_t, 7> words;
        std::memcpy(&header, bytes + at, sizeof header);
        std::memcpy(words.data(), bytes + at + sizeof header, sizeof words);
        const char* text = reinterpret_cast<const char*>(bytes + at + sizeof header + sizeof words);
        told_.push_back({static_cast<FileEvent>(words[0]), static_cast<Status>(words[1]),
                         words[2] + (static_cast<std::uint64_t>(words[3]) << 32), std::string(text, words[6])});
        at += iocp::record_bytes(header.length);
      }
    }
  }

  iocp::SimWorld world_{7};
  iocp::SimWorldScope scope_{world_};
  std::array<std::uint64_t, iocp::kSlabBytesMin / 8> slab_ = {};
  iocp::Mailbox::Batch batch_;
  std::vector<Told> told_;
};

FileTarget checked() {
  FileTarget target;
  target.checked = target.resume = true;
  return target;
}

}  // namespace

TEST("disk queue: a file has its name when it is whole and matches, and not before") {
  Fixture test;
  const Bytes bytes = some_bytes(100'000);
  const FileTransferPointer transfer = test.incoming(bytes.size(), checked());
  CHECK(test.told().event == FileEvent::opened);
  test.write(transfer, bytes);
  CHECK_EQ(test.told().value, bytes.size());
  CHECK(test.disk().list("/in") == std::vector<std::string>{"a.txt.part"});
  test.run(DiskJob::Kind::finish, transfer, true, iocp::crc32c_extend(0, bytes));
  const Told told = test.told();
  CHECK(told.event == FileEvent::finished);
  CHECK(told.text == "a.txt");
  CHECK(test.disk().list("/in") == std::vector<std::string>{"a.txt"});
  CHECK(test.disk().contents("/in/a.txt") == bytes);
}

TEST("disk queue: what does not match is thrown away, and what is too short is kept for the next try") {
  Fixture test;
  const Bytes bytes = some_bytes(1000);
  FileTransferPointer transfer = test.incoming(bytes.size(), checked());
  test.write(transfer, bytes);
  test.run(DiskJob::Kind::finish, transfer, true, iocp::crc32c_extend(0, bytes) + 1);
  CHECK_EQ(test.told(3).status, Status::check_failed);
  CHECK(test.disk().list("/in").empty());

  transfer = test.incoming(bytes.size() + 1, checked());
  test.write(transfer, bytes);
  test.run(DiskJob::Kind::finish, transfer, true, 0);
  CHECK_EQ(test.told(2).status, Status::io_error);
  CHECK(test.disk().contents("/in/a.txt.part") == bytes);
}

TEST("disk queue: a partial file is read back and gone on with, and the check covers all of it") {
  Fixture test;
  const Bytes bytes = some_bytes(700'000);
  const Bytes half(bytes.begin(), bytes.begin() + 300'000);
  test.disk().make_file("/in/a.txt.part", half);
  const FileTransferPointer transfer = test.incoming(bytes.size(), checked());
  CHECK_EQ(test.told().value, half.size());
  test.write(transfer, Bytes(bytes.begin() + 300'000, bytes.end()));
  test.run(DiskJob::Kind::finish, transfer, true, iocp::crc32c_extend(0, bytes));
  CHECK(test.told(2).event == FileEvent::finished);
  CHECK(test.disk().contents("/in/a.txt") == bytes);
}

TEST("disk queue: a partial file that is too long, or that nothing would check, is begun again") {
  for (const bool is_checked : {true, false}) {
    Fixture test;
    test.disk().make_file("/in/a.txt.part", some_bytes(11));
    FileTarget target = checked();
    target.checked = is_checked;
    const FileTransferPointer transfer = test.incoming(is_checked ? 10 : 20, target);
    CHECK_EQ(test.told().value, 0U);
    CHECK(test.disk().contents("/in/a.txt.part") == Bytes{});
    test.run(DiskJob::Kind::discard, transfer, false);
  }
}

TEST("disk queue: bytes that were reserved are never taken for bytes that arrived") {
  Fixture test;
  const FileTransferPointer transfer = test.incoming(1'000'000, checked());
  test.write(transfer, some_bytes(1000));
  test.run(DiskJob::Kind::discard, transfer, true);
  CHECK(test.disk().contents("/in/a.txt.part") == some_bytes(1000));
  // Nothing arrived of this one: there is nothing to keep.
  FileTarget other = checked();
  test.run(DiskJob::Kind::discard, test.incoming(0, other), true);
  CHECK(test.disk().list("/in").empty());
}

TEST("disk queue: a name that is taken is refused before a byte is asked for, replaced, or avoided") {
  Fixture test;
  test.disk().make_file("/in/a.txt", some_bytes(5));
  FileTarget target;
  test.incoming(1, target);
  CHECK_EQ(test.told().status, Status::already_exists);
  CHECK(test.disk().list("/in") == std::vector<std::string>{"a.txt"});

  const auto receive = [&](OnExists on_exists) {
    target.on_exists = on_exists;
    const FileTransferPointer transfer = test.incoming(1, target);
    test.write(transfer, {42});
    test.run(DiskJob::Kind::finish, transfer);
    return test.told(3).text;
  };
  CHECK(receive(OnExists::rename) == "a (2).txt");
  CHECK(receive(OnExists::rename) == "a (3).txt");
  CHECK(test.disk().contents("/in/a.txt") == some_bytes(5));
  CHECK(receive(OnExists::overwrite) == "a.txt");
  CHECK(test.disk().contents("/in/a.txt") == Bytes{42});
}

TEST("disk queue: a name that was taken meanwhile is not replaced") {
  Fixture test;
  const FileTransferPointer transfer = test.incoming(1);
  test.write(transfer, {42});
  test.disk().make_file("/in/a.txt", some_bytes(5));
  test.run(DiskJob::Kind::finish, transfer);
  CHECK_EQ(test.told(3).status, Status::already_exists);
  CHECK(test.disk().contents("/in/a.txt") == some_bytes(5));
  CHECK(test.disk().list("/in") == std::vector<std::string>{"a.txt"});
}

TEST("disk queue: a disk that fills up while it is written to is told once, and what still comes is thrown away") {
  Fixture test;
  test.set(&SimFaults::reserve_not_supported);
  const FileTransferPointer transfer = test.incoming(1'000'000, checked());
  test.write(transfer, some_bytes(1000));
  CHECK(test.told().event == FileEvent::opened);
  test.set(&SimFaults::disk_full);
  test.write(transfer, some_bytes(1000));
  CHECK_EQ(test.told().status, Status::no_space);
  test.no_faults();
  test.write(transfer, some_bytes(1000));
  test.run(DiskJob::Kind::finish, transfer);
  test.told(0);
  CHECK_EQ(transfer->to_disk.load(), 0U);
  test.run(DiskJob::Kind::discard, transfer, true);
  CHECK(test.disk().contents("/in/a.txt.part") == some_bytes(1000));
}

TEST("disk queue: without room for all of a file it is refused, and leaves nothing") {
  Fixture test;
  SimFaults faults;
  faults.disk_bytes = 1'000'000;
  iocp::SimWorld::current().set_faults(faults);
  test.incoming(2'000'000, checked());
  CHECK_EQ(test.told().status, Status::no_space);
  CHECK(test.disk().list("/in").empty());
  CHECK_EQ(test.disk().open_files(), 0U);
}

TEST("disk queue: a durable file is on the disk before it has its name, and the name before it is told") {
  // Whatever a power cut takes, it takes nothing of it.
  for (std::uint32_t round = 0; round < 20; ++round) {
    Fixture test;
    FileTarget target = checked();
    target.durable = true;
    const Bytes bytes = some_bytes(200'000 + round);
    const FileTransferPointer transfer = test.incoming(bytes.size(), target);
    test.write(transfer, bytes);
    test.run(DiskJob::Kind::finish, transfer, true, iocp::crc32c_extend(0, bytes));
    CHECK(test.told(3).event == FileEvent::finished);
    test.disk().cut_power("/in");
    CHECK(test.disk().contents("/in/a.txt") == bytes);
  }
}

TEST("disk queue: short writes and short reads lose nothing") {
  Fixture test;
  test.set(&SimFaults::file_short_write);
  const Bytes bytes = some_bytes(50'000);
  FileTransferPointer transfer = test.incoming(bytes.size() + 1, checked());
  test.write(transfer, bytes);
  test.run(DiskJob::Kind::discard, transfer, true);
  test.set(&SimFaults::file_short_read);
  transfer = test.incoming(bytes.size(), checked());
  CHECK_EQ(test.told(2).value, bytes.size());
  test.run(DiskJob::Kind::finish, transfer, true, iocp::crc32c_extend(0, bytes));
  CHECK(test.told().event == FileEvent::finished);
  CHECK(test.disk().contents("/in/a.txt") == bytes);
}

TEST("disk queue: a source is opened, and checked in stretches between which others have their turn") {
  Fixture test;
  const Bytes bytes = some_bytes(3'000'000);
  test.disk().make_file("/in/source", bytes);
  const auto transfer = std::make_shared<FileTransfer>(1, true, test.lane, 3, 1);
  transfer->path = "/in/source";
  test.run(DiskJob::Kind::open_source, transfer);
  CHECK_EQ(test.told().value, bytes.size());
  transfer->check_begin = 1000;
  transfer->check_length = bytes.size() - 2000;
  DiskJob job;
  job.kind = DiskJob::Kind::check;
  job.transfer = transfer;
  test.queue.push(std::move(job));
  // The second one in the queue is told first.
  const auto other = std::make_shared<FileTransfer>(2, true, test.lane, 3, 1);
  other->path = "/in/missing";
  test.run(DiskJob::Kind::open_source, other);
  const Told told = test.told(2);
  CHECK(told.event == FileEvent::checked);
  CHECK_EQ(told.value, iocp::crc32c_extend(0, ConstBytes(bytes).subspan(1000, bytes.size() - 2000)));
}

TEST("disk queue: a source that became shorter, or cannot be read, fails its check") {
  for (const bool shrinks : {true, false}) {
    Fixture test;
    test.disk().make_file("/in/source", some_bytes(1000));
    const auto transfer = std::make_shared<FileTransfer>(1, true, test.lane, 3, 1);
    transfer->path = "/in/source";
    test.run(DiskJob::Kind::open_source, transfer);
    if (shrinks) test.disk().resize("/in/source", 999);
    if (!shrinks) test.set(&SimFaults::file_io_error);
    transfer->check_length = 1000;
    test.run(DiskJob::Kind::check, transfer);
    CHECK_EQ(test.told(2).status, shrinks ? Status::file_shrank : Status::io_error);
  }
}

TEST("disk queue: a context that waits for the disk is told when little is left, and once") {
  Fixture test;
  const FileTransferPointer transfer = test.incoming(10'000'000, checked());
  test.set(&SimFaults::file_short_write, 0);
  iocp::ClientContext context(test.lane, 3, 1);
  transfer->to_disk = iocp::kToDiskLow + 1000;
  transfer->waits_for_disk = &context;
  std::vector<iocp::Command> commands;
  test.write(transfer, some_bytes(500));
  CHECK(!test.lane.has_commands());
  test.write(transfer, some_bytes(1000));
  CHECK(!test.lane.has_commands());
  transfer->to_disk -= 1000;
  test.write(transfer, some_bytes(500));
  REQUIRE(test.lane.take_commands(&commands));
  test.lane.commands_done();
  REQUIRE(commands.size() == 1);
  CHECK(commands[0].verb == iocp::Command::Verb::file_room);
  CHECK(commands[0].context == &context);
  test.write(transfer, some_bytes(500));
  CHECK(!test.lane.has_commands());
  test.run(DiskJob::Kind::discard, transfer, false);
}

TEST("disk queue: what nobody steps any more gives its memory back") {
  Fixture test;
  const auto transfer = std::make_shared<FileTransfer>(1, false, test.lane, 3, 1);
  iocp::DiskQueue abandoned;
  DiskJob job;
  job.transfer = transfer;
  job.bytes.memory = job.bytes.payload = static_cast<std::uint8_t*>(std::malloc(100));
  job.bytes.length = 100;
  abandoned.push(std::move(job));
  test.told(0);
}
