// Load generator for echo servers: one thread, epoll, no dependency, and every echoed byte is checked.
// Frames are a 4-byte little-endian length (header not counted) and a payload that depends on the connection and
// on the frame's number, so a lost, repeated, reordered or altered byte is an error, never a faster result.
// It prints "measuring" when the warm-up is over and one line of JSON at the end; it must print nothing else on
// standard output, because bench/run.mjs reads it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kHeaderBytes = 4;
constexpr std::size_t kPatternShifts = std::size_t{1} << 16;
constexpr std::size_t kConnectsAtOnce = 256;
// Below the default range of ephemeral ports (32768 … 60999), which each source address has for itself.
constexpr std::size_t kConnectionsPerSourceAddress = 25'000;
constexpr std::int64_t kStallLimitNs = 20'000'000'000;

[[noreturn]] void fail(const char* what, int error = 0) {
  std::fprintf(stderr, "loadgen: %s%s%s\n", what, error != 0 ? ": " : "", error != 0 ? std::strerror(error) : "");
  std::exit(1);
}

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

struct Options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  std::size_t connections = 64;
  std::size_t outstanding = 16;
  std::size_t payload = 64;
  double warmup_seconds = 1;
  double seconds = 3;
  bool hold = false;  // many connections, each echoed slowly: one frame at the start, one spread over the run
};

double parse_number(std::string_view name, const char* text) {
  double value = 0;
  const std::string_view view = text;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc() || end != view.data() + view.size() || value < 0) {
    std::fprintf(stderr, "loadgen: %.*s wants a number, got '%s'\n", static_cast<int>(name.size()), name.data(), text);
    std::exit(2);
  }
  return value;
}

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 >= argc) fail("every option takes a value");
    if (name == "--host") {
      options.host = argv[i + 1];
      continue;
    }
    const double value = parse_number(name, argv[i + 1]);
    if (name == "--port") {
      options.port = static_cast<std::uint16_t>(value);
    } else if (name == "--connections") {
      options.connections = static_cast<std::size_t>(value);
    } else if (name == "--outstanding") {
      options.outstanding = static_cast<std::size_t>(value);
    } else if (name == "--payload") {
      options.payload = static_cast<std::size_t>(value);
    } else if (name == "--warmup") {
      options.warmup_seconds = value;
    } else if (name == "--seconds") {
      options.seconds = value;
    } else if (name == "--hold") {
      options.hold = true;
      options.connections = static_cast<std::size_t>(value);
      options.outstanding = 1;
    } else {
      fail("unknown option; see docs/testing.md");
    }
  }
  if (options.port == 0 || options.connections == 0 || options.outstanding == 0) {
    fail("--port, --connections and --outstanding must be positive");
  }
  return options;
}

// Latencies in logarithmic buckets of 32 steps per doubling: within 3 % from 1 ns to hours, constant memory.
class Histogram {
 public:
  void record(std::int64_t nanoseconds) {
    ++counts_[bucket(static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds, 1)))];
    ++total_;
  }

  void reset() {
    counts_.fill(0);
    total_ = 0;
  }

  double percentile_us(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return lower_bound(i) / 1000.0;
    }
    return 0;
  }

 private:
  static constexpr unsigned kStepBits = 5;

  static std::size_t bucket(std::uint64_t value) {
    if (value < (1U << kStepBits)) return static_cast<std::size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kStepBits;
    return (static_cast<std::size_t>(shift + 1) << kStepBits) + static_cast<std::size_t>((value >> shift) - 32);
  }

  static double lower_bound(std::size_t index) {
    if (index < (1U << kStepBits)) return static_cast<double>(index);
    const std::size_t shift = (index >> kStepBits) - 1;
    return static_cast<double>((index & 31) + 32) * static_cast<double>(std::uint64_t{1} << shift);
  }

  std::array<std::uint64_t, 60 * 32> counts_ = {};
  std::uint64_t total_ = 0;
};

// The bytes of every payload: a window into one pseudo-random block, at a place that depends on who and when.
class Pattern {
 public:
  explicit Pattern(std::size_t payload) : payload_(payload), block_(kPatternShifts + payload) {
    std::uint64_t state = 0x9e3779b97f4a7c15;
    for (auto& byte : block_) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      byte = static_cast<std::uint8_t>(state >> 32);
    }
    for (std::size_t i = 0; i < kHeaderBytes; ++i) header_[i] = static_cast<std::uint8_t>(payload >> (8 * i));
  }

  std::size_t frame_bytes() const { return kHeaderBytes + payload_; }
  std::size_t payload() const { return payload_; }
  const std::uint8_t* header() const { return header_.data(); }

  const std::uint8_t* bytes(std::size_t connection, std::uint64_t frame) const {
    const std::uint64_t mixed = (connection * 0x9e3779b97f4a7c15ULL) ^ (frame * 0xbf58476d1ce4e5b9ULL);
    return block_.data() + (mixed >> 40) % kPatternShifts;
  }

 private:
  std::size_t payload_;
  std::vector<std::uint8_t> block_;
  std::array<std::uint8_t, kHeaderBytes> header_ = {};
};

