// The traffic of the stress tests: messages that both ends can make for themselves, and the handlers that send,
// echo and check them. A message is known by its connection's index and its number, so loss, repetition, disorder
// and damage all show as a difference. No timing in here.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <vector>

#include "stress/owner.h"

namespace stress {

using Bytes = std::vector<std::uint8_t>;

// Mixed sizes from nothing to 100 KiB; every size above 7 bytes begins with index and number.
Bytes message(std::uint32_t index, std::uint32_t number);
Bytes message_of_size(std::uint32_t index, std::uint32_t number, std::size_t size);

// Counts up on one thread; another sleeps until it has got somewhere.
class Progress {
 public:
  void add();
  void wait_for(std::uint64_t count);
  std::uint64_t count();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t count_ = 0;
};

// Sends back what it gets; now and then it pauses the context and resumes it a turn later.
class EchoServer : public Handler {
 public:
  explicit EchoServer(bool strict_endings) : strict_(strict_endings) {}

  Progress packages;

  void package(Owner& owner, Peer peer, iocp::ConstBytes payload) override;
  void disconnected(Owner& owner, Peer peer, const Ending& ending) override;

 private:
  const bool strict_;
  std::uint32_t seen_ = 0;
};

// Keeps a window of messages in flight on every connection and expects each back, in order and once.
class EchoClient : public Handler {
 public:
  EchoClient(std::uint32_t messages, bool strict_endings) : messages_(messages), strict_(strict_endings) {}

  Progress ended_connections;

  void connected(Owner& owner, Peer peer, std::uint32_t token) override;
  void package(Owner& owner, Peer peer, iocp::ConstBytes payload) override;
  void written(Owner& owner, Peer peer, std::uint32_t token) override;
  void ended(Owner& owner, Peer peer) override;
  void disconnected(Owner& owner, Peer peer, const Ending& ending) override;
  void connect_failed(Owner& owner, std::uint32_t token, iocp::Status status) override;

 private:
  struct Stream {
    std::uint32_t index = 0;
    std::uint32_t sent = 0;
    std::uint32_t received = 0;
    std::uint32_t written = 0;
  };

  static constexpr std::uint32_t kWindow = 6;

  void send_more(Owner& owner, Peer peer, Stream* stream);

  const std::uint32_t messages_;
  const bool strict_;
  std::map<Peer, Stream> streams_;
};

// Sends everything at once, and waits for nothing.
class FloodClient : public Handler {
 public:
  FloodClient(std::uint32_t messages, std::size_t bytes) : messages_(messages), bytes_(bytes) {}

  void connected(Owner& owner, Peer peer, std::uint32_t token) override;
  void disconnected(Owner& owner, Peer peer, const Ending& ending) override;

 private:
  const std::uint32_t messages_;
  const std::size_t bytes_;
};

// Expects what FloodClient sends; an index is learned from a connection's first message.
class FloodServer : public Handler {
 public:
  FloodServer(std::uint32_t messages, std::size_t bytes) : messages_(messages), bytes_(bytes) {}

  Progress packages;

  void package(Owner& owner, Peer peer, iocp::ConstBytes payload) override;
  void disconnected(Owner& owner, Peer peer, const Ending& ending) override;

 private:
  struct Stream {
    std::uint32_t index = 0;
    std::uint32_t received = 0;
  };

  const std::uint32_t messages_;
  const std::size_t bytes_;
  std::map<Peer, Stream> streams_;
};

// Answers with an echo, a reset, or an echo and a graceful end, as chance will have it.
class StormServer : public Handler {
 public:
  explicit StormServer(std::uint64_t seed) : random_(seed) {}

  void package(Owner& owner, Peer peer, iocp::ConstBytes payload) override;

 private:
  std::mt19937_64 random_;
};

// Connects again and again, and ends what it connected in every way there is. Every token gets one answer.
class StormClient : public Handler {
 public:
  StormClient(std::uint64_t seed, const iocp::Address& server, std::uint32_t connections)
      : random_(seed), server_(server), connections_(connections) {}

  Progress answered;  // tokens whose connection ended or never came to be

  void begin(Owner& owner, std::uint32_t at_once);
  std::uint32_t made() const { return made_; }

  void connected(Owner& owner, Peer peer, std::uint32_t token) override;
  void package(Owner& owner, Peer peer, iocp::ConstBytes payload) override;
  void disconnected(Owner& owner, Peer peer, const Ending& ending) override;
  void connect_failed(Owner& owner, std::uint32_t token, iocp::Status status) override;

 private:
  void connect_next(Owner& owner);
  void answer(Owner& owner, std::uint32_t token);

  std::mt19937_64 random_;
  const iocp::Address server_;
  const std::uint32_t connections_;
  std::uint32_t next_token_ = 1;
  std::uint32_t made_ = 0;
  std::map<std::uint32_t, bool> open_tokens_;  // true once connected
  std::map<Peer, std::uint32_t> tokens_;
};

}  // namespace stress
