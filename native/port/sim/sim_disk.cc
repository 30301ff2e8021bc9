// The tree and the bytes of the simulated disk. No faults here: they strike at the calls, in sim_file.cc.
#include "port/sim/sim_disk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "port/check.h"
#include "port/sim/sim_network.h"

namespace iocp {
namespace {

constexpr int kMostLinks = 8;

}  // namespace

// --- names -----------------------------------------------------------------------------------------------------

Status SimDisk::walk(std::shared_ptr<SimNode> from, const std::string& path, int depth,
                     std::shared_ptr<SimNode>* out) const {
  if (depth > kMostLinks) return Status::too_many_links;
  std::shared_ptr<SimNode> at = path.starts_with('/') ? root_ : std::move(from);
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    begin = end + 1;
    if (name.empty() || name == ".") continue;
    if (at->kind != SimNodeKind::directory) return Status::not_found;
    const auto found = at->entries.find(name);
    if (found == at->entries.end()) return Status::not_found;
    std::shared_ptr<SimNode> next = found->second;
    if (next->kind == SimNodeKind::symbolic_link) {
      const std::string target = next->target;
      if (const Status status = walk(at, target, depth + 1, &next); status != Status::ok) return status;
    }
    at = std::move(next);
  }
  *out = std::move(at);
  return Status::ok;
}

Status SimDisk::resolve(const std::string& path, std::shared_ptr<SimNode>* out) const {
  return path.starts_with('/') ? walk(root_, path, 0, out) : Status::not_found;
}

std::shared_ptr<SimNode> SimDisk::find(const std::string& path) const {
  std::shared_ptr<SimNode> node;
  return resolve(path, &node) == Status::ok ? node : nullptr;
}

std::shared_ptr<SimNode> SimDisk::parent_of(const std::string& path, std::string* name) const {
  const std::size_t slash = path.rfind('/');
  IOCP_CHECK(slash != std::string::npos);
  *name = path.substr(slash + 1);
  return find(path.substr(0, slash + 1));
}

void SimDisk::add(const std::string& path, std::shared_ptr<SimNode> node) {
  std::string name;
  const std::shared_ptr<SimNode> parent = parent_of(path, &name);
  const bool parent_exists_and_name_is_free = parent != nullptr && !name.empty() && !parent->entries.contains(name);
  IOCP_CHECK(parent_exists_and_name_is_free);
  parent->synced_entries.emplace(name, node);
  parent->entries.emplace(name, std::move(node));
}

void SimDisk::make_directory(const std::string& path) { add(path, std::make_shared<SimNode>(SimNodeKind::directory)); }

void SimDisk::make_symbolic_link(const std::string& path, const std::string& target) {
  add(path, std::make_shared<SimNode>(SimNodeKind::symbolic_link, target));
}

void SimDisk::make_device(const std::string& path) { add(path, std::make_shared<SimNode>(SimNodeKind::device)); }

void SimDisk::make_file(const std::string& path, std::span<const std::uint8_t> contents) {
  const auto node = std::make_shared<SimNode>();
  add(path, node);
  const bool fits = write(node.get(), 0, contents) == contents.size();
  IOCP_CHECK(fits);
  sync(node.get());
}

void SimDisk::resize(const std::string& path, std::uint64_t size) {
  if (find(path) == nullptr) add(path, std::make_shared<SimNode>());
  set_size(find(path).get(), size);
}

std::optional<std::vector<std::uint8_t>> SimDisk::contents(const std::string& path) const {
  const std::shared_ptr<SimNode> node = find(path);
  if (node == nullptr || node->kind != SimNodeKind::file) return std::nullopt;
  std::vector<std::uint8_t> bytes(node->size);
  const bool whole = read(*node, 0, bytes) == bytes.size();
  IOCP_CHECK(whole);
  return bytes;
}

std::vector<std::string> SimDisk::list(const std::string& directory) const {
  std::vector<std::string> names;
  const std::shared_ptr<SimNode> node = find(directory);
  if (node == nullptr) return names;
  for (const auto& [name, entry] : node->entries) names.push_back(name);
  return names;
}

// --- death -----------------------------------------------------------------------------------------------------

namespace {

void gather(SimNode* node, std::set<const SimNode*>* found) {
  if (!found->insert(node).second) return;
  for (const auto& [name, entry] : node->entries) gather(entry.get(), found);
}

}  // namespace

void SimDisk::kill_users(const std::string& directory) {
  const std::shared_ptr<SimNode> top = find(directory);
  IOCP_CHECK(top != nullptr);
  std::set<const SimNode*> below;
  gather(top.get(), &below);
  for (SimOpenFile* open : open_) {
    if (!below.contains(open->node.get())) continue;
    open->dead = true;
    // The system takes the locks of a process back.
    if (std::exchange(open->writable, false)) open->node->locked = false;
  }
}

