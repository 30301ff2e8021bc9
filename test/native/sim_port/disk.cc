// The simulated disk's own promises: every fault strikes, a full disk takes part of a write, room that was reserved is
// there, and the disk outlives the port.
#include "port/sim/sim_disk.h"

#include <string>
#include <vector>

#include "port/file.h"
#include "port/sim/sim_world.h"
#include "support/test.h"

using iocp::File;
using iocp::Folder;
using iocp::IfExists;
using iocp::SimFaults;
using iocp::SimNode;
using iocp::SimWorld;
using iocp::SimWorldScope;
using iocp::Status;

namespace {

constexpr std::uint32_t kAlways = 1000;

struct DiskWorld {
  explicit DiskWorld(const SimFaults& faults = {}) : world(7, faults), scope(world) {
    world.disk().make_directory("/files");
    REQUIRE(Folder::open("/files", &folder) == Status::ok);
  }

  void set(std::uint32_t SimFaults::*fault, std::uint32_t value = kAlways) {
    SimFaults faults;
    faults.*fault = value;
    world.set_faults(faults);
  }

  SimWorld world;
  SimWorldScope scope;
  Folder folder;
};

const std::vector<std::uint8_t> kText = {'t', 'e', 'n', ' ', 'b', 'y', 't', 'e', 's', '!'};

}  // namespace

TEST("sim disk: short reads and short writes move something, and less than asked") {
  DiskWorld test;
  File file;
  REQUIRE(test.folder.create("a", &file) == Status::ok);
  test.set(&SimFaults::file_short_write);
  std::size_t count = 0;
  REQUIRE(file.write_at(0, kText, &count) == Status::ok);
  CHECK(count > 0 && count < kText.size());
  test.world.set_faults({});
  REQUIRE(file.write_at(0, kText, &count) == Status::ok);
  REQUIRE(count == kText.size());
  test.set(&SimFaults::file_short_read);
  std::vector<std::uint8_t> target(kText.size());
  REQUIRE(file.read_at(0, target, &count) == Status::ok);
  CHECK(count > 0 && count < kText.size());
}

TEST("sim disk: an I/O error strikes at every call that meets the disk") {
  DiskWorld test;
  File file;
  REQUIRE(test.folder.create("a", &file) == Status::ok);
  test.set(&SimFaults::file_io_error);
  std::vector<std::uint8_t> target(4);
  std::size_t count = 0;
  CHECK_EQ(file.read_at(0, target, &count), Status::io_error);
  CHECK_EQ(file.write_at(0, kText, &count), Status::io_error);
  CHECK_EQ(file.truncate(1), Status::io_error);
  CHECK_EQ(file.sync(), Status::io_error);
  CHECK_EQ(test.folder.sync(), Status::io_error);
  CHECK_EQ(test.folder.rename("a", "b", IfExists::refuse), Status::io_error);
  CHECK_EQ(file.close(), Status::io_error);
  CHECK(!file.is_open());
}

TEST("sim disk: opening fails when the process is out of descriptors") {
  DiskWorld test;
  test.world.disk().make_file("/files/a", kText);
  test.set(&SimFaults::file_open_fails);
  File file;
  CHECK_EQ(File::open_for_reading("/files/a", &file), Status::too_many_open_files);
  CHECK_EQ(test.folder.create("b", &file), Status::too_many_open_files);
  CHECK_EQ(test.folder.open_to_resume("a", &file), Status::too_many_open_files);
  CHECK(test.world.disk().list("/files") == std::vector<std::string>{"a"});
}

TEST("sim disk: a full disk takes what it has room for, then says so") {
  SimFaults faults;
  faults.disk_bytes = 2 * SimNode::kPageBytes;
  DiskWorld test(faults);
  File file;
  REQUIRE(test.folder.create("a", &file) == Status::ok);
  const std::vector<std::uint8_t> large(3 * SimNode::kPageBytes, 1);
  std::size_t count = 0;
  CHECK_EQ(file.write_at(0, large, &count), Status::ok);
  CHECK_EQ(count, 2 * SimNode::kPageBytes);
  CHECK_EQ(file.write_at(count, large, &count), Status::no_space);
  CHECK_EQ(count, 0U);
  CHECK_EQ(file.truncate(0), Status::ok);
  CHECK_EQ(file.write_at(0, kText, &count), Status::ok);
}

TEST("sim disk: a write finds the disk full by chance") {
  DiskWorld test;
  File file;
  REQUIRE(test.folder.create("a", &file) == Status::ok);
  test.set(&SimFaults::disk_full);
  std::size_t count = 1;
  CHECK_EQ(file.write_at(0, kText, &count), Status::no_space);
  CHECK_EQ(count, 0U);
}

