// A case's own directory on the system's disk.
#include <algorithm>
#include <filesystem>
#include <random>

#include "conformance/scratch.h"

namespace conformance {

namespace fs = std::filesystem;

Scratch::Scratch() {
  std::random_device random;
  const fs::path made =
      fs::temp_directory_path() / ("iocp-test-" + std::to_string(random()) + std::to_string(random()));
  REQUIRE(fs::create_directory(made));
  path_ = made.string();
  open_folder();
}

Scratch::~Scratch() {
  folder_.close();
  std::error_code ignored;  // a leftover in the temporary directory is no reason to fail
  fs::remove_all(path_, ignored);
}

std::string Scratch::path(const std::string& name) const {
  // Joined as text: a filesystem::path of Windows would take the bytes for letters of its code page.
  return name.empty() ? path_ : path_ + "/" + name;
}

void Scratch::make_directory(const std::string& name) { REQUIRE(fs::create_directory(path(name))); }

void Scratch::make_symbolic_link(const std::string& name, const std::string& target) {
  std::error_code error;
  fs::create_symlink(target, path(name), error);
  REQUIRE(!error);
}

std::string Scratch::special_file() { return fs::exists("/dev/null") ? "/dev/null" : "NUL"; }

std::vector<std::string> Scratch::list() const {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace conformance
