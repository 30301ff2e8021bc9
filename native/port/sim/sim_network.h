// The simulator's inner parts: endpoints, listeners, pending operations, and the network that moves bytes
// between them in virtual time. Private to this folder: neither the engine nor a test includes it.
// It never calls out; whatever happens ends in a queue that Port::wait() or a SimPeer looks at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "port/port.h"
#include "port/sim/sim_disk.h"
#include "port/sim/sim_random.h"
#include "port/sim/sim_world.h"

namespace iocp {

struct SimPort;
struct SimConnection;

// First in, first out, with one copy in and one copy out.
class SimByteQueue {
 public:
  std::size_t size() const { return bytes_.size() - head_; }
  bool empty() const { return size() == 0; }
  void clear();
  void push(ConstBytes bytes);
  std::vector<std::uint8_t> pop(std::size_t count);

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t head_ = 0;
};

// What travels: bytes, or the FIN behind them.
struct SimSegment {
  std::uint64_t due_ms = 0;
  std::vector<std::uint8_t> bytes;
  bool fin = false;
};

// One submitted operation, from submit until its completion is handed out.
struct SimPending {
  std::uint64_t number = 0;  // stable name for events and for the trace; addresses differ from run to run
  Operation* operation = nullptr;
  OperationKind kind = OperationKind::none;
  SimPort* port = nullptr;
  Socket* socket = nullptr;  // null once the socket is closed
  MutableBytes target;
  std::span<const ConstBytes> slices;  // write: all of it. transmit: the head
  SimOpenFile* file = nullptr;         // transmit only; open until the completion
  std::uint64_t file_offset = 0;
  std::uint32_t file_length = 0;
  std::uint64_t checksum = 0;  // of the caller's memory at submit
  bool submitting = true;      // the submit call has not returned: a result now may still be an immediate one
  bool settled = false;        // the result below is final
  std::size_t locked = 0;      // a read's target, while it counts against SimFaults::lockable_read_bytes
  Status status = Status::ok;
  std::uint32_t bytes = 0;
  std::vector<std::uint8_t> staged;  // read bytes, kept from the target until the completion is handed out
  RawSocket accepted = RawSocket::none;
  Address peer;
};

// One end of a connection. `in_flight` and `received` hold what comes towards this end.
struct SimEndpoint {
  SimConnection* connection = nullptr;
  SimEndpoint* other = nullptr;
  Socket* socket = nullptr;  // null for raw sockets, scripted peers and closed ends
  Address local;
  Address remote;
  bool scripted = false;
  bool open = false;  // somebody holds this end
  bool established = false;
  bool reset = false;       // a reset arrived
  bool reset_sent = false;  // this end sent one: whatever comes towards it now is dropped silently
  bool fin_sent = false;
  bool fin_arrived = false;
  Status failure = Status::ok;  // why connecting failed
  std::deque<SimSegment> in_flight;
  std::size_t in_flight_bytes = 0;
  std::uint64_t last_due_ms = 0;  // segments never overtake each other
  SimByteQueue received;
  SimByteQueue outbox;  // scripted ends only: sent by the script, no room yet
  bool finish_wanted = false;

