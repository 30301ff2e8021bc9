// The books and the conveniences of the conformance cases.
#include "conformance/world.h"

#include <algorithm>
#include <array>

namespace conformance {
namespace {

// A step that finds nothing for this long, this many times, means that a completion was lost. On a real system the
// harness's time limit usually speaks first; in virtual time it cannot.
constexpr std::int32_t kStepMs = 1'000;
constexpr int kEmptySteps = 100;

Address address_of(const char* ip, std::uint16_t port) {
  Address address;
  REQUIRE(iocp::parse_ip(ip, port, &address));
  return address;
}

}  // namespace

Address loopback(std::uint16_t port) { return address_of("127.0.0.1", port); }
Address loopback_ipv6(std::uint16_t port) { return address_of("::1", port); }
Address any_ipv6(std::uint16_t port) { return address_of("::", port); }

Bytes pattern(std::size_t size, std::size_t offset) {
  Bytes bytes(size);
  // 251 is a prime: the pattern never falls into step with a power of two, so a shifted block is noticed.
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t at = offset + i;
    bytes[i] = static_cast<std::uint8_t>((at % 251) ^ (at / 251 % 256));
  }
  return bytes;
}

Bytes text(std::string_view characters) { return Bytes(characters.begin(), characters.end()); }

World::World() { REQUIRE(port.open() == Status::ok); }

World::~World() {
  while (!sockets_.empty()) close(*sockets_.begin(), CloseMode::reset);
  for (int empty = 0; !pending_.empty() && empty < kEmptySteps;) {
    empty = step(kStepMs) == 0 ? empty + 1 : 0;
  }
  // Nothing may follow the last completion.
  while (step(0) != 0) continue;
  CHECK(pending_.empty());
  CHECK(!port.has_queued());
  for (const AcceptOperation& each : accept_operations_) {
    if (each.accepted != RawSocket::none) Port::discard(each.accepted);
  }
  port.close();
}

Operation& World::operation() { return operations_.emplace_back(); }
AcceptOperation& World::accept_operation() { return accept_operations_.emplace_back(); }
TransmitOperation& World::transmit_operation() { return transmit_operations_.emplace_back(); }
Bytes& World::buffer(std::size_t size) { return buffers_.emplace_back(size); }

// --- submissions ---------------------------------------------------------------------------------------------------

void World::expect(Operation& operation) {
  CHECK(pending_.insert(&operation).second);
  results_.erase(&operation);
}

void World::forget(const Operation& operation) { CHECK(pending_.erase(&operation) == 1); }

void World::note(Operation& operation, const Submission& submission) {
  if (submission.pending) return;
  CHECK(operation.phase == OperationPhase::idle);
  record(&operation, {submission.status, submission.bytes});
}

void World::record(Operation* operation, Result result) {
  // Not REQUIRE, which may not be met inside the destructor.
  CHECK(pending_.erase(operation) == 1);
  CHECK(result.status != Status::would_block);
  results_[operation] = result;
}

void World::accept(AcceptOperation& operation, Socket* listener) {
  expect(operation);
  note(operation, port.submit_accept(&operation, listener));
}

void World::connect(Operation& operation, Socket* socket, const Address& to, const std::string& path) {
  expect(operation);
  note(operation, port.submit_connect(&operation, socket, to, path));
}

void World::zero_byte_read(Operation& operation, Socket* socket) {
  expect(operation);
  note(operation, port.submit_zero_byte_read(&operation, socket));
}

void World::read(Operation& operation, Socket* socket, MutableBytes target) {
  expect(operation);
  note(operation, port.submit_read(&operation, socket, target));
}

void World::write(Operation& operation, Socket* socket, ConstBytes bytes) {
  const std::vector<ConstBytes>& slice = slices_.emplace_back(1, bytes);
  write(operation, socket, slice);
}

void World::write(Operation& operation, Socket* socket, std::span<const ConstBytes> slices) {
  expect(operation);
  note(operation, port.submit_write(&operation, socket, slices));
}

void World::transmit(TransmitOperation& operation, Socket* socket, const iocp::File& file, std::uint64_t offset,
                     std::uint32_t length, ConstBytes head) {
  expect(operation);
  note(operation, port.submit_transmit(&operation, socket, file, offset, length, head));
}

void World::hang_up(Operation& operation, Socket* socket) {
  expect(operation);
  note(operation, port.submit_hang_up(&operation, socket));
}

void World::post(Operation& operation) {
  expect(operation);
  port.post(&operation);
}

// --- results -------------------------------------------------------------------------------------------------------

bool World::finished(const Operation& operation) const { return results_.count(&operation) == 1; }