TEST("sim disk: reserved room is kept for its file, or refused at once, or not supported") {
  SimFaults faults;
  faults.disk_bytes = 2 * SimNode::kPageBytes;
  DiskWorld test(faults);
  File first;
  File second;
  REQUIRE(test.folder.create("a", &first) == Status::ok);
  REQUIRE(test.folder.create("b", &second) == Status::ok);
  CHECK_EQ(first.reserve(3 * SimNode::kPageBytes), Status::no_space);
  CHECK_EQ(first.reserve(2 * SimNode::kPageBytes), Status::ok);
  std::size_t count = 0;
  CHECK_EQ(second.write_at(0, kText, &count), Status::no_space);
  CHECK_EQ(first.write_at(0, kText, &count), Status::ok);
  test.set(&SimFaults::reserve_not_supported);
  CHECK_EQ(second.reserve(1), Status::not_supported);
}

TEST("sim disk: a file that is read shrinks or grows under its reader") {
  DiskWorld test;
  test.world.disk().make_file("/files/a", kText);
  File file;
  REQUIRE(File::open_for_reading("/files/a", &file) == Status::ok);
  iocp::FileInfo before;
  iocp::FileInfo after;
  std::vector<std::uint8_t> target(4);
  std::size_t count = 0;
  REQUIRE(file.info(&before) == Status::ok);
  test.set(&SimFaults::file_grows);
  REQUIRE(file.read_at(0, target, &count) == Status::ok);
  REQUIRE(file.info(&after) == Status::ok);
  CHECK(after.size > before.size);
  test.set(&SimFaults::file_shrinks);
  REQUIRE(file.read_at(0, target, &count) == Status::ok);
  REQUIRE(file.info(&before) == Status::ok);
  CHECK(before.size < after.size);
}

TEST("sim disk: a circle of symbolic links ends") {
  DiskWorld test;
  test.world.disk().make_symbolic_link("/files/one", "/files/two");
  test.world.disk().make_symbolic_link("/files/two", "one");
  File file;
  CHECK_EQ(File::open_for_reading("/files/one", &file), Status::too_many_links);
}

TEST("sim disk: what is open is counted") {
  DiskWorld test;
  CHECK_EQ(test.world.disk().open_files(), 1U);
  {
    File file;
    REQUIRE(test.folder.create("a", &file) == Status::ok);
    CHECK_EQ(test.world.disk().open_files(), 2U);
  }
  CHECK_EQ(test.world.disk().open_files(), 1U);
}

TEST("sim disk: who is killed changes nothing more, and leaves what was written for the next one") {
  DiskWorld test;
  File file;
  std::size_t count = 0;
  REQUIRE(test.folder.create("a", &file) == Status::ok);
  REQUIRE(file.write_at(0, kText, &count) == Status::ok);
  test.world.disk().kill_users("/files");
  CHECK_EQ(file.write_at(count, kText, &count), Status::io_error);
  CHECK_EQ(file.truncate(0), Status::io_error);
  CHECK_EQ(test.folder.remove("a"), Status::io_error);
  CHECK_EQ(test.folder.rename("a", "b", IfExists::refuse), Status::io_error);
  Folder next_folder;
  File next_file;
  REQUIRE(Folder::open("/files", &next_folder) == Status::ok);
  REQUIRE(next_folder.open_to_resume("a", &next_file) == Status::ok);
  // The dead one's end does not unlock what the living one has.
  CHECK_EQ(file.close(), Status::io_error);
  File third;
  CHECK_EQ(next_folder.open_to_resume("a", &third), Status::resource_busy);
  CHECK(test.world.disk().contents("/files/a") == kText);
}

TEST("sim disk: a power cut takes what was not synced, sooner or later, and never what was") {
  bool lost_a_name = false;
  bool lost_bytes = false;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimWorld world(seed);
    const SimWorldScope scope(world);
    world.disk().make_directory("/files");
    Folder folder;
    REQUIRE(Folder::open("/files", &folder) == Status::ok);
    File safe;
    File unsafe;
    std::size_t count = 0;
    REQUIRE(folder.create("safe", &safe) == Status::ok);
    REQUIRE(safe.write_at(0, kText, &count) == Status::ok);
    REQUIRE(safe.sync() == Status::ok);
    REQUIRE(folder.sync() == Status::ok);
    REQUIRE(folder.create("unsafe", &unsafe) == Status::ok);
    REQUIRE(unsafe.write_at(0, kText, &count) == Status::ok);
    world.disk().cut_power("/files");
    CHECK(world.disk().contents("/files/safe") == kText);
    const auto left = world.disk().contents("/files/unsafe");
    lost_a_name = lost_a_name || !left.has_value();
    lost_bytes = lost_bytes || (left.has_value() && *left != kText);
  }
  CHECK(lost_a_name);
  CHECK(lost_bytes);
}