struct Connection {
  int descriptor = -1;
  bool connected = false;
  bool wants_write = false;
  std::uint64_t frames_sent = 0;      // put into `output`
  std::uint64_t frames_received = 0;  // checked to the last byte
  std::size_t position = 0;           // checked bytes of the frame now arriving
  std::vector<std::uint8_t> output;   // frames not yet taken by the kernel, from output_begin
  std::size_t output_begin = 0;
  std::vector<std::int64_t> sent_at;  // ring of `outstanding` times, by frame number
};

class LoadGenerator {
 public:
  explicit LoadGenerator(const Options& options)
      : options_(options), pattern_(options.payload), connections_(options.connections), input_(256 * 1024) {
    poller_ = epoll_create1(EPOLL_CLOEXEC);
    if (poller_ < 0) fail("epoll_create1", errno);
  }

  void run() {
    connect_all();
    if (options_.hold) {
      run_hold();
    } else {
      run_load();
    }
  }

 private:
  // --- connecting ------------------------------------------------------------------------------------------

  void connect_all() {
    while (connected_ < connections_.size()) {
      while (started_ < connections_.size() && started_ - connected_ < kConnectsAtOnce) start_connect(started_++);
      step(1000);
    }
  }

  void start_connect(std::size_t index) {
    Connection& connection = connections_[index];
    const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) fail("socket", errno);
    connection.descriptor = descriptor;
    connection.sent_at.resize(options_.outstanding);
    const int on = 1;
    if (setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail("TCP_NODELAY", errno);
    if (connections_.size() > kConnectionsPerSourceAddress) bind_source(descriptor, index);

    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(options_.port);
    if (inet_pton(AF_INET, options_.host.c_str(), &to.sin_addr) != 1) fail("--host must be an IPv4 address");
    const int result = connect(descriptor, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    if (result != 0 && errno != EINPROGRESS) fail("connect", errno);
    watch(index, EPOLL_CTL_ADD, EPOLLOUT);
  }

  // One loopback address has ports for some 28,000 connections to one server; the next ones leave from 127.0.0.2 …
  static void bind_source(int descriptor, std::size_t index) {
    const int on = 1;
    if (setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0) {
      fail("IP_BIND_ADDRESS_NO_PORT", errno);
    }
    sockaddr_in from = {};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + static_cast<std::uint32_t>(index / kConnectionsPerSourceAddress));
    if (bind(descriptor, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) fail("bind", errno);
  }

  void finish_connect(std::size_t index) {
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(connections_[index].descriptor, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) fail("SO_ERROR", errno);
    if (error != 0) fail("connect", error);
    connections_[index].connected = true;
    ++connected_;
    watch(index, EPOLL_CTL_MOD, EPOLLIN);
  }

  void watch(std::size_t index, int operation, std::uint32_t events) const {
    epoll_event event = {};
    event.events = events;
    event.data.u64 = index;
    if (epoll_ctl(poller_, operation, connections_[index].descriptor, &event) != 0) fail("epoll_ctl", errno);
  }

  // --- the two kinds of run -----------------------------------------------------------------------------------

  void run_load() {
    refill_ = true;
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      for (std::size_t frame = 0; frame < options_.outstanding; ++frame) append_frame(i);
      flush(i);
    }
    run_until(now_ns() + to_ns(options_.warmup_seconds));
    begin_measurement();
    run_until(measured_from_ + to_ns(options_.seconds));
    finish_measurement();
  }