Result World::result(Operation& operation) {
  REQUIRE(finished(operation) || pending_.count(&operation) == 1);
  for (int empty = 0; !finished(operation);) {
    REQUIRE(empty < kEmptySteps);
    empty = step(kStepMs) == 0 ? empty + 1 : 0;
  }
  const Result result = results_[&operation];
  results_.erase(&operation);
  return result;
}

std::size_t World::step(std::int32_t timeout_ms) {
  std::array<Completion, 16> batch;
  const std::size_t count = port.wait(batch, timeout_ms);
  CHECK(count <= batch.size());
  for (std::size_t i = 0; i < count; ++i) {
    CHECK(batch[i].operation->phase == OperationPhase::idle);
    record(batch[i].operation, {batch[i].status, batch[i].bytes});
  }
  return count;
}

void World::settle() {
  while (step(20) != 0) continue;
}

// --- sockets -------------------------------------------------------------------------------------------------------

Listener World::listen(const Address& address) {
  iocp::ListenOptions options;
  options.address = address;
  return listen(options);
}

Listener World::listen(const iocp::ListenOptions& options) {
  Listener listener;
  REQUIRE(port.listen(options, &listener.socket, &listener.address) == Status::ok);
  sockets_.insert(listener.socket);
  return listener;
}

Socket* World::open_stream(Family family, const Address* local) {
  Socket* socket = nullptr;
  REQUIRE(port.open_stream(family, {}, local, &socket) == Status::ok);
  sockets_.insert(socket);
  return socket;
}

Socket* World::attach(AcceptOperation& accepted) {
  Socket* socket = nullptr;
  const RawSocket raw = accepted.accepted;
  accepted.accepted = RawSocket::none;
  REQUIRE(port.attach(raw, {}, &socket) == Status::ok);
  sockets_.insert(socket);
  return socket;
}

Pair World::connected_pair(const Address& address) {
  const Listener listener = listen(address);
  const Pair pair = connected_pair(listener);
  close(listener.socket);
  return pair;
}

Pair World::connected_pair(const Listener& listener) {
  AcceptOperation& accepting = accept_operation();
  Operation& connecting = operation();
  Pair pair;
  pair.client = open_stream(listener.address.family);
  accept(accepting, listener.socket);
  connect(connecting, pair.client, listener.address);
  REQUIRE(result(connecting).status == Status::ok);
  REQUIRE(result(accepting).status == Status::ok);
  pair.server = attach(accepting);
  return pair;
}

void World::close(Socket* socket, CloseMode mode) {
  CHECK(sockets_.erase(socket) == 1);
  port.close_socket(socket, mode);
}

Operation& World::fill(Socket* socket, std::size_t* taken) {
  Bytes& block = buffer(256 * 1024);
  block = pattern(block.size());
  Operation& writing = operation();
  *taken = 0;
  for (;;) {
    // Written from where the pattern stands, so that the reader can compare the whole stream with it.
    const std::size_t start = *taken % kPatternPeriod;
    write(writing, socket, ConstBytes(block).subspan(start));
    while (!finished(writing) && step(20) != 0) continue;
    if (!finished(writing)) return writing;
    const Result sent = result(writing);
    REQUIRE(sent.status == Status::ok);
    *taken += sent.bytes;
  }
}

// --- whole transfers -----------------------------------------------------------------------------------------------

void World::send_all(Socket* socket, ConstBytes bytes) {
  Operation& writing = operation();
  while (!bytes.empty()) {
    write(writing, socket, bytes);
    const Result sent = result(writing);
    REQUIRE(sent.status == Status::ok);
    REQUIRE(sent.bytes > 0 && sent.bytes <= bytes.size());
    bytes = bytes.subspan(sent.bytes);
  }
}

Bytes World::receive(Socket* socket, std::size_t size) {
  Operation& reading = operation();
  Bytes& target = buffer(size);
  for (std::size_t filled = 0; filled < size;) {
    read(reading, socket, MutableBytes(target).subspan(filled));
    const Result got = result(reading);
    REQUIRE(got.status == Status::ok);
    REQUIRE(got.bytes > 0);
    filled += got.bytes;
  }
  return target;
}

Result World::receive_to_the_end(Socket* socket, Bytes* out) {
  Operation& reading = operation();
  Bytes& chunk = buffer(64 * 1024);
  for (;;) {
    read(reading, socket, chunk);
    const Result got = result(reading);
    if (got.status != Status::ok || got.bytes == 0) return got;
    out->insert(out->end(), chunk.begin(), chunk.begin() + got.bytes);
  }
}

Status World::read_once(Socket* socket, MutableBytes target, std::uint32_t* bytes) {
  Operation& readable = operation();
  zero_byte_read(readable, socket);
  static_cast<void>(result(readable));
  return port.read_now(socket, target, bytes);
}

}  // namespace conformance
