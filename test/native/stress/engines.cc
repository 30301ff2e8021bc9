// Two engines in one process: made, joined, and ended with their books in order.
#include "stress/engines.h"

#include "stress/traffic.h"
#include "support/test.h"

namespace stress {

using iocp::EngineOptions;

EngineOptions options_for(std::uint32_t lanes, std::uint32_t pending_reads, bool zero_byte_reads) {
  EngineOptions options;
  options.lanes = iocp::Port::kSharedByWorkers ? 1 : lanes;
  options.workers_per_lane = iocp::Port::kSharedByWorkers ? lanes : 1;
  options.wake_workers = true;
  options.pending_reads = pending_reads;
  options.zero_byte_reads = zero_byte_reads;
  return options;
}

std::string description(const EngineOptions& options) {
  return std::to_string(options.lanes) + " lanes, " + std::to_string(options.workers_per_lane) + " workers each, " +
         std::to_string(options.pending_reads) + " pending reads, " + (options.zero_byte_reads ? "with" : "without") +
         " zero-byte reads: ";
}

void connect(Owner& owner, const iocp::Address& server, std::uint32_t count) {
  owner.run([&] {
    for (std::uint32_t token = 1; token <= count; ++token) {
      const iocp::Status status = owner.engine().connect(token, server, {}, {}, kEngineGraceMs);
      if (status != iocp::Status::ok) owner.complain("connect() did not start");
    }
  });
}

void close(Owner& owner) {
  owner.run([&] { owner.engine().close(kEngineGraceMs); });
  owner.wait_until_closed();
  owner.run([&] {
    if (owner.figure("connections") != 0) owner.complain("connections are counted after `closed`");
    if (owner.figure("connected") != owner.figure("disconnected")) owner.complain("connected is not disconnected");
  });
}

void stop_and_check(Owner& owner) {
  owner.stop();
  owner.expect_nothing_left();
  const std::string text = owner.complaints();
  CHECK_EQ(text.empty() ? text : description(owner.engine().options()) + text, "");
}

void echo(const EngineOptions& options, std::uint32_t messages) {
  constexpr std::uint32_t kConnections = 6;
  EchoServer serving(true);
  EchoClient connecting(messages, true);
  Owner server(options, serving);
  Owner client(options, connecting);
  connect(client, server.listen(), kConnections);
  connecting.ended_connections.wait_for(kConnections);
  close(client);
  close(server);
  stop_and_check(client);
  stop_and_check(server);
}

}  // namespace stress
