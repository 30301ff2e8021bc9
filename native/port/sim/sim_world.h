// The simulated world that the "sim" backend's ports live in: virtual time, an in-memory network, and faults
// drawn from one seed. Tests and the engine simulation use this header; the engine itself never does.
// Nothing here or behind it may touch a system socket, a clock or a thread: the same seed and the same calls
// must give the same run, byte for byte. Not thread-safe: one thread steps everything in a world.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "port/address.h"
#include "port/port.h"
#include "port/status.h"

namespace iocp {

class SimDisk;
class SimNetwork;
struct SimEndpoint;
struct SimListener;

// Odds are per mille (0 = never, 1000 = always), times are virtual milliseconds. As initialised here everything
// is off: the boring network, where every call succeeds at once.
struct SimFaults {
  // --- shape: a correct program never notices ---
  std::uint32_t partial_read = 0;           // a read takes fewer bytes than are there
  std::uint32_t partial_write = 0;          // a write takes fewer bytes than there is room for
  std::uint32_t delivery_delay_min_ms = 0;  // sender to receiver, each segment, each handshake step
  std::uint32_t delivery_delay_max_ms = 0;
  std::uint32_t completion_delay_min_ms = 0;  // result reached to completion visible; also request to cancellation
  std::uint32_t completion_delay_max_ms = 0;
  std::uint32_t reorder_completions = 0;      // wait() returns another queued completion than the oldest
  std::uint32_t pending_when_ready = 0;       // an operation that could answer at once is told pending all the same
  std::uint32_t short_batch = 0;              // wait() returns fewer completions than are queued
  std::uint32_t spurious_zero_byte_read = 0;  // completes although read_now() will answer would_block
  std::uint32_t send_buffer_bytes = 262'144;  // per direction, sent but not yet read; a full one blocks writers

  // --- failures: a correct program notices and survives ---
  std::uint32_t connection_reset = 0;            // rolled for each segment sent: both ends are reset soon after
  std::uint32_t reset_discards_received = 0;     // a reset also takes what had arrived unread (Windows does that)
  std::uint32_t broken_pipe_after_reset = 0;     // writing after a reset says broken_pipe, not connection_reset
  std::uint32_t zero_byte_read_tells_reset = 0;  // the zero-byte read itself fails, not only the read after it
  std::uint32_t no_buffer_space = 0;             // submitting a read, zero-byte read, write, transmit or hang-up
  std::uint32_t pending_no_buffer_space = 0;     // a read, zero-byte read or write that was pending, once it could move
  std::uint32_t read_now_no_buffer_space = 0;
  std::uint32_t accept_no_buffer_space = 0;        // submitted or pending; the connection stays in the backlog
  std::uint64_t lockable_read_bytes = UINT64_MAX;  // what all pending reads may hold; one more meets no_buffer_space
  std::uint64_t largest_write_bytes = UINT64_MAX;  // a larger one meets no_buffer_space
  std::uint32_t accept_too_many_open_files = 0;    // the peer is turned away
  std::uint32_t accept_fails = 0;                  // connection_aborted; the connection is gone
  std::uint32_t attach_fails = 0;                  // invalid_argument; the raw socket is discarded
  std::uint32_t open_too_many_open_files = 0;      // open_stream
  std::uint32_t connect_refused = 0;
  std::uint32_t connect_times_out = 0;
  std::uint32_t connect_timeout_ms = 127'000;  // also what connecting to an address outside this world takes

  // --- the disk: shape, then failures ---
  std::uint32_t file_short_read = 0;
  std::uint32_t file_short_write = 0;
  std::uint32_t reserve_not_supported = 0;
  std::uint32_t file_io_error = 0;        // reading, writing, truncating, syncing, renaming, closing after writing
  std::uint32_t file_open_fails = 0;      // too_many_open_files
  std::uint32_t disk_full = 0;            // a write finds no room
  std::uint32_t file_shrinks = 0;         // while it is read or transmitted
  std::uint32_t file_grows = 0;           // …
  std::uint64_t disk_bytes = UINT64_MAX;  // capacity, counted in pages of 64 KiB

  // Every shape fault at a mild rate, no failures.
  static SimFaults gentle();
  // Every fault at a rate that a few hundred operations will meet.
  static SimFaults hostile();
};

// What is still held. A test ends with advance_until_idle() and a clean() audit.
struct SimAudit {
  std::size_t sockets = 0;            // made by a port and not closed, listeners too
  std::size_t operations = 0;         // submitted, completion not yet returned
  std::size_t raw_sockets = 0;        // accepted, neither attached nor discarded
  std::size_t undelivered_bytes = 0;  // on their way, or arrived at an open end and unread
  std::size_t peers = 0;              // open scripted peers; they belong to the test, clean() ignores them

