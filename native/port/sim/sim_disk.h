// The simulator's disk: a tree of directories, files and symbolic links in memory, in the world's virtual time, with
// faults from the world's seed. Sparse, so that a file of many GiB costs what was written to it. Tests use this header
// to prepare a disk and to look at it; the engine sees port/file.h only. Not thread-safe, like the world it belongs to.
//
// Paths are absolute, with '/' between names. "/" exists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "port/file.h"
#include "port/status.h"

namespace iocp {

class SimNetwork;
struct SimOpenFile;

enum class SimNodeKind : std::uint8_t { file, directory, symbolic_link, device };

struct SimNode {
  static constexpr std::uint64_t kPageBytes = 65'536;

  explicit SimNode(SimNodeKind node_kind = SimNodeKind::file, std::string link_target = {})
      : kind(node_kind), target(std::move(link_target)) {}

  SimNodeKind kind;
  std::uint64_t size = 0;
  std::uint64_t reserved = 0;  // room taken ahead; counts against the capacity where it is beyond `size`
  std::int64_t modified_ms = 0;
  bool locked = false;                                       // somebody has it open for writing
  std::string target;                                        // symbolic links only
  std::map<std::uint64_t, std::vector<std::uint8_t>> pages;  // by number; a missing one is all zeros
  std::map<std::string, std::shared_ptr<SimNode>> entries;   // directories only

  // What a power cut cannot take any more.
  std::uint64_t synced_size = 0;
  std::set<std::uint64_t> unsynced_pages;
  std::map<std::string, std::shared_ptr<SimNode>> synced_entries;
};

class SimDisk {
 public:
  explicit SimDisk(SimNetwork* network) : network_(network) {}

  // --- for tests: no faults strike here. A missing parent is a programmer's error.
  void make_directory(const std::string& path);
  void make_symbolic_link(const std::string& path, const std::string& target);
  void make_device(const std::string& path);
  void make_file(const std::string& path, std::span<const std::uint8_t> contents);
  // A file of `size` zeros that takes no memory; or an existing one made longer or shorter.
  void resize(const std::string& path, std::uint64_t size);
  std::optional<std::vector<std::uint8_t>> contents(const std::string& path) const;  // nothing: no such file
  std::vector<std::string> list(const std::string& directory) const;                 // names, sorted
  std::size_t open_files() const { return open_.size(); }
  // The processes that work in `directory` are killed: whoever has something below it open gets io_error from now on
  // and changes nothing. What was written stays.
  void kill_users(const std::string& directory);
  // … their machine loses its power as well: any part of what was not synced may be gone, names too.
  void cut_power(const std::string& directory);

  // --- for the backend (sim_file.cc)
  SimNetwork& network() const { return *network_; }
  // Follows symbolic links, the last component's too.
  Status resolve(const std::string& path, std::shared_ptr<SimNode>* out) const;
  std::shared_ptr<SimNode> find(const std::string& path) const;
  std::size_t read(const SimNode& node, std::uint64_t offset, std::span<std::uint8_t> target) const;
  // Takes what there is room for; less than all of it means the disk is full.
  std::size_t write(SimNode* node, std::uint64_t offset, std::span<const std::uint8_t> bytes);
  void set_size(SimNode* node, std::uint64_t size);
  Status reserve(SimNode* node, std::uint64_t size);
  void note_opened(SimOpenFile* open) { open_.insert(open); }
  void note_closed(SimOpenFile* open) { open_.erase(open); }
  static void sync(SimNode* node);

 private:
  Status walk(std::shared_ptr<SimNode> from, const std::string& path, int depth, std::shared_ptr<SimNode>* out) const;
  std::shared_ptr<SimNode> parent_of(const std::string& path, std::string* name) const;
  void add(const std::string& path, std::shared_ptr<SimNode> node);
  std::uint64_t used(const SimNode& node) const;
  void lose_unsynced(SimNode* node);

  SimNetwork* network_;
  std::shared_ptr<SimNode> root_ = std::make_shared<SimNode>(SimNodeKind::directory);
  std::set<SimOpenFile*> open_;
};

// What File::raw() and Folder hide.
struct SimOpenFile {
  std::shared_ptr<SimNetwork> network;  // keeps the disk
  std::shared_ptr<SimNode> node;
  bool writable = false;
  bool dead = false;  // its process was killed
};

SimOpenFile& sim_file_of(RawFile raw);
// Another program that, by chance, makes the file shorter or longer while it is read.
void sim_meddle(SimOpenFile& open);

}  // namespace iocp
