// A port and everything a conformance case makes on it: its sockets, its operations and their results. The peers
// are made through the contract too, so one source tests every backend.
//
// The world keeps the books: an operation that completes twice, completes without having been submitted, or never
// completes fails the case. It knows no clock (a backend may have its own) and does not care whether a result
// comes at once or through wait(): both are legal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "port/port.h"
#include "support/test.h"

namespace conformance {

using iocp::AcceptOperation;
using iocp::Address;
using iocp::CloseMode;
using iocp::Completion;
using iocp::ConstBytes;
using iocp::Family;
using iocp::MutableBytes;
using iocp::Operation;
using iocp::OperationPhase;
using iocp::Port;
using iocp::RawSocket;
using iocp::Socket;
using iocp::Status;
using iocp::Submission;
using iocp::TransmitOperation;

using Bytes = std::vector<std::uint8_t>;

struct Result {
  Status status = Status::ok;
  std::uint32_t bytes = 0;
};

struct Pair {
  Socket* client = nullptr;
  Socket* server = nullptr;
};

struct Listener {
  Socket* socket = nullptr;
  Address address;
};

Address loopback(std::uint16_t port = 0);       // 127.0.0.1
Address loopback_ipv6(std::uint16_t port = 0);  // ::1
Address any_ipv6(std::uint16_t port = 0);       // ::

// `size` bytes in which every position differs from its neighbours, starting at `offset` of an endless pattern.
constexpr std::size_t kPatternPeriod = 251 * 256;
Bytes pattern(std::size_t size, std::size_t offset = 0);
Bytes text(std::string_view characters);

class World {
 public:
  World();
  ~World();  // closes what is open and waits for everything submitted
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Port port;

  // Operations live as long as the world, whatever ends the case.
  Operation& operation();
  AcceptOperation& accept_operation();
  TransmitOperation& transmit_operation();
  Bytes& buffer(std::size_t size);

  // --- submissions: each notes the result, or that one must come
  void accept(AcceptOperation& operation, Socket* listener);
  void connect(Operation& operation, Socket* socket, const Address& to, const std::string& path = {});
  void zero_byte_read(Operation& operation, Socket* socket);
  void read(Operation& operation, Socket* socket, MutableBytes target);
  void write(Operation& operation, Socket* socket, ConstBytes bytes);  // the slice is kept by the world
  void write(Operation& operation, Socket* socket, std::span<const ConstBytes> slices);
  void transmit(TransmitOperation& operation, Socket* socket, const iocp::File& file, std::uint64_t offset,
                std::uint32_t length, ConstBytes head = {});
  void hang_up(Operation& operation, Socket* socket);
  void post(Operation& operation);

  // --- results
  bool finished(const Operation& operation) const;
  // Steps the port until the operation has its result, and takes it. Ends the case when none comes.
  Result result(Operation& operation);
  // One wait(): notes what it returned, and answers how much that was.
  std::size_t step(std::int32_t timeout_ms);
  // Steps until nothing more comes by itself.
  void settle();
  std::size_t pending() const { return pending_.size(); }
  // Tells the books of an operation submitted by hand (by another thread, say).
  void expect(Operation& operation);
  // … and of one whose completion was fetched by hand.
  void forget(const Operation& operation);

  // --- sockets
  Listener listen(const Address& address = loopback());
  Listener listen(const iocp::ListenOptions& options);
  Socket* open_stream(Family family = Family::ipv4, const Address* local = nullptr);
  Socket* attach(AcceptOperation& accepted);
  Pair connected_pair(const Address& address = loopback());
  Pair connected_pair(const Listener& listener);
  void close(Socket* socket, CloseMode mode = CloseMode::normal);

  // --- whole transfers
  // Writes the pattern until the socket takes no more; answers the write that stays pending, and in `taken` how
  // many bytes went before it.
  Operation& fill(Socket* socket, std::size_t* taken);
  void send_all(Socket* socket, ConstBytes bytes);
  Bytes receive(Socket* socket, std::size_t size);  // exactly `size` bytes
  // What is left of the stream and how it ended: ok = with its end.
  Result receive_to_the_end(Socket* socket, Bytes* out);
  // Waits for readable, then reads once without an operation.
  Status read_once(Socket* socket, MutableBytes target, std::uint32_t* bytes);

 private:
  void note(Operation& operation, const Submission& submission);
  void record(Operation* operation, Result result);

  std::deque<Operation> operations_;
  std::deque<AcceptOperation> accept_operations_;
  std::deque<TransmitOperation> transmit_operations_;
  std::deque<Bytes> buffers_;
  std::deque<std::vector<ConstBytes>> slices_;
  std::set<const Operation*> pending_;
  std::map<const Operation*, Result> results_;
  std::set<Socket*> sockets_;
};

}  // namespace conformance
