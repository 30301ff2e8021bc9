// What the simulator's own tests share: a world with one port in it, and calls that wait until an operation is
// over. Steps virtual time only; nothing here may depend on real time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "port/check.h"
#include "port/port.h"
#include "port/sim/sim_world.h"

namespace sim_test {

constexpr iocp::SocketOptions kOptions = {};

inline iocp::Address address_of(const char* ip, std::uint16_t port = 0) {
  iocp::Address address;
  IOCP_CHECK(iocp::parse_ip(ip, port, &address));
  return address;
}

inline iocp::ConstBytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

struct Result {
  iocp::Status status = iocp::Status::ok;
  std::uint32_t bytes = 0;
  bool was_pending = false;
};

class Fixture {
 public:
  explicit Fixture(const iocp::SimFaults& faults = {}, std::uint64_t seed = 1) : world(seed, faults), scope(world) {
    IOCP_CHECK(port.open() == iocp::Status::ok);
  }
  ~Fixture() { port.close(); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  // Takes what wait() has to tell within `timeout_ms`; false when that is nothing.
  bool step(std::int32_t timeout_ms = 0) {
    std::array<iocp::Completion, 8> batch;
    const std::size_t count = port.wait(batch, timeout_ms);
    for (std::size_t index = 0; index < count; ++index) {
      done[batch[index].operation] = {batch[index].status, batch[index].bytes, true};
    }
    return count != 0;
  }

  bool is_done(const iocp::Operation& operation) {
    while (step(0)) continue;
    return done.contains(&operation);
  }

  // The operation's one result, whether it came with the submission or comes through wait().
  Result finish(const iocp::Submission& submission, const iocp::Operation& operation) {
    if (!submission.pending) return {submission.status, submission.bytes, false};
    return await(operation);
  }

  Result await(const iocp::Operation& operation) {
    while (!done.contains(&operation)) step(-1);
    const Result result = done.at(&operation);
    done.erase(&operation);
    return result;
  }

  iocp::Socket* listen(const char* ip = "127.0.0.1", std::uint32_t backlog = 511) {
    iocp::ListenOptions options;
    options.address = address_of(ip);
    options.backlog = backlog;
    iocp::Socket* listener = nullptr;
    IOCP_CHECK(port.listen(options, &listener, &bound) == iocp::Status::ok);
    return listener;
  }

  iocp::Socket* accept(iocp::Socket* listener) {
    iocp::AcceptOperation operation;
    IOCP_CHECK(finish(port.submit_accept(&operation, listener), operation).status == iocp::Status::ok);
    iocp::Socket* socket = nullptr;
    IOCP_CHECK(port.attach(operation.accepted, kOptions, &socket) == iocp::Status::ok);
    return socket;
  }

  Result write(iocp::Socket* socket, std::string_view text) {
    const iocp::ConstBytes slice = bytes_of(text);
    iocp::Operation operation;
    return finish(port.submit_write(&operation, socket, std::span(&slice, 1)), operation);
  }

  Result read(iocp::Socket* socket, std::string* text, std::size_t most = 4096) {
    std::vector<std::uint8_t> buffer(most);
    iocp::Operation operation;
    const Result result = finish(port.submit_read(&operation, socket, buffer), operation);
    text->assign(buffer.begin(), buffer.begin() + result.bytes);
    return result;
  }

  iocp::Status read_now(iocp::Socket* socket, std::string* text, std::size_t most = 4096) {
    std::vector<std::uint8_t> buffer(most);
    std::uint32_t bytes = 0;
    const iocp::Status status = port.read_now(socket, buffer, &bytes);
    text->assign(buffer.begin(), buffer.begin() + bytes);
    return status;
  }

  void close(iocp::Socket* socket, iocp::CloseMode mode = iocp::CloseMode::normal) {
    port.close_socket(socket, mode);
    while (step(0)) continue;
  }

  iocp::SimWorld world;
  iocp::SimWorldScope scope;
  iocp::Port port;
  iocp::Address bound;  // of the last listen()
  std::map<const iocp::Operation*, Result> done;
};

// A connection between a scripted peer and a socket of the fixture's port.
struct Pair {
  explicit Pair(Fixture* test) : fixture(test) {
    listener = test->listen();
    peer = test->world.connect_peer(test->bound);
    socket = test->accept(listener);
    while (!peer.connected()) test->world.advance(1);
  }
  ~Pair() {
    peer.close();
    if (socket != nullptr) fixture->close(socket);
    fixture->close(listener);
    fixture->world.advance_until_idle();
    while (fixture->step(0)) continue;
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  void close(iocp::CloseMode mode) {
    fixture->close(socket, mode);
    socket = nullptr;
  }

  Fixture* fixture;
  iocp::Socket* listener = nullptr;
  iocp::Socket* socket = nullptr;
  iocp::SimPeer peer;
};

}  // namespace sim_test
