// port/file.h on the simulated disk: the calls, and the faults that strike at them.
#include <algorithm>
#include <utility>

#include "port/check.h"
#include "port/file.h"
#include "port/sim/sim_disk.h"
#include "port/sim/sim_network.h"

namespace iocp {
namespace {

constexpr std::uint64_t kLargestOffset = INT64_MAX;
constexpr std::size_t kLongestName = 255;

SimOpenFile* open_of(RawFile raw) {
  IOCP_CHECK(raw != RawFile::none);
  return reinterpret_cast<SimOpenFile*>(static_cast<std::uintptr_t>(raw));
}

RawFile raw_of(std::shared_ptr<SimNetwork> network, std::shared_ptr<SimNode> node, bool writable) {
  if (writable) node->locked = true;
  auto* const open = new SimOpenFile{std::move(network), std::move(node), writable};
  open->network->disk().note_opened(open);
  return static_cast<RawFile>(reinterpret_cast<std::uintptr_t>(open));
}

void release(RawFile raw) {
  SimOpenFile* const open = open_of(raw);
  if (open->writable) open->node->locked = false;
  open->network->disk().note_closed(open);
  delete open;
}

std::shared_ptr<SimNetwork> current_network() { return SimWorld::current().network().shared_from_this(); }

Status require_living(const SimOpenFile& open) { return open.dead ? Status::io_error : Status::ok; }

Status strike(const SimOpenFile& open) {
  SimNetwork& network = *open.network;
  if (network.chance(network.faults().file_io_error)) return Status::io_error;
  return require_living(open);
}

Status require_file(const SimNode& node) {
  if (node.kind == SimNodeKind::directory) return Status::is_a_directory;
  return node.kind == SimNodeKind::file ? Status::ok : Status::not_a_file;
}

Status check_name(const std::string& name) {
  if (!is_single_name(name)) return Status::invalid_argument;
  return name.size() > kLongestName ? Status::name_too_long : Status::ok;
}

}  // namespace

SimOpenFile& sim_file_of(RawFile raw) { return *open_of(raw); }

void sim_meddle(SimOpenFile& open) {
  SimNetwork& network = *open.network;
  SimNode& node = *open.node;
  if (network.chance(network.faults().file_shrinks) && node.size > 0) {
    network.disk().set_size(&node, network.pick(0, node.size - 1));
  }
  if (network.chance(network.faults().file_grows)) network.disk().set_size(&node, node.size + network.pick(1, 4096));
}

// --- File ----------------------------------------------------------------------------------------------------------

Status File::open_for_reading(const std::string& path, File* out) noexcept {
  if (path.find('\0') != std::string::npos) return Status::invalid_argument;
  const std::shared_ptr<SimNetwork> network = current_network();
  if (network->chance(network->faults().file_open_fails)) return Status::too_many_open_files;
  std::shared_ptr<SimNode> node;
  Status status = network->disk().resolve(path, &node);
  if (status == Status::ok) status = require_file(*node);
  if (status == Status::ok) *out = File(raw_of(network, std::move(node), false));
  return status;
}

Status File::info(FileInfo* out) const noexcept {
  const SimOpenFile& open = *open_of(raw_);
  *out = {open.node->size, open.node->modified_ms};
  return Status::ok;
}

Status File::read_at(std::uint64_t offset, std::span<std::uint8_t> target, std::size_t* bytes) const noexcept {
  *bytes = 0;
  if (offset > kLargestOffset) return Status::file_too_large;
  SimOpenFile& open = *open_of(raw_);
  SimNetwork& network = *open.network;
  if (const Status status = strike(open); status != Status::ok) return status;
  if (!open.writable) sim_meddle(open);
  std::size_t asked = target.size();
  if (asked > 1 && network.chance(network.faults().file_short_read)) asked = network.pick(1, asked - 1);
  *bytes = network.disk().read(*open.node, offset, target.first(asked));
  network.note("file read", offset, *bytes);
  return Status::ok;
}

Status File::write_at(std::uint64_t offset, std::span<const std::uint8_t> bytes, std::size_t* written) noexcept {
  *written = 0;
  if (offset > kLargestOffset - bytes.size()) return Status::file_too_large;
  SimOpenFile& open = *open_of(raw_);
  if (open.dead) return Status::io_error;
  if (!open.writable) return Status::not_permitted;
  if (bytes.empty()) return Status::ok;
  SimNetwork& network = *open.network;
  if (const Status status = strike(open); status != Status::ok) return status;
  if (network.chance(network.faults().disk_full)) return Status::no_space;
  std::size_t asked = bytes.size();
  if (asked > 1 && network.chance(network.faults().file_short_write)) asked = network.pick(1, asked - 1);
  *written = network.disk().write(open.node.get(), offset, bytes.first(asked));
  network.note("file write", offset, *written);
  return *written == 0 ? Status::no_space : Status::ok;
}

Status File::reserve(std::uint64_t size) noexcept {
  if (size > kLargestOffset) return Status::file_too_large;
  SimOpenFile& open = *open_of(raw_);
  if (open.dead) return Status::io_error;
  if (!open.writable) return Status::not_permitted;
  if (open.network->chance(open.network->faults().reserve_not_supported)) return Status::not_supported;
  return open.network->disk().reserve(open.node.get(), size);
}

Status File::truncate(std::uint64_t size) noexcept {
  if (size > kLargestOffset) return Status::file_too_large;
  SimOpenFile& open = *open_of(raw_);
  if (open.dead) return Status::io_error;
  if (!open.writable) return Status::invalid_argument;
  if (const Status status = strike(open); status != Status::ok) return status;
  open.network->disk().set_size(open.node.get(), size);
  return Status::ok;
}

Status File::sync() noexcept {
  SimOpenFile& open = *open_of(raw_);
  const Status status = strike(open);
  if (status == Status::ok) SimDisk::sync(open.node.get());
  return status;
}

void File::prefetch(std::uint64_t offset, std::uint64_t length) const noexcept {
  open_of(raw_)->network->note("file prefetch", offset, length);
}

Status File::close() noexcept {
  const RawFile raw = std::exchange(raw_, RawFile::none);
  const SimOpenFile& open = *open_of(raw);
  const Status status = open.writable ? strike(open) : require_living(open);
  release(raw);
  return status;
}

// --- Folder --------------------------------------------------------------------------------------------------------

Status Folder::open(const std::string& path, Folder* out) noexcept {
  if (path.find('\0') != std::string::npos) return Status::invalid_argument;
  const std::shared_ptr<SimNetwork> network = current_network();
  std::shared_ptr<SimNode> node;
  if (const Status status = network->disk().resolve(path, &node); status != Status::ok) return status;
  if (node->kind != SimNodeKind::directory) return Status::not_found;
  out->close();
  out->raw_ = raw_of(network, std::move(node), false);
  out->path_ = path;
  return Status::ok;
}

Status Folder::create(const std::string& name, File* out) noexcept {
  if (const Status status = check_name(name); status != Status::ok) return status;
  SimOpenFile& folder = *open_of(raw_);
  if (folder.dead) return Status::io_error;
  SimNetwork& network = *folder.network;
  if (network.chance(network.faults().file_open_fails)) return Status::too_many_open_files;
  if (folder.node->entries.contains(name)) return Status::already_exists;
  const auto node = std::make_shared<SimNode>();
  node->modified_ms = static_cast<std::int64_t>(network.now_ms());
  folder.node->entries.emplace(name, node);
  *out = File(raw_of(folder.network, node, true));
  return Status::ok;
}

Status Folder::open_to_resume(const std::string& name, File* out) noexcept {
  if (const Status status = check_name(name); status != Status::ok) return status;
  SimOpenFile& folder = *open_of(raw_);
  if (folder.dead) return Status::io_error;
  if (folder.network->chance(folder.network->faults().file_open_fails)) return Status::too_many_open_files;
  const auto found = folder.node->entries.find(name);
  if (found == folder.node->entries.end()) return Status::not_found;
  if (found->second->kind == SimNodeKind::symbolic_link) return Status::too_many_links;
  if (const Status status = require_file(*found->second); status != Status::ok) return status;
  if (found->second->locked) return Status::resource_busy;
  *out = File(raw_of(folder.network, found->second, true));
  return Status::ok;
}

Status Folder::rename(const std::string& from, const std::string& to, IfExists if_exists) noexcept {
  for (const std::string& name : {from, to}) {
    if (const Status status = check_name(name); status != Status::ok) return status;
  }
  SimOpenFile& folder = *open_of(raw_);
  if (const Status status = strike(folder); status != Status::ok) return status;
  auto& entries = folder.node->entries;
  const auto source = entries.find(from);
  if (source == entries.end()) return Status::not_found;
  const auto target = entries.find(to);
  if (target != entries.end()) {
    if (if_exists == IfExists::refuse) return Status::already_exists;
    if (target->second->kind == SimNodeKind::directory) return Status::is_a_directory;
  }
  const std::shared_ptr<SimNode> node = source->second;
  entries.erase(from);
  entries[to] = node;
  return Status::ok;
}

Status Folder::remove(const std::string& name) noexcept {
  if (const Status status = check_name(name); status != Status::ok) return status;
  SimOpenFile& folder = *open_of(raw_);
  if (folder.dead) return Status::io_error;
  auto& entries = folder.node->entries;
  const auto found = entries.find(name);
  if (found == entries.end()) return Status::not_found;
  if (found->second->kind == SimNodeKind::directory) return Status::is_a_directory;
  entries.erase(found);
  return Status::ok;
}

Status Folder::sync() noexcept {
  SimOpenFile& folder = *open_of(raw_);
  const Status status = strike(folder);
  if (status == Status::ok) SimDisk::sync(folder.node.get());
  return status;
}

void Folder::close() noexcept {
  if (is_open()) release(std::exchange(raw_, RawFile::none));
}

}  // namespace iocp
