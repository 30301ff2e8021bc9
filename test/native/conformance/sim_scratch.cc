// A case's own directory on the simulated disk of the current world.
#include "conformance/scratch.h"
#include "port/sim/sim_disk.h"
#include "port/sim/sim_world.h"

namespace conformance {
namespace {

iocp::SimDisk& disk() { return iocp::SimWorld::current().disk(); }

}  // namespace

Scratch::Scratch() {
  static int count = 0;
  path_ = "/scratch-" + std::to_string(++count);
  disk().make_directory(path_);
  open_folder();
}

// The world's default lives for ever, and so do a few KiB of every case.
Scratch::~Scratch() = default;

std::string Scratch::path(const std::string& name) const { return name.empty() ? path_ : path_ + "/" + name; }

void Scratch::make_directory(const std::string& name) { disk().make_directory(path(name)); }

void Scratch::make_symbolic_link(const std::string& name, const std::string& target) {
  disk().make_symbolic_link(path(name), target);
}

std::string Scratch::special_file() {
  disk().make_device(path("device"));
  return path("device");
}

std::vector<std::string> Scratch::list() const { return disk().list(path_); }

}  // namespace conformance
