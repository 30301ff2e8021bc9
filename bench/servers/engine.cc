// The engine without Node.js: the same core and port as the addon's, stepped and owned by one thread of C++ that echoes
// every package. What the addon costs beyond this is the price of the crossing into JavaScript and back.
// It prints its port on standard output and serves until it is killed.
#include "core/engine.h"

#include <malloc.h>
#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "core/limits.h"
#include "core/records.h"
#include "core/series.h"
#include "core/worker.h"
#include "port/check.h"

namespace {

using iocp::ConstBytes;
using iocp::RecordKind;

constexpr std::size_t kSlabBytes = std::size_t{256} * 1024;
constexpr std::size_t kSlabs = 4;
constexpr std::size_t kBatchedPayloadMax = std::size_t{48} * 1024;  // the addon's (lib/output-batch.ts)

std::uint64_t now_ms() {
  using std::chrono::steady_clock;
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch()).count());
}

iocp::EngineOptions options() {
  iocp::EngineOptions options;
  options.max_connections = 100'000;
  return options;
}

class EchoServer {
 public:
  EchoServer() : engine_(options(), iocp::Doorbell{}) {
    IOCP_CHECK(engine_.start() == iocp::Status::ok);
    for (std::size_t i = 0; i < kSlabs; ++i) supply();
  }

  void listen() {
    iocp::ListenOptions where;
    where.backlog = 4096;
    IOCP_CHECK(iocp::parse_ip("127.0.0.1", 0, &where.address));
    const iocp::Engine::Listening listening = engine_.listen(where);
    IOCP_CHECK(listening.status == iocp::Status::ok);
    std::printf("listening %u\n", static_cast<unsigned>(listening.bound.port));
    std::fflush(stdout);
  }

  [[noreturn]] void serve() {
    iocp::Worker& worker = engine_.worker(0);
    for (;;) {
      worker.collect(worker.has_work() ? 0 : worker.sleep_limit_ms(now_ms()));
      worker.step(now_ms());
      while (engine_.has_events()) {
        take();
        worker.run_commands(now_ms());
      }
    }
  }

 private:
  struct Slab {
    std::unique_ptr<std::uint64_t[]> memory;
    const std::uint8_t* bytes() const { return reinterpret_cast<const std::uint8_t*>(memory.get()); }
  };

  void supply() {
    while (slabs_.contains(next_slab_)) next_slab_ = (next_slab_ + 1) % (iocp::kSlabIndexMax + 1);
    Slab& slab = slabs_[next_slab_];
    slab.memory.reset(new std::uint64_t[kSlabBytes / sizeof(std::uint64_t)]);
    engine_.supply(0, next_slab_, reinterpret_cast<std::uint8_t*>(slab.memory.get()), kSlabBytes);
  }

  void take() {
    engine_.take(0, &batch_);
    next_large_ = 0;
    for (const iocp::Mailbox::Range& range : batch_.ranges) read(range);
    flush();
    for (const iocp::LargePayload& large : batch_.larges) large.free();
    engine_.delivered(0, batch_);
  }

  void read(const iocp::Mailbox::Range& range) {
    const Slab& slab = slabs_.at(range.slab_index);
    for (std::uint32_t at = range.begin; at < range.end;) {
      iocp::RecordHeader header;
      std::memcpy(&header, slab.bytes() + at, sizeof header);
      const ConstBytes body(slab.bytes() + at + sizeof header, header.length);
      at += static_cast<std::uint32_t>(iocp::record_bytes(header.length));
      react(header, body);
    }
    if (!range.retired) return;
    slabs_.erase(range.slab_index);
    supply();
  }

  void react(const iocp::RecordHeader& header, ConstBytes body) {
    switch (static_cast<RecordKind>(header.kind)) {
      case RecordKind::connected: {
        std::uint32_t generation = 0;
        std::memcpy(&generation, body.data(), sizeof generation);
        if (generations_.size() <= header.slot) generations_.resize(header.slot + 1);
        generations_[header.slot] = generation;
        return;
      }
      case RecordKind::package:
        return echo(header.slot, body);
      case RecordKind::series:
        iocp::for_each_in_series(body, room(), [&](ConstBytes payload) { echo(header.slot, payload); });
        return;
      case RecordKind::large: {
        const iocp::LargePayload& large = batch_.larges[next_large_++];
        const ConstBytes payload(large.payload, large.length);
        return payload.size() <= kBatchedPayloadMax ? echo(header.slot, payload) : echo_at_once(header.slot, payload);
      }
      case RecordKind::ended:
        engine_.finish(header.slot, generations_[header.slot]);
        return;
      default:
        return;
    }
  }

  // As the addon does with what is too large for the batch.
  void echo_at_once(std::uint32_t slot, ConstBytes payload) {
    flush();
    static_cast<void>(engine_.send(slot, generations_[slot], payload, 0));
  }

  // As the addon does: packages of one context that follow each other are a series.
  void echo(std::uint32_t slot, ConstBytes payload) {
    if (output_.empty() || series_.slot != slot) {
      output_.resize(iocp::output_record_bytes(output_.size()) - sizeof series_);
      series_at_ = output_.size();
      series_ = {slot, generations_[slot], 0, iocp::kOutputSeries};
      output_.resize(series_at_ + sizeof series_);
    }
    const std::size_t at = output_.size();
    output_.resize(at + room() + payload.size());
    output_[at] = static_cast<std::uint8_t>(payload.size());
    output_[at + 1] = static_cast<std::uint8_t>(payload.size() >> 8);
    if (!payload.empty()) std::memcpy(output_.data() + at + room(), payload.data(), payload.size());
    series_.length += static_cast<std::uint32_t>(room() + payload.size());
    std::memcpy(output_.data() + series_at_, &series_, sizeof series_);
  }

  std::size_t room() { return iocp::series_room(engine_.options().framing); }

  void flush() {
    if (output_.empty()) return;
    output_.resize(iocp::output_record_bytes(output_.size()) - sizeof series_);
    engine_.submit_batch(output_, false);
    output_.clear();
  }

  iocp::Engine engine_;
  std::map<std::uint32_t, Slab> slabs_;
  std::uint32_t next_slab_ = 0;
  iocp::Mailbox::Batch batch_;
  std::size_t next_large_ = 0;
  std::vector<std::uint32_t> generations_;  // by slot
  std::vector<std::uint8_t> output_;
  iocp::OutputHeader series_ = {};  // the last one in output_, …
  std::size_t series_at_ = 0;       // … and where it is
};

}  // namespace

int main() {
  // Slabs are freed at once here, and pooled in Node.js: without this the C library would give their memory back to the
  // system every time.
  mallopt(M_TRIM_THRESHOLD, 256 * 1024 * 1024);
  mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
  rlimit limit = {};
  IOCP_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  IOCP_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  EchoServer server;
  server.listen();
  server.serve();
}
