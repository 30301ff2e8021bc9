// A directory of a case's own, on whatever disk the backend has: the system's, or the simulated one. Files are made and
// looked at through the contract (port/file.h); this prepares what the contract cannot make. One definition is linked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "port/file.h"
#include "support/test.h"

namespace conformance {

class Scratch {
 public:
  Scratch();
  ~Scratch();  // with everything in it
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string path(const std::string& name = {}) const;
  void make_directory(const std::string& name);
  void make_symbolic_link(const std::string& name, const std::string& target);
  // Something that is neither a file nor a directory; opening it must not hang. "": the system has none to offer.
  std::string special_file();
  std::vector<std::string> list() const;  // sorted

  // --- through the contract
  iocp::Folder& folder() { return folder_; }
  void write(const std::string& name, const std::vector<std::uint8_t>& contents);
  std::vector<std::uint8_t> read(const std::string& name) const;
  // `contents` at `offset` of a new file with nothing before it.
  void write_sparse(const std::string& name, std::uint64_t offset, const std::vector<std::uint8_t>& contents);

 private:
  void open_folder();

  std::string path_;
  iocp::Folder folder_;
};

void write_all(iocp::File* file, std::uint64_t offset, const std::vector<std::uint8_t>& contents);
std::vector<std::uint8_t> read_all(const iocp::File& file);

}  // namespace conformance