  void run_hold() {
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      append_frame(i);
      flush(i);
      if (i % 64 == 0) step(0);
    }
    drain();
    begin_measurement();
    const double interval = options_.seconds * 1e9 / static_cast<double>(connections_.size());
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      run_until(measured_from_ + static_cast<std::int64_t>(interval * static_cast<double>(i)));
      append_frame(i);
      flush(i);
    }
    drain();
    finish_measurement();
  }

  static std::int64_t to_ns(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

  void run_until(std::int64_t end) {
    for (std::int64_t now = now_ns(); now < end; now = now_ns()) {
      step(static_cast<int>((end - now) / 1'000'000 + 1));
      if (now - last_progress_ > kStallLimitNs && frames_in_flight_ > 0) fail("the server stopped answering");
    }
  }

  void drain() {
    const std::int64_t begin = now_ns();
    while (frames_in_flight_ > 0) {
      step(100);
      if (now_ns() - begin > kStallLimitNs) fail("the server did not answer every frame");
    }
  }

  void begin_measurement() {
    histogram_.reset();
    measured_frames_ = 0;
    measured_from_ = now_ns();
    last_progress_ = measured_from_;
    cpu_from_ = cpu_seconds();
    std::puts("measuring");
    std::fflush(stdout);
  }

  void finish_measurement() const {
    const double seconds = static_cast<double>(now_ns() - measured_from_) / 1e9;
    const double frames = static_cast<double>(measured_frames_) / seconds;
    std::printf(
        "{\"frames\": %llu, \"seconds\": %.3f, \"frames_per_second\": %.1f, \"megabytes_per_second\": %.3f, "
        "\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"errors\": %llu, \"connections\": %zu, "
        "\"generator_cpu\": %.2f}\n",
        static_cast<unsigned long long>(measured_frames_), seconds, frames,
        frames * static_cast<double>(pattern_.payload()) / 1e6, histogram_.percentile_us(0.5),
        histogram_.percentile_us(0.99), histogram_.percentile_us(0.999), static_cast<unsigned long long>(errors_),
        connections_.size(), (cpu_seconds() - cpu_from_) / seconds);
  }

  static double cpu_seconds() {
    rusage usage = {};
    if (getrusage(RUSAGE_SELF, &usage) != 0) fail("getrusage", errno);
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }

  // --- one round of readiness -------------------------------------------------------------------------------

  void step(int timeout_ms) {
    std::array<epoll_event, 512> events;
    const int count = epoll_wait(poller_, events.data(), static_cast<int>(events.size()), timeout_ms);
    if (count < 0 && errno != EINTR) fail("epoll_wait", errno);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      const auto index = static_cast<std::size_t>(event.data.u64);
      if (!connections_[index].connected) {
        finish_connect(index);
        continue;
      }
      if ((event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) receive(index);
      if ((event.events & EPOLLOUT) != 0) flush(index);
    }
  }

  void receive(std::size_t index) {
    Connection& connection = connections_[index];
    const ssize_t received = recv(connection.descriptor, input_.data(), input_.size(), 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (received < 0) fail("recv", errno);
    if (received == 0) fail("the server closed a connection");
    last_progress_ = now_ns();
    check(index, input_.data(), static_cast<std::size_t>(received));
    flush(index);
  }

  // Compares what arrived with what must come next, byte for byte; each complete frame makes room for another.
  void check(std::size_t index, const std::uint8_t* bytes, std::size_t count) {
    Connection& connection = connections_[index];
    while (count > 0) {
      if (connection.frames_received == connection.frames_sent) fail("the server sent more than it got");
      const bool in_header = connection.position < kHeaderBytes;
      const std::uint8_t* expected =
          in_header ? pattern_.header() + connection.position
                    : pattern_.bytes(index, connection.frames_received) + (connection.position - kHeaderBytes);
      const std::size_t left = (in_header ? kHeaderBytes : pattern_.frame_bytes()) - connection.position;
      const std::size_t part = std::min(left, count);
      if (std::memcmp(bytes, expected, part) != 0) ++errors_;
      connection.position += part;
      bytes += part;
      count -= part;
      if (connection.position == pattern_.frame_bytes()) complete_frame(index);
    }
  }

  void complete_frame(std::size_t index) {
    Connection& connection = connections_[index];
    histogram_.record(last_progress_ - connection.sent_at[connection.frames_received % options_.outstanding]);
    ++connection.frames_received;
    connection.position = 0;
    ++measured_frames_;
    --frames_in_flight_;
    if (refill_) append_frame(index);
  }

  void append_frame(std::size_t index) {
    Connection& connection = connections_[index];
    const std::uint8_t* payload = pattern_.bytes(index, connection.frames_sent);
    connection.output.insert(connection.output.end(), pattern_.header(), pattern_.header() + kHeaderBytes);
    connection.output.insert(connection.output.end(), payload, payload + pattern_.payload());
    connection.sent_at[connection.frames_sent % options_.outstanding] = refill_ ? last_progress_ : now_ns();
    ++connection.frames_sent;
    ++frames_in_flight_;
  }

  void flush(std::size_t index) {
    Connection& connection = connections_[index];
    while (connection.output_begin < connection.output.size()) {
      const ssize_t sent = send(connection.descriptor, connection.output.data() + connection.output_begin,
                                connection.output.size() - connection.output_begin, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) break;
      if (sent < 0) fail("send", errno);
      connection.output_begin += static_cast<std::size_t>(sent);
    }
    const bool blocked = connection.output_begin < connection.output.size();
    if (!blocked) {
      connection.output.clear();
      connection.output_begin = 0;
    } else if (connection.output_begin > connection.output.size() / 2) {
      const auto written = static_cast<std::ptrdiff_t>(connection.output_begin);
      connection.output.erase(connection.output.begin(), connection.output.begin() + written);
      connection.output_begin = 0;
    }
    if (blocked == connection.wants_write) return;
    connection.wants_write = blocked;
    watch(index, EPOLL_CTL_MOD, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  const Options options_;
  const Pattern pattern_;
  std::vector<Connection> connections_;
  std::vector<std::uint8_t> input_;
  int poller_ = -1;
  std::size_t started_ = 0;
  std::size_t connected_ = 0;
  bool refill_ = false;
  std::uint64_t frames_in_flight_ = 0;
  std::uint64_t measured_frames_ = 0;
  std::uint64_t errors_ = 0;
  std::int64_t measured_from_ = 0;
  std::int64_t last_progress_ = now_ns();
  double cpu_from_ = 0;
  Histogram histogram_;
};

void raise_descriptor_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit", errno);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit", errno);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  raise_descriptor_limit();
  LoadGenerator(options).run();
  return 0;
}