  bool readable() const { return !received.empty() || fin_arrived || reset; }
};

struct SimConnection : std::enable_shared_from_this<SimConnection> {
  std::uint64_t number = 0;
  SimEndpoint client;
  SimEndpoint server;
  Address target;
  std::string path;
  std::uint32_t attempts = 0;
};

struct SimListener {
  Address address;
  std::string path;
  std::uint32_t backlog = 1;
  bool ipv6_only = false;
  bool reuse_port = false;
  bool open = true;
  std::deque<std::shared_ptr<SimEndpoint>> waiting;
  std::deque<SimPending*> accepts;  // unsettled, oldest first
};

// What every Port::State is made of.
struct SimPort {
  std::shared_ptr<SimNetwork> network;  // null while the port is closed
  std::deque<SimPending*> ready;        // completions the next wait() may return
  std::size_t sockets = 0;
  std::size_t operations = 0;
  PortCounters counters;
};

class Socket {
 public:
  SimPort* port = nullptr;
  Family family = Family::none;
  Address bound;  // an explicit local address; family none = none
  bool connect_submitted = false;
  std::shared_ptr<SimEndpoint> endpoint;     // null until connecting, and again after that failed
  std::shared_ptr<SimListener> listener;     // set for listeners only
  std::vector<SimPending*> operations;       // all, until their completions are handed out
  std::deque<SimPending*> reads;             // unsettled, in order of submission
  std::vector<SimPending*> zero_byte_reads;  // unsettled
  SimPending* write = nullptr;               // these three until the completion is handed out
  SimPending* hang_up = nullptr;
  SimPending* connect = nullptr;
};

// Shared ownership of one end is shared ownership of the connection.
std::shared_ptr<SimEndpoint> share(SimEndpoint* endpoint);

class SimNetwork : public std::enable_shared_from_this<SimNetwork> {
 public:
  SimNetwork(std::uint64_t seed, const SimFaults& faults) : seed_(seed), faults_(faults), random_(seed) {}
  ~SimNetwork();
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  // --- time (sim_network.cc) ---
  std::uint64_t now_ms() const { return now_ms_; }
  std::uint64_t next_due_ms() const;
  void advance_to(std::uint64_t ms);
  // A delay of zero happens at once, before this returns.
  void schedule(std::uint64_t delay_ms, std::function<void()> event);

  // --- chance and trace (sim_network.cc) ---
  std::uint64_t seed() const { return seed_; }
  const SimFaults& faults() const { return faults_; }
  void set_faults(const SimFaults& faults) { faults_ = faults; }
  bool chance(std::uint32_t per_mille);
  std::uint64_t pick(std::uint64_t low, std::uint64_t high);
  std::uint64_t delivery_delay() { return pick(faults_.delivery_delay_min_ms, faults_.delivery_delay_max_ms); }
  std::uint64_t completion_delay() { return pick(faults_.completion_delay_min_ms, faults_.completion_delay_max_ms); }
  void note(const char* what, std::uint64_t first = 0, std::uint64_t second = 0, std::uint64_t third = 0);
  void note_bytes(ConstBytes bytes);
  std::uint64_t shortages() const { return shortages_; }
  Status shortage() {
    ++shortages_;
    return Status::no_buffer_space;
  }
  std::uint64_t trace_hash() const { return trace_hash_; }
  void log_to(std::FILE* file) { log_ = file; }

  SimDisk& disk() { return disk_; }

  // --- names (sim_names.cc) ---
  // Registers a listener; `address` gets its port. The caller keeps the result until close_listener().
  Status make_listener(const ListenOptions& options, std::shared_ptr<SimListener>* out);
  Status bind_local(Socket* socket, const Address& local);
  void unbind_local(Socket* socket);
  std::shared_ptr<SimListener> find_listener(const SimConnection& connection);
  std::uint16_t ephemeral_port();

  // --- connections (sim_connect.cc) ---
  // `from` family none = chosen. The result is the client's end; connecting goes on by itself.
  std::shared_ptr<SimEndpoint> make_client(const Address& to, const std::string& path, const Address& from);
  void start_connect(const std::shared_ptr<SimEndpoint>& client);
  void close_listener(SimListener* listener);
  void pump_accepts(SimListener* listener);
  RawSocket keep_raw(std::shared_ptr<SimEndpoint> endpoint);
  std::shared_ptr<SimEndpoint> take_raw(RawSocket raw);
  static SimNetwork* network_of(RawSocket raw);

  // --- bytes (sim_transport.cc) ---
  std::size_t room(const SimEndpoint& from) const;
  void transmit(SimEndpoint* from, std::vector<std::uint8_t> bytes);
  void send_fin(SimEndpoint* from);
  void send_reset(SimEndpoint* from);
  void close_endpoint(SimEndpoint* endpoint, CloseMode mode);
  // Takes bytes that arrived. The caller finishes with what it took before it calls on_room(endpoint->other).
  std::vector<std::uint8_t> consume(SimEndpoint* endpoint, std::size_t max);
  void on_room(SimEndpoint* endpoint);
  void pump_outbox(SimEndpoint* endpoint);
  Status write_failure(const SimEndpoint* endpoint);