void SimDisk::cut_power(const std::string& directory) {
  kill_users(directory);
  lose_unsynced(find(directory).get());
}

void SimDisk::lose_unsynced(SimNode* node) {
  if (node->kind == SimNodeKind::directory) {
    // Names are lost together or not at all: a journal.
    if (network_->pick(0, 1) == 0) node->entries = node->synced_entries;
    for (const auto& [name, entry] : node->entries) lose_unsynced(entry.get());
  }
  if (node->kind != SimNodeKind::file) return;
  // The size may have come to the disk before the bytes: what is missing reads as zeros then.
  if (network_->pick(0, 2) == 0) set_size(node, std::min(node->size, node->synced_size));
  for (const std::uint64_t page : node->unsynced_pages) {
    if (network_->pick(0, 1) == 0) node->pages.erase(page);
  }
  sync(node);
}

void SimDisk::sync(SimNode* node) {
  node->synced_size = node->size;
  node->unsynced_pages.clear();
  node->synced_entries = node->entries;
}

// --- bytes -----------------------------------------------------------------------------------------------------

// Whole pages that hold something, and room reserved behind them.
std::uint64_t SimDisk::used(const SimNode& node) const {
  std::uint64_t total = 0;
  for (const auto& [name, entry] : node.entries) total += used(*entry);
  return total + std::max<std::uint64_t>(node.pages.size() * SimNode::kPageBytes, node.reserved);
}

std::size_t SimDisk::read(const SimNode& node, std::uint64_t offset, std::span<std::uint8_t> target) const {
  if (offset >= node.size) return 0;
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(target.size(), node.size - offset));
  for (std::size_t done = 0; done < count;) {
    const std::uint64_t at = (offset + done) % SimNode::kPageBytes;
    const std::size_t here = std::min(count - done, static_cast<std::size_t>(SimNode::kPageBytes - at));
    const auto page = node.pages.find((offset + done) / SimNode::kPageBytes);
    if (page == node.pages.end()) {
      std::memset(target.data() + done, 0, here);
    } else {
      std::memcpy(target.data() + done, page->second.data() + at, here);
    }
    done += here;
  }
  return count;
}

std::size_t SimDisk::write(SimNode* node, std::uint64_t offset, std::span<const std::uint8_t> bytes) {
  const std::uint64_t capacity = network_->faults().disk_bytes;
  std::uint64_t taken = capacity == UINT64_MAX ? 0 : used(*root_);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::uint64_t number = (offset + done) / SimNode::kPageBytes;
    const std::uint64_t at = (offset + done) % SimNode::kPageBytes;
    const std::size_t here = std::min(bytes.size() - done, static_cast<std::size_t>(SimNode::kPageBytes - at));
    if (!node->pages.contains(number)) {
      const bool has_room = (node->pages.size() + 1) * SimNode::kPageBytes <= node->reserved;
      if (!has_room && capacity != UINT64_MAX && taken + SimNode::kPageBytes > capacity) break;
      if (!has_room) taken += SimNode::kPageBytes;
      node->pages.emplace(number, std::vector<std::uint8_t>(SimNode::kPageBytes));
    }
    std::memcpy(node->pages[number].data() + at, bytes.data() + done, here);
    node->unsynced_pages.insert(number);
    done += here;
  }
  if (done != 0) node->size = std::max(node->size, offset + done);
  node->modified_ms = static_cast<std::int64_t>(network_->now_ms());
  return done;
}

void SimDisk::set_size(SimNode* node, std::uint64_t size) {
  node->modified_ms = static_cast<std::int64_t>(network_->now_ms());
  node->reserved = std::min(node->reserved, size);
  if (size < node->size) {
    node->pages.erase(node->pages.lower_bound((size + SimNode::kPageBytes - 1) / SimNode::kPageBytes),
                      node->pages.end());
    const auto last = node->pages.find(size / SimNode::kPageBytes);
    // What a file had behind its end must not come back when it grows again.
    if (last != node->pages.end()) {
      const auto kept = static_cast<std::ptrdiff_t>(size % SimNode::kPageBytes);
      std::fill(last->second.begin() + kept, last->second.end(), std::uint8_t{0});
    }
  }
  node->size = size;
}

Status SimDisk::reserve(SimNode* node, std::uint64_t size) {
  const std::uint64_t before = used(*node);
  const std::uint64_t capacity = network_->faults().disk_bytes;
  if (capacity != UINT64_MAX && size > before && used(*root_) - before + size > capacity) return Status::no_space;
  node->reserved = std::max(node->reserved, size);
  return Status::ok;
}

}  // namespace iocp
