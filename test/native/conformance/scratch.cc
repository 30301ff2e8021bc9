// What a case's own directory offers through the contract, alike on every disk.
#include "conformance/scratch.h"

#include <span>

namespace conformance {

using iocp::File;
using iocp::Status;

void write_all(File* file, std::uint64_t offset, const std::vector<std::uint8_t>& contents) {
  for (std::size_t done = 0; done < contents.size();) {
    std::size_t written = 0;
    REQUIRE(file->write_at(offset + done, std::span(contents).subspan(done), &written) == Status::ok);
    REQUIRE(written > 0 && written <= contents.size() - done);
    done += written;
  }
}

std::vector<std::uint8_t> read_all(const File& file) {
  std::vector<std::uint8_t> contents;
  std::vector<std::uint8_t> part(100'000);
  for (;;) {
    std::size_t bytes = 0;
    REQUIRE(file.read_at(contents.size(), part, &bytes) == Status::ok);
    REQUIRE(bytes <= part.size());
    if (bytes == 0) return contents;
    contents.insert(contents.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(bytes));
  }
}

void Scratch::open_folder() { REQUIRE(iocp::Folder::open(path_, &folder_) == Status::ok); }

void Scratch::write(const std::string& name, const std::vector<std::uint8_t>& contents) {
  write_sparse(name, 0, contents);
}

void Scratch::write_sparse(const std::string& name, std::uint64_t offset, const std::vector<std::uint8_t>& contents) {
  File file;
  REQUIRE(folder_.create(name, &file) == Status::ok);
  write_all(&file, offset, contents);
  REQUIRE(file.close() == Status::ok);
}

std::vector<std::uint8_t> Scratch::read(const std::string& name) const {
  File file;
  REQUIRE(File::open_for_reading(path(name), &file) == Status::ok);
  return read_all(file);
}

}  // namespace conformance
