// Transmits in the simulated world: the faults of the file strike, and tell nothing about the connection.
#include <algorithm>
#include <string>
#include <vector>

#include "port/file.h"
#include "port/sim/sim_disk.h"
#include "sim_port/sim_fixture.h"
#include "support/test.h"

using iocp::File;
using iocp::SimFaults;
using iocp::Status;
using iocp::TransmitOperation;
using sim_test::bytes_of;
using sim_test::Fixture;
using sim_test::Pair;
using sim_test::Result;

namespace {

constexpr std::uint32_t kAlways = 1000;

// A connection and an open file of 1000 letters.
struct Sending {
  Sending() : pair(&test) {
    const std::vector<std::uint8_t> letters(1000, 'f');
    test.world.disk().make_file("/file", letters);
    REQUIRE(File::open_for_reading("/file", &file) == Status::ok);
  }

  void set(std::uint32_t SimFaults::*fault) {
    SimFaults faults;
    faults.*fault = kAlways;
    test.world.set_faults(faults);
  }

  Result transmit(std::uint32_t length, std::string_view head = {}) {
    TransmitOperation operation;
    return test.finish(test.port.submit_transmit(&operation, pair.socket, file, 0, length, bytes_of(head)), operation);
  }

  Fixture test;
  Pair pair;
  File file;
};

}  // namespace

TEST("sim transmit: an I/O error of the file sends nothing, and the connection lives on") {
  Sending sending;
  sending.set(&SimFaults::file_io_error);
  const Result failed = sending.transmit(1000);
  CHECK_EQ(failed.status, Status::io_error);
  CHECK_EQ(failed.bytes, 0U);
  const Result head_only = sending.transmit(1000, "head");
  CHECK_EQ(head_only.status, Status::ok);
  CHECK_EQ(head_only.bytes, 4U);
  sending.test.world.set_faults({});
  CHECK_EQ(sending.transmit(3).bytes, 3U);
  CHECK_EQ(sending.pair.peer.receive_text(), "headfff");
}

TEST("sim transmit: a file that shrinks under it is told in the end") {
  Sending sending;
  sending.set(&SimFaults::file_shrinks);
  std::uint32_t sent = 0;
  Result result;
  for (int tries = 0; tries < 2000 && result.status == Status::ok; ++tries) {
    result = sending.transmit(1000);
    sent += result.bytes;
  }
  CHECK_EQ(result.status, Status::file_shrank);
  CHECK_EQ(sending.pair.peer.receive_text().size(), sent);
}

TEST("sim transmit: a file that grows sends what was asked for") {
  Sending sending;
  sending.set(&SimFaults::file_grows);
  CHECK_EQ(sending.transmit(1000).bytes, 1000U);
  CHECK_EQ(sending.pair.peer.receive_text(), std::string(1000, 'f'));
}

TEST("sim transmit: no buffer space and partial writes strike it as they strike writes") {
  Sending sending;
  sending.set(&SimFaults::no_buffer_space);
  CHECK_EQ(sending.transmit(1000).status, Status::no_buffer_space);
  sending.set(&SimFaults::partial_write);
  std::uint32_t shortest = 1000;
  for (int tries = 0; tries < 20; ++tries) {
    shortest = std::min(shortest, sending.transmit(1000).bytes);
    sending.pair.peer.receive();
  }
  CHECK(shortest > 0 && shortest < 1000);
}