  // --- operations (sim_operations.cc) ---
  SimPending* begin(Operation* operation, OperationKind kind, SimPort* port, Socket* socket);
  // Rolls for a shortage on submission; settled when it strikes.
  bool meets_shortage(SimPending* pending);
  // Names the memory that belongs to the port until the completion.
  void lend_memory(SimPending* pending, MutableBytes target, std::span<const ConstBytes> slices);
  // To be the submit call's last word: the immediate answer, or "pending".
  Submission finish_submit(SimPending* pending);
  void settle(SimPending* pending, Status status, std::uint32_t bytes);
  void cancel(SimPending* pending);
  void cancel_all(Socket* socket);
  void make_ready(SimPending* pending);
  Completion retire(SimPending* pending);
  SimPending* find_pending(std::uint64_t number);
  static SimPending* pending_of(const Operation* operation);
  void try_reads(SimEndpoint* endpoint);
  void try_write(SimPending* pending);
  Status write_now(SimPort* port, SimEndpoint* endpoint, std::span<const ConstBytes> slices, std::uint32_t* bytes);
  void try_transmit(SimPending* pending);
  void send_pending(SimPending* pending, std::vector<std::uint8_t> bytes);
  void expect_spurious(SimPending* pending);

  // --- sockets (sim_operations.cc) ---
  Socket* make_socket(SimPort* port, Family family);
  void free_socket(Socket* socket);
  void check_socket(const SimPort* port, const Socket* socket) const;

  SimAudit audit() const;
  std::size_t open_ports = 0;

 private:
  static constexpr std::uint16_t kFirstEphemeralPort = 16'384;
  using EventKey = std::pair<std::uint64_t, std::uint64_t>;  // due time, then order of scheduling

  bool name_is_taken(const Address& address, bool ipv6_only, bool reuse_port) const;
  bool port_is_used(std::uint16_t port) const;
  void arrive_at_listener(const std::shared_ptr<SimEndpoint>& client);
  void establish(SimEndpoint* client);
  void fail_connect(SimEndpoint* client, Status status);
  void accept_one(SimListener* listener);
  void queue_segment(SimEndpoint* to, SimSegment segment);
  void arrive(SimEndpoint* to);
  void arrive_segment(SimEndpoint* to, SimSegment segment);
  void drop_in_flight(SimEndpoint* to);
  void meet_reset(SimEndpoint* endpoint);
  void inject_reset(SimEndpoint* endpoint);
  bool try_read(SimPending* pending, SimEndpoint* endpoint);
  bool fails_while_pending(SimPending* pending);
  void forget_connections();

  std::uint64_t seed_;
  SimFaults faults_;
  SimRandom random_;
  std::uint64_t now_ms_ = 0;
  std::uint64_t event_count_ = 0;
  std::map<EventKey, std::function<void()>> events_;
  std::uint64_t trace_hash_ = 0xcbf29ce484222325;
  std::FILE* log_ = nullptr;
  std::uint64_t connection_count_ = 0;
  std::map<std::uint64_t, std::weak_ptr<SimConnection>> connections_;
  std::vector<std::shared_ptr<SimListener>> listeners_;
  std::map<RawSocket, std::shared_ptr<SimEndpoint>> raw_sockets_;
  std::uint64_t operation_count_ = 0;
  std::uint64_t locked_read_bytes_ = 0;
  std::uint64_t shortages_ = 0;
  std::map<std::uint64_t, std::unique_ptr<SimPending>> pending_;
  std::map<const Socket*, std::unique_ptr<Socket>> sockets_;
  std::set<const Socket*> bound_sockets_;
  SimDisk disk_{this};
  std::uint16_t next_port_ = kFirstEphemeralPort;
  bool ports_wrapped_ = false;
};

}  // namespace iocp
