// The simulator's guards, each made to fire: misuse of the contract must end the process with the reason, here in
// a child process of its own. Runs where fork() exists; never where the simulated run itself is under test.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <string>

#include "sim_port/sim_fixture.h"
#include "support/test.h"

using iocp::Completion;
using iocp::ConstBytes;
using iocp::Operation;
using iocp::Socket;
using iocp::Status;
using sim_test::bytes_of;
using sim_test::Fixture;
using sim_test::kOptions;
using sim_test::Pair;

namespace {

// What `misuse` prints to standard error before it aborts; "survived" when it does not abort.
template <typename Misuse>
std::string death_of(Misuse misuse) {
  std::array<int, 2> ends = {-1, -1};
  REQUIRE(::pipe(ends.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::dup2(ends[1], STDERR_FILENO) < 0) ::_exit(2);
    std::signal(SIGABRT, SIG_DFL);
    misuse();
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text;
  std::array<char, 512> part = {};
  for (ssize_t count = 0; (count = ::read(ends[0], part.data(), part.size())) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "survived" : text;
}

template <typename Misuse>
bool dies_saying(const char* words, Misuse misuse) {
  const std::string text = death_of(misuse);
  if (text.find(words) != std::string::npos) return true;
  ::test::fail(__FILE__, __LINE__, "expected \"" + std::string(words) + "\", got \"" + text + "\"");
  return false;
}

}  // namespace

TEST("sim guard: waiting for ever when nothing will ever happen") {
  CHECK(dies_saying("simulation_is_stuck", [] {
    Fixture test;
    test.step(-1);
  }));
}

TEST("sim guard: submitting an operation twice") {
  CHECK(dies_saying("OperationPhase::idle", [] {
    Fixture test;
    Operation post;
    test.port.post(&post);
    test.port.post(&post);
  }));
}

TEST("sim guard: changing the bytes of a pending write") {
  CHECK(dies_saying("submitted_memory_is_unchanged", [] {
    iocp::SimFaults faults;
    faults.pending_when_ready = 1000;
    Fixture test(faults);
    Pair pair(&test);
    std::array<std::uint8_t, 3> bytes = {1, 2, 3};
    const ConstBytes slice = bytes;
    Operation write;
    static_cast<void>(test.port.submit_write(&write, pair.socket, std::span(&slice, 1)));
    bytes[1] = 9;
    test.await(write);
  }));
}

TEST("sim guard: changing the slices of a pending write") {
  CHECK(dies_saying("submitted_memory_is_unchanged", [] {
    iocp::SimFaults faults;
    faults.pending_when_ready = 1000;
    Fixture test(faults);
    Pair pair(&test);
    ConstBytes slice = bytes_of("abc");
    Operation write;
    static_cast<void>(test.port.submit_write(&write, pair.socket, std::span(&slice, 1)));
    slice = slice.subspan(1);
    test.await(write);
  }));
}

TEST("sim guard: touching the target of a pending read") {
  CHECK(dies_saying("submitted_memory_is_unchanged", [] {
    Fixture test;
    Pair pair(&test);
    std::array<std::uint8_t, 100> target = {};
    Operation read;
    static_cast<void>(test.port.submit_read(&read, pair.socket, target));
    target[99] = 1;
    pair.peer.send("x");
    test.await(read);
  }));
}

TEST("sim guard: overwriting a submitted operation") {
  CHECK(dies_saying("mark.pending", [] {
    Fixture test;
    Operation post;
    test.port.post(&post);
    std::memset(post.backend, 0, sizeof post.backend);
    test.step(0);
  }));
}

TEST("sim guard: two writes at once on one socket") {
  CHECK(dies_saying("socket->write == nullptr", [] {
    iocp::SimFaults faults;
    faults.pending_when_ready = 1000;
    Fixture test(faults);
    Pair pair(&test);
    const ConstBytes slice = bytes_of("abc");
    std::array<Operation, 2> writes;
    for (Operation& write : writes)
      static_cast<void>(test.port.submit_write(&write, pair.socket, std::span(&slice, 1)));
  }));
}

TEST("sim guard: two hang_ups at once on one socket") {
  CHECK(dies_saying("socket->hang_up == nullptr", [] {
    Fixture test;
    Pair pair(&test);
    std::array<Operation, 2> operations;
    for (Operation& operation : operations) static_cast<void>(test.port.submit_hang_up(&operation, pair.socket));
  }));
}

TEST("sim guard: more slices than a write takes") {
  CHECK(dies_saying("kMaxSlices", [] {
    Fixture test;
    Pair pair(&test);
    const std::array<ConstBytes, iocp::Port::kMaxSlices + 1> slices = {};
    Operation write;
    static_cast<void>(test.port.submit_write(&write, pair.socket, slices));
  }));
}

TEST("sim guard: using a closed socket") {
  CHECK(dies_saying("socket_is_open_and_of_this_port", [] {
    Fixture test;
    Socket* listener = test.listen();
    test.close(listener);
    static_cast<void>(test.port.local_address(listener));
  }));
}

TEST("sim guard: using another port's socket") {
  CHECK(dies_saying("socket_is_open_and_of_this_port", [] {
    Fixture test;
    iocp::Port other;
    IOCP_CHECK(other.open() == Status::ok);
    static_cast<void>(other.local_address(test.listen()));
  }));
}

TEST("sim guard: connecting one socket twice") {
  CHECK(dies_saying("connect_submitted", [] {
    Fixture test;
    Socket* socket = nullptr;
    IOCP_CHECK(test.port.open_stream(iocp::Family::ipv4, kOptions, nullptr, &socket) == Status::ok);
    Operation operation;
    const iocp::Address nobody = sim_test::address_of("127.0.0.1", 9);
    test.finish(test.port.submit_connect(&operation, socket, nobody, ""), operation);
    static_cast<void>(test.port.submit_connect(&operation, socket, nobody, ""));
  }));
}

TEST("sim guard: disposing of a raw socket twice") {
  CHECK(dies_saying("raw_socket_owners", [] {
    Fixture test;
    Socket* listener = test.listen();
    iocp::SimPeer peer = test.world.connect_peer(test.bound);
    iocp::AcceptOperation accept;
    test.finish(test.port.submit_accept(&accept, listener), accept);
    iocp::Port::discard(accept.accepted);
    iocp::Port::discard(accept.accepted);
  }));
}

TEST("sim guard: closing a port that still has a socket, or an operation") {
  CHECK(dies_saying("state_->sockets == 0", [] {
    Fixture test;
    test.listen();
    test.port.close();
  }));
  CHECK(dies_saying("state_->operations == 0", [] {
    Fixture test;
    Operation post;
    test.port.post(&post);
    test.port.close();
  }));
}

TEST("sim guard: a world that goes while a port is open") {
  CHECK(dies_saying("open_ports", [] {
    iocp::Port port;
    iocp::SimWorld world(1);
    const iocp::SimWorldScope scope(world);
    IOCP_CHECK(port.open() == Status::ok);
  }));
}
