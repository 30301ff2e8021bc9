// What the ends of the stress tests do when something arrives.
#include "stress/traffic.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "core/records.h"

namespace stress {

using iocp::ConstBytes;
using iocp::DisconnectedBy;
using iocp::Status;

namespace {

constexpr std::size_t kLargest = 100 * 1024;
constexpr std::uint32_t kGraceMs = 5'000;
constexpr std::uint32_t kConnectTimeoutMs = 10'000;

// Every message is a window into this.
const Bytes& noise() {
  static const Bytes bytes = [] {
    std::mt19937_64 random(20'260'101);
    Bytes all(kLargest + 4'096);
    for (std::uint8_t& byte : all) byte = static_cast<std::uint8_t>(random());
    return all;
  }();
  return bytes;
}

std::uint64_t mixed(std::uint32_t index, std::uint32_t number) {
  std::uint64_t value = (std::uint64_t{index} << 32 | number) * 0x9E3779B97F4A7C15U;
  value ^= value >> 29;
  value *= 0xBF58476D1CE4E5B9U;
  return value ^ value >> 32;
}

std::size_t mixed_size(std::uint64_t chance) {
  const std::uint64_t amount = chance >> 8;
  switch (chance % 12) {
    case 0:
      return 0;
    case 1:
      return amount % 8;
    case 2:
    case 3:
      return amount % (17 * 1024);
    case 4:
      return amount % (kLargest + 1);
    default:
      return amount % 600;
  }
}

bool same(ConstBytes payload, const Bytes& expected) {
  return std::equal(payload.begin(), payload.end(), expected.begin(), expected.end());
}

std::string name_of(std::uint32_t index, std::uint32_t number) {
  return "message " + std::to_string(number) + " of connection " + std::to_string(index);
}

bool is_peers_end(const Ending& ending) {
  return ending.by == DisconnectedBy::peer && ending.status == Status::peer_closed;
}

}  // namespace

Bytes message_of_size(std::uint32_t index, std::uint32_t number, std::size_t size) {
  const auto at = noise().begin() + static_cast<std::ptrdiff_t>(mixed(number, index) % 4'096);
  Bytes bytes(at, at + static_cast<std::ptrdiff_t>(size));
  if (size >= 8) {
    std::memcpy(bytes.data(), &index, sizeof index);
    std::memcpy(bytes.data() + sizeof index, &number, sizeof number);
  }
  return bytes;
}

Bytes message(std::uint32_t index, std::uint32_t number) {
  return message_of_size(index, number, mixed_size(mixed(index, number)));
}

void Progress::add() {
  const std::lock_guard guard(mutex_);
  ++count_;
  changed_.notify_all();
}

void Progress::wait_for(std::uint64_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return count_ >= count; });
}

std::uint64_t Progress::count() {
  const std::lock_guard guard(mutex_);
  return count_;
}

// --- echo --------------------------------------------------------------------------------------------------------

void EchoServer::package(Owner& owner, Peer peer, ConstBytes payload) {
  owner.send(peer, payload);
  packages.add();
  if (++seen_ % 37 != 0) return;
  owner.engine().pause(peer.slot, peer.generation);
  owner.post([&owner, peer] { owner.engine().resume(peer.slot, peer.generation); });
}

void EchoServer::disconnected(Owner& owner, Peer, const Ending& ending) {
  if (strict_ && !is_peers_end(ending)) {
    owner.complain("the server saw an end by " + std::to_string(static_cast<int>(ending.by)) + ", " +
                   iocp::status_code(ending.status));
  }
}

void EchoClient::connected(Owner& owner, Peer peer, std::uint32_t token) {
  Stream& stream = streams_[peer];
  stream.index = token;
  send_more(owner, peer, &stream);
}

void EchoClient::send_more(Owner& owner, Peer peer, Stream* stream) {
  while (stream->sent < messages_ && stream->sent - stream->received < kWindow) {
    // Every message asks for a `written` record with its number.
    const std::uint32_t flags = iocp::kOutputNotify | (stream->sent & 0xFF'FFFF) << iocp::kOutputTokenShift;
    owner.send(peer, message(stream->index, stream->sent++), flags);
  }
}

void EchoClient::package(Owner& owner, Peer peer, ConstBytes payload) {
  Stream& stream = streams_[peer];
  if (!same(payload, message(stream.index, stream.received))) {
    owner.complain("not " + name_of(stream.index, stream.received));
  }
  if (stream.received >= stream.sent) owner.complain("an echo of what was not sent");
  ++stream.received;
  if (stream.received < messages_) {
    send_more(owner, peer, &stream);
  } else if (!owner.engine().disconnect(peer.slot, peer.generation, true, kGraceMs)) {
    owner.complain("a live context that cannot be disconnected");
  }
}

void EchoClient::written(Owner& owner, Peer peer, std::uint32_t token) {
  Stream& stream = streams_[peer];
  if (token != stream.written++) owner.complain("a written record out of order");
}

void EchoClient::ended(Owner& owner, Peer peer) {
  if (strict_) owner.complain("the server ended a connection by itself");
  Handler::ended(owner, peer);
}

void EchoClient::disconnected(Owner& owner, Peer peer, const Ending& ending) {
  const Stream stream = streams_[peer];
  streams_.erase(peer);
  ended_connections.add();
  if (!strict_) return;
  if (stream.received != messages_) owner.complain("an end before " + name_of(stream.index, stream.received));
  if (stream.written != stream.sent) owner.complain("written records are missing");
  if (ending.by != DisconnectedBy::local) owner.complain("the client saw an end that was not its own");
}

void EchoClient::connect_failed(Owner& owner, std::uint32_t, Status status) {
  if (strict_) owner.complain(std::string("a connect failed: ") + iocp::status_code(status));
  ended_connections.add();
}

// --- flood -------------------------------------------------------------------------------------------------------

void FloodClient::connected(Owner& owner, Peer peer, std::uint32_t token) {
  for (std::uint32_t number = 0; number < messages_; ++number) {
    owner.send(peer, message_of_size(token, number, bytes_));
  }
}

void FloodClient::disconnected(Owner& owner, Peer, const Ending& ending) {
  if (ending.by != DisconnectedBy::local) owner.complain("the flood was ended by its receiver");
}

void FloodServer::package(Owner& owner, Peer peer, ConstBytes payload) {
  const auto [found, first] = streams_.try_emplace(peer);
  Stream& stream = found->second;
  if (first && payload.size() >= sizeof stream.index) {
    std::memcpy(&stream.index, payload.data(), sizeof stream.index);
  }
  if (!same(payload, message_of_size(stream.index, stream.received, bytes_))) {
    owner.complain("not " + name_of(stream.index, stream.received));
  }
  ++stream.received;
  packages.add();
}

void FloodServer::disconnected(Owner& owner, Peer peer, const Ending& ending) {
  if (streams_[peer].received != messages_) owner.complain("the flood lost or gained messages");
  if (!is_peers_end(ending)) owner.complain("the flood ended otherwise than by its sender");
}

// --- storm -------------------------------------------------------------------------------------------------------

void StormServer::package(Owner& owner, Peer peer, ConstBytes payload) {
  switch (random_() % 4) {
    case 0:
      owner.engine().disconnect(peer.slot, peer.generation, false, 0);
      return;
    case 1:
      owner.send(peer, payload);
      owner.flush();
      owner.engine().disconnect(peer.slot, peer.generation, true, kGraceMs);
      return;
    default:
      owner.send(peer, payload);
      return;
  }
}

void StormClient::begin(Owner& owner, std::uint32_t at_once) {
  for (std::uint32_t i = 0; i < at_once; ++i) connect_next(owner);
}

void StormClient::connect_next(Owner& owner) {
  if (next_token_ > connections_) return;
  const std::uint32_t token = next_token_++;
  open_tokens_[token] = false;
  const Status status = owner.engine().connect(token, server_, {}, {}, kConnectTimeoutMs);
  if (status != Status::ok) owner.complain(std::string("connect() said ") + iocp::status_code(status));
  if (random_() % 8 == 0) owner.engine().cancel_connect(token);
}

void StormClient::answer(Owner& owner, std::uint32_t token) {
  if (open_tokens_.erase(token) != 1) owner.complain("a token was answered twice, or never given");
  answered.add();
  connect_next(owner);
}

void StormClient::connected(Owner& owner, Peer peer, std::uint32_t token) {
  const auto found = open_tokens_.find(token);
  if (found == open_tokens_.end() || std::exchange(found->second, true)) owner.complain("connected for no open token");
  tokens_[peer] = token;
  ++made_;
  const std::uint64_t choice = random_() % 4;
  if (choice == 0) {
    owner.engine().disconnect(peer.slot, peer.generation, false, 0);
    return;
  }
  for (std::uint32_t number = 0; number < choice; ++number) owner.send(peer, message(token, number + 1));
  if (choice == 1) return;  // the answer decides
  owner.flush();
  owner.engine().disconnect(peer.slot, peer.generation, choice == 2, kGraceMs);
}

void StormClient::package(Owner& owner, Peer peer, ConstBytes) {
  owner.engine().disconnect(peer.slot, peer.generation, random_() % 2 == 0, kGraceMs);
}

void StormClient::disconnected(Owner& owner, Peer peer, const Ending&) {
  const auto found = tokens_.find(peer);
  if (found == tokens_.end()) return owner.complain("a disconnected record of an unknown peer");
  const std::uint32_t token = found->second;
  tokens_.erase(found);
  answer(owner, token);
}

void StormClient::connect_failed(Owner& owner, std::uint32_t token, Status status) {
  const auto found = open_tokens_.find(token);
  if (found != open_tokens_.end() && found->second) owner.complain("failed after it was connected");
  if (status != Status::cancelled) owner.complain(std::string("a connect failed: ") + iocp::status_code(status));
  answer(owner, token);
}

}  // namespace stress
