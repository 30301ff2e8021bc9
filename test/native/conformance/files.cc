// The disk's contract (port/file.h): what is opened and what is refused, bytes at offsets, and putting a file in place.
#include <algorithm>

#include "conformance/scratch.h"
#include "conformance/world.h"

namespace conformance {
namespace {

using iocp::File;
using iocp::FileInfo;
using iocp::Folder;
using iocp::IfExists;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

std::vector<std::string> names(std::initializer_list<std::string> list) { return list; }

}  // namespace

TEST("files: what was written is read back, and the file tells its size") {
  Scratch scratch;
  const Bytes contents = pattern(300'000);
  scratch.write("a.bin", contents);
  File file;
  REQUIRE(File::open_for_reading(scratch.path("a.bin"), &file) == Status::ok);
  FileInfo info;
  REQUIRE(file.info(&info) == Status::ok);
  CHECK_EQ(info.size, contents.size());
  CHECK(read_all(file) == contents);
  Bytes part(1000);
  std::size_t bytes = 0;
  REQUIRE(file.read_at(299'500, part, &bytes) == Status::ok);
  CHECK(bytes > 0 && bytes <= 500);
  CHECK(std::equal(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(bytes), contents.begin() + 299'500));
}

TEST("files: reading at the end and far behind it is the end, not an error") {
  Scratch scratch;
  scratch.write("a.bin", pattern(10));
  File file;
  REQUIRE(File::open_for_reading(scratch.path("a.bin"), &file) == Status::ok);
  Bytes part(8);
  for (const std::uint64_t offset : {std::uint64_t{10}, 5 * kGiB}) {
    std::size_t bytes = 1;
    CHECK_EQ(file.read_at(offset, part, &bytes), Status::ok);
    CHECK_EQ(bytes, 0U);
  }
}

TEST("files: offsets above 4 GiB are exact, and a gap reads as zeros") {
  Scratch scratch;
  const Bytes contents = pattern(70'000, 3);
  const std::uint64_t offset = 5 * kGiB + 12'345;
  scratch.write_sparse("large.bin", offset, contents);
  File file;
  REQUIRE(File::open_for_reading(scratch.path("large.bin"), &file) == Status::ok);
  FileInfo info;
  REQUIRE(file.info(&info) == Status::ok);
  CHECK_EQ(info.size, offset + contents.size());
  Bytes part(2'000);
  std::size_t bytes = 0;
  REQUIRE(file.read_at(offset, part, &bytes) == Status::ok);
  REQUIRE(bytes > 0);
  CHECK(std::equal(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(bytes), contents.begin()));
  REQUIRE(file.read_at(offset - 2 * kGiB, part, &bytes) == Status::ok);
  REQUIRE(bytes > 0);
  CHECK(std::all_of(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(bytes),
                    [](auto byte) { return byte == 0; }));
}

TEST("files: offsets beyond 2^63 - 1 are refused") {
  Scratch scratch;
  File file;
  REQUIRE(scratch.folder().create("a.bin", &file) == Status::ok);
  const Bytes contents = pattern(10);
  Bytes part(10);
  std::size_t bytes = 1;
  CHECK_EQ(file.write_at(UINT64_MAX - 5, contents, &bytes), Status::file_too_large);
  CHECK_EQ(bytes, 0U);
  CHECK_EQ(file.write_at(INT64_MAX - 5, contents, &bytes), Status::file_too_large);
  CHECK_EQ(file.read_at(UINT64_MAX, part, &bytes), Status::file_too_large);
  CHECK_EQ(file.truncate(UINT64_MAX), Status::file_too_large);
  CHECK_EQ(file.reserve(UINT64_MAX), Status::file_too_large);
}

TEST("files: only regular files are opened for reading, and the reason says what it was") {
  Scratch scratch;
  scratch.make_directory("folder");
  File file;
  CHECK_EQ(File::open_for_reading(scratch.path("folder"), &file), Status::is_a_directory);
  CHECK_EQ(File::open_for_reading(scratch.path("nothing"), &file), Status::not_found);
  CHECK_EQ(File::open_for_reading(scratch.path("nowhere/a.bin"), &file), Status::not_found);
  CHECK_EQ(File::open_for_reading("", &file), Status::not_found);
  CHECK_EQ(File::open_for_reading(scratch.path("a") + std::string("\0b", 2), &file), Status::invalid_argument);
  CHECK_EQ(File::open_for_reading(scratch.special_file(), &file), Status::not_a_file);
  CHECK(!file.is_open());
}

TEST("files: a symbolic link is followed for reading") {
  Scratch scratch;
  scratch.write("a.bin", pattern(10));
  scratch.make_symbolic_link("link", scratch.path("a.bin"));
  File file;
  REQUIRE(File::open_for_reading(scratch.path("link"), &file) == Status::ok);
  CHECK(read_all(file) == pattern(10));
}

TEST("files: a new file is created exclusively") {
  Scratch scratch;
  scratch.write("a.bin", pattern(10));
  scratch.make_directory("folder");
  File file;
  CHECK_EQ(scratch.folder().create("a.bin", &file), Status::already_exists);
  CHECK_EQ(scratch.folder().create("folder", &file), Status::already_exists);
  CHECK(scratch.read("a.bin") == pattern(10));
}

TEST("files: a symbolic link is neither created through nor resumed through") {
  Scratch scratch;
  scratch.make_directory("outside");
  scratch.write("victim.bin", pattern(10));
  scratch.make_symbolic_link("dangling", scratch.path("outside/new.bin"));
  scratch.make_symbolic_link("link", scratch.path("victim.bin"));
  File file;
  CHECK_EQ(scratch.folder().create("dangling", &file), Status::already_exists);
  CHECK_EQ(scratch.folder().create("link", &file), Status::already_exists);
  CHECK_EQ(scratch.folder().open_to_resume("link", &file), Status::too_many_links);
  CHECK_EQ(scratch.folder().open_to_resume("dangling", &file), Status::too_many_links);
  CHECK(scratch.read("victim.bin") == pattern(10));
  CHECK_EQ(File::open_for_reading(scratch.path("outside/new.bin"), &file), Status::not_found);
}

TEST("files: names that would lead elsewhere are refused by every call of a folder") {
  Scratch scratch;
  scratch.write("a.bin", pattern(10));
  scratch.make_directory("folder");
  const std::string names_refused[] = {
      "",    ".",  "..",    "../a.bin", "folder/b.bin",        "/a.bin", "folder\\b.bin",
      "a:b", "C:", "C:\\x", "a/",       std::string("a\0b", 3)};
  for (const std::string& name : names_refused) {
    File file;
    CHECK_EQ(scratch.folder().create(name, &file), Status::invalid_argument);
    CHECK_EQ(scratch.folder().open_to_resume(name, &file), Status::invalid_argument);
    CHECK_EQ(scratch.folder().remove(name), Status::invalid_argument);
    CHECK_EQ(scratch.folder().rename("a.bin", name, IfExists::replace), Status::invalid_argument);
    CHECK_EQ(scratch.folder().rename(name, "b.bin", IfExists::refuse), Status::invalid_argument);
    CHECK(!file.is_open());
  }
  CHECK(scratch.list() == names({"a.bin", "folder"}));
}

TEST("files: a name that is too long is refused, not cut") {
  Scratch scratch;
  File file;
  const Status status = scratch.folder().create(std::string(300, 'x'), &file);
  CHECK(status == Status::name_too_long || status == Status::not_found);
  CHECK(scratch.list().empty());
}

TEST("files: a file is resumed where it ended, and only by one at a time") {
  Scratch scratch;
  const Bytes contents = pattern(1000);
  scratch.write("a.part", Bytes(contents.begin(), contents.begin() + 400));
  File file;
  File second;
  REQUIRE(scratch.folder().open_to_resume("a.part", &file) == Status::ok);
  CHECK_EQ(scratch.folder().open_to_resume("a.part", &second), Status::resource_busy);
  write_all(&file, 400, Bytes(contents.begin() + 400, contents.end()));
  REQUIRE(file.close() == Status::ok);
  CHECK(scratch.read("a.part") == contents);
  CHECK_EQ(scratch.folder().open_to_resume("a.part", &second), Status::ok);
  CHECK_EQ(second.close(), Status::ok);
  CHECK_EQ(scratch.folder().open_to_resume("nothing", &second), Status::not_found);
  scratch.make_directory("folder");
  CHECK_EQ(scratch.folder().open_to_resume("folder", &second), Status::is_a_directory);
}

TEST("files: reserving room leaves the size as it is") {
  Scratch scratch;
  File file;
  REQUIRE(scratch.folder().create("a.bin", &file) == Status::ok);
  const Status status = file.reserve(3'000'000);
  CHECK(status == Status::ok || status == Status::not_supported);
  FileInfo info;
  REQUIRE(file.info(&info) == Status::ok);
  CHECK_EQ(info.size, 0U);
  write_all(&file, 0, pattern(5'000));
  REQUIRE(file.info(&info) == Status::ok);
  CHECK_EQ(info.size, 5'000U);
  CHECK(file.reserve(1'000) == Status::ok || status == Status::not_supported);
  CHECK(read_all(file) == pattern(5'000));
}

TEST("files: a file is cut and made longer, and nothing comes back from behind the end") {
  Scratch scratch;
  File file;
  REQUIRE(scratch.folder().create("a.bin", &file) == Status::ok);
  write_all(&file, 0, pattern(200'000));
  REQUIRE(file.truncate(70'000) == Status::ok);
  REQUIRE(file.truncate(200'000) == Status::ok);
  Bytes expected = pattern(70'000);
  expected.resize(200'000);
  CHECK(read_all(file) == expected);
  CHECK_EQ(file.sync(), Status::ok);
  file.prefetch(0, 200'000);
  CHECK_EQ(file.close(), Status::ok);
  CHECK_EQ(scratch.folder().sync(), Status::ok);
}

TEST("files: renaming refuses a taken name, or replaces what has it") {
  Scratch scratch;
  Folder& folder = scratch.folder();
  scratch.write("new", pattern(10));
  scratch.write("old", pattern(20));
  CHECK_EQ(folder.rename("new", "old", IfExists::refuse), Status::already_exists);
  CHECK(scratch.read("old") == pattern(20));
  CHECK_EQ(folder.rename("new", "free", IfExists::refuse), Status::ok);
  CHECK(scratch.list() == names({"free", "old"}));
  CHECK_EQ(folder.rename("free", "old", IfExists::replace), Status::ok);
  CHECK(scratch.list() == names({"old"}));
  CHECK(scratch.read("old") == pattern(10));
  CHECK_EQ(folder.rename("nothing", "else", IfExists::refuse), Status::not_found);
}

TEST("files: a directory is never replaced or removed") {
  Scratch scratch;
  Folder& folder = scratch.folder();
  scratch.make_directory("folder");
  scratch.write("a.bin", pattern(10));
  CHECK_EQ(folder.rename("a.bin", "folder", IfExists::refuse), Status::already_exists);
  const Status replaced = folder.rename("a.bin", "folder", IfExists::replace);
  CHECK(replaced == Status::is_a_directory || replaced == Status::access_denied);
  const Status removed = folder.remove("folder");
  CHECK(removed == Status::is_a_directory || removed == Status::not_permitted || removed == Status::access_denied);
  CHECK(scratch.list() == names({"a.bin", "folder"}));
}

TEST("files: renaming over a symbolic link replaces the link, not what it points to") {
  Scratch scratch;
  scratch.write("victim.bin", pattern(10));
  scratch.make_symbolic_link("link", scratch.path("victim.bin"));
  scratch.write("new", pattern(20));
  CHECK_EQ(scratch.folder().rename("new", "link", IfExists::refuse), Status::already_exists);
  CHECK_EQ(scratch.folder().rename("new", "link", IfExists::replace), Status::ok);
  CHECK(scratch.read("victim.bin") == pattern(10));
  CHECK(scratch.read("link") == pattern(20));
}

TEST("files: removing takes the file or the link itself") {
  Scratch scratch;
  scratch.write("a.bin", pattern(10));
  CHECK_EQ(scratch.folder().remove("a.bin"), Status::ok);
  CHECK_EQ(scratch.folder().remove("a.bin"), Status::not_found);
  CHECK(scratch.list().empty());
}

TEST("files: a folder that is none is not opened") {
  Scratch scratch;
  scratch.write("a.bin", pattern(10));
  Folder folder;
  CHECK_EQ(Folder::open(scratch.path("nothing"), &folder), Status::not_found);
  CHECK_EQ(Folder::open(scratch.path("a.bin"), &folder), Status::not_found);
  CHECK_EQ(Folder::open("", &folder), Status::not_found);
  CHECK(!folder.is_open());
}

TEST("files: names beyond ASCII come back as they were") {
  Scratch scratch;
  const std::string name = "gr\xC3\xBC\xC3\x9F-\xE6\x96\x87\xE4\xBB\xB6.bin";
  scratch.write(name, pattern(10));
  CHECK(scratch.read(name) == pattern(10));
  CHECK_EQ(scratch.folder().remove(name), Status::ok);
}

}  // namespace conformance