  bool clean() const { return sockets == 0 && operations == 0 && raw_sockets == 0 && undelivered_bytes == 0; }
  friend bool operator==(const SimAudit&, const SimAudit&) = default;
};

// One end of a connection, driven by a script instead of a port. Closed when the handle goes.
class SimPeer {
 public:
  SimPeer();
  SimPeer(SimPeer&&) noexcept;
  SimPeer& operator=(SimPeer&&) noexcept;
  ~SimPeer();

  // Never blocks and takes everything: what the connection has no room for yet follows as room appears.
  // Bytes may be sent before the connection is established. Ignored after finish(), close() or a reset.
  void send(ConstBytes bytes);
  void send(std::string_view text);
  // Up to `max` of the bytes that have arrived; empty when there are none now.
  std::vector<std::uint8_t> receive(std::size_t max = SIZE_MAX);
  std::string receive_text(std::size_t max = SIZE_MAX);
  void finish();  // FIN after what was sent; receiving goes on
  void reset();   // RST at once; the handle is closed
  // As a process that closes: FIN after what was sent, or RST when bytes were left unread. An attempt that is not
  // established yet is given up, with what was to be sent on it.
  void close();

  bool connected() const;        // established, not reset, not closed by this script
  bool ended() const;            // the other end's FIN has arrived and all its bytes were received
  bool was_reset() const;        // by the other end, or by a fault
  Status status() const;         // ok, or why the connection failed (connection_refused, timed_out, …)
  std::size_t readable() const;  // bytes receive() would give
  std::size_t unsent() const;    // bytes that wait for room
  Address local_address() const;
  Address peer_address() const;

 private:
  friend class SimWorld;
  friend class SimPeerListener;
  SimPeer(std::weak_ptr<SimNetwork> network, std::shared_ptr<SimEndpoint> endpoint);

  std::weak_ptr<SimNetwork> network_;
  std::shared_ptr<SimEndpoint> endpoint_;
};

// A scripted server for outgoing connections to meet. Closed when the handle goes.
class SimPeerListener {
 public:
  SimPeerListener();
  SimPeerListener(SimPeerListener&&) noexcept;
  SimPeerListener& operator=(SimPeerListener&&) noexcept;
  ~SimPeerListener();

  Status status() const;  // ok, or why listening failed (address_in_use, …)
  Address address() const;
  std::optional<SimPeer> accept();  // the oldest connection nobody took yet
  void close();                     // waiting connections are reset

 private:
  friend class SimWorld;
  std::weak_ptr<SimNetwork> network_;
  std::shared_ptr<SimListener> listener_;
  Status status_ = Status::closed;
};

class SimWorld {
 public:
  static constexpr std::uint64_t kNever = UINT64_MAX;

  explicit SimWorld(std::uint64_t seed, const SimFaults& faults = {});
  ~SimWorld();  // every port opened in it must be closed
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  // The world Port::open() attaches to: the innermost SimWorldScope, else a boring default that lives for ever.
  static SimWorld& current();

  std::uint64_t seed() const;
  const SimFaults& faults() const;
  void set_faults(const SimFaults& faults);

  // --- virtual time ---
  std::uint64_t now_ms() const;
  std::uint64_t next_due_ms() const;  // when the next event happens by itself; kNever when none will
  void advance(std::uint64_t ms);     // everything due until then happens, in order
  // Advances until no event is left. False when some remained after `limit_ms`.
  bool advance_until_idle(std::uint64_t limit_ms = 3'600'000);

  // --- scripted peers ---
  // `from` (family none = chosen) may be any address, so that a script can play many hosts.
  SimPeer connect_peer(const Address& listener, const Address& from = {});
  SimPeer connect_peer_path(const std::string& path);
  SimPeerListener listen_peer(const Address& address, std::uint32_t backlog = 511);
  SimPeerListener listen_peer_path(const std::string& path, std::uint32_t backlog = 511);

  // --- looking in ---
  SimAudit audit() const;
  std::uint64_t shortages() const;   // how often a request met no_buffer_space
  std::uint64_t trace_hash() const;  // over every decision, delivery and completion so far
  void log_to(std::FILE* file);      // one readable line for each of them; null = silence

  // Outlives every port and every engine of the world, as a disk outlives a process.
  SimDisk& disk();

  SimNetwork& network() { return *network_; }  // for the backend

 private:
  std::shared_ptr<SimNetwork> network_;
};

// Makes a world the current one for as long as it lives. Scopes nest.
class SimWorldScope {
 public:
  explicit SimWorldScope(SimWorld& world);
  ~SimWorldScope();
  SimWorldScope(const SimWorldScope&) = delete;
  SimWorldScope& operator=(const SimWorldScope&) = delete;

 private:
  SimWorld* previous_;
};

}  // namespace iocp
