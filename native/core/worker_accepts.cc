// How connections arrive: posted accepts, the limit on their number, and the birth of a context.
#include <algorithm>
#include <cstring>
#include <new>

#include "core/worker.h"
#include "port/check.h"

namespace iocp {
namespace {

ConstBytes bytes_of(const std::string& text) {
  return ConstBytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

template <std::size_t N>
ConstBytes bytes_of(const std::array<std::uint32_t, N>& words) {
  return ConstBytes(reinterpret_cast<const std::uint8_t*>(words.data()), sizeof words);
}

std::uint32_t family_number(Family family) {
  switch (family) {
    case Family::ipv4:
      return 4;
    case Family::ipv6:
      return 6;
    case Family::local:
    case Family::none:
      return 0;
  }
  IOCP_UNREACHABLE("a Family outside the enum");
}

}  // namespace

void Worker::open_listener(Listener* listener) {
  std::unique_ptr<Listener> owned(listener);
  if (engine_.closing()) {
    lane_.port.close_socket(listener->socket, CloseMode::normal);
    engine_.leave_busy();
    return;
  }
  listener->timer.kind = Timer::Kind::accept;
  listener->timer.owner = listener;
  for (std::size_t i = 0; i < kAcceptsPosted; ++i) {
    auto operation = std::make_unique<AcceptOperation>();
    operation->tag = static_cast<std::uint8_t>(Tag::accept);
    operation->owner = listener;
    listener->resting.push_back(operation.get());
    listener->operations.push_back(std::move(operation));
  }
  ScopedLock guard(lane_.connections_mutex);
  lane_.listeners.push_back(std::move(owned));
  if (!lane_.accepts_held) post_accepts(*listener);
}

void Worker::post_accepts(Listener& listener) {
  while (!listener.resting.empty()) {
    AcceptOperation* operation = listener.resting.back();
    listener.resting.pop_back();
    // From here the operation is the port's; a shared port may complete it on another thread right now.
    note(operation, lane_.port.submit_accept(operation, listener.socket));
  }
}

void Worker::on_accept(AcceptOperation* operation, Status status) {
  auto& listener = *static_cast<Listener*>(operation->owner);
  const RawSocket raw = operation->accepted;
  const Address peer = operation->peer;
  operation->accepted = RawSocket::none;
  operation->peer = {};

  bool rest = false;
  bool failed = false;
  if (status == Status::ok) {
    place(raw, peer, listener.id);
  } else if (status == Status::too_many_open_files || status == Status::file_table_full) {
    refuse(status, peer);
    rest = peer.family == Family::none;  // nobody could be turned away: trying at once would spin
  } else if (is_shortage(status)) {
    add(lane_.counters.buffer_shortages, 1);
    rest = true;
  } else if (status != Status::cancelled) {
    failed = true;
  }

  const std::uint32_t epoch = lane_.room.epoch();
  const bool congested = lane_.mailbox.congested();
  if (congested) lane_.want_room(lane_.room, epoch);
  bool told_to_close = false;
  std::unique_ptr<Listener> done;
  const std::uint32_t id = listener.id;
  {
    ScopedLock guard(lane_.connections_mutex);
    listener.resting.push_back(operation);
    if (failed && !listener.closing) {
      listener.closing = told_to_close = true;
      lane_.cancel(&listener.timer);
      lane_.port.close_socket(listener.socket, CloseMode::normal);
    }
    if (listener.closing) {
      // Taken out under the same lock: another worker that closes the listeners must not end it a second time.
      if (listener_is_done(listener)) done = take_out(listener);
    } else if (rest) {
      lane_.schedule(&listener.timer, now_ms_ + kRetryDelayMs);
    } else if (!congested && !lane_.accepts_held) {
      post_accepts(listener);
    }
  }
  if (told_to_close) {
    const std::array<std::uint32_t, 2> words = {static_cast<std::uint32_t>(status),
                                                static_cast<std::uint32_t>(Syscall::accept)};
    lane_.mailbox.control(RecordKind::listener_failed, 0, id, {bytes_of(words)});
  }
  if (done != nullptr) engine_.leave_busy();
}

std::unique_ptr<Listener> Worker::take_out(const Listener& listener) {
  const auto found = std::find_if(lane_.listeners.begin(), lane_.listeners.end(),
                                  [&](const auto& other) { return other.get() == &listener; });
  IOCP_CHECK(found != lane_.listeners.end());
  std::unique_ptr<Listener> taken = std::move(*found);
  lane_.listeners.erase(found);
  return taken;
}

bool Worker::listener_is_done(const Listener& listener) const {
  return listener.closing && listener.resting.size() == listener.operations.size();
}

void Worker::resume_accepts() {
  if (lane_.mailbox.congested()) return;
  ScopedLock guard(lane_.connections_mutex);
  if (lane_.accepts_held) return;
  for (const auto& listener : lane_.listeners) {
    if (!listener->closing && !listener->timer.scheduled()) post_accepts(*listener);
  }
}

void Worker::hold_accepts() {
  ScopedLock guard(lane_.connections_mutex);
  lane_.accepts_held = true;
  for (const auto& listener : lane_.listeners) {
    for (const auto& operation : listener->operations) {
      if (operation->phase == OperationPhase::submitted) lane_.port.cancel(operation.get(), listener->socket);
    }
  }
}

void Worker::release_accepts() {
  {
    ScopedLock guard(lane_.connections_mutex);
    lane_.accepts_held = false;
  }
  resume_accepts();
}

void Worker::close_listeners() {
  std::size_t ended = 0;
  {
    ScopedLock guard(lane_.connections_mutex);
    for (const auto& listener : lane_.listeners) {
      if (listener->closing) continue;
      listener->closing = true;
      lane_.cancel(&listener->timer);
      // Its pending accepts come back cancelled; on_accept() sees the last of them home.
      lane_.port.close_socket(listener->socket, CloseMode::normal);
    }
    ended = std::erase_if(lane_.listeners, [this](const auto& listener)
                                               IOCP_NO_THREAD_SAFETY_ANALYSIS { return listener_is_done(*listener); });
  }
  while (ended-- > 0) engine_.leave_busy();
}

void Worker::place(RawSocket raw, const Address& peer, std::uint32_t listener_id) {
  add(lane_.counters.accepted, 1);
  if (engine_.closing()) {
    Port::discard(raw);
    return;
  }
  if (!engine_.take_connection()) {
    Port::discard(raw);
    refuse(Status::max_connections, peer);
    return;
  }
  Lane& target = engine_.next_lane();
  if (&target == &lane_) {
    adopt({raw, peer, listener_id});
    return;
  }
  engine_.enter_busy();
  Command command;
  command.verb = Command::Verb::adopt;
  command.object = new Adoption{raw, peer, listener_id};
  target.enqueue(command);
}

void Worker::adopt(const Adoption& adoption) {
  Socket* socket = nullptr;
  const Status status = lane_.port.attach(adoption.raw, engine_.options().socket, &socket);
  if (status != Status::ok) {
    engine_.give_connection();
    refuse(status, adoption.peer);
    return;
  }
  if (welcome(socket, 0, adoption.listener_id) == nullptr) {
    engine_.give_connection();
    refuse(Status::out_of_memory, adoption.peer);
  }
}

void Worker::refuse(Status status, const Address& peer) {
  add(lane_.counters.refused, 1);
  const std::string text = format_ip(peer);
  const std::array<std::uint32_t, 4> words = {static_cast<std::uint32_t>(status), peer.port, family_number(peer.family),
                                              static_cast<std::uint32_t>(text.size())};
  lane_.mailbox.control(RecordKind::refused, 0, 0, {bytes_of(words), bytes_of(text)});
}

ClientContext* Worker::welcome(Socket* socket, std::uint32_t token, std::uint32_t listener_id) {
  ClientContext* context = engine_.table().acquire(lane_, lane_.index);
  if (context == nullptr) {
    lane_.port.close_socket(socket, CloseMode::reset);
    return nullptr;
  }
  engine_.enter_busy();
  bool last = false;
  {
    ScopedLock guard(context->lock);
    context->enter(Reference::command);  // keeps it alive until this block has done with it
    context->socket = socket;
    announce(*context, token, listener_id);
    engine_.table().publish(context);
    context->unserved = engine_.options().deliver_to_workers;
    // close() walks the table after it set its flag: either it saw this context, or the flag is seen here.
    if (engine_.closing()) {
      begin_ending(*context, {DisconnectedBy::local, Status::closed, Syscall::none, {}},
                   {true, true, engine_.close_grace_ms()});
    } else {
      if (context->unserved) assign(*context);
      wait(*context);
    }
    last = context->leave(Reference::command);
  }
  if (last) publish_disconnected(*context);
  return context;
}

void Worker::announce(ClientContext& context, std::uint32_t token, std::uint32_t listener_id) {
  write_connected(lane_.mailbox, context, token, listener_id, &context);
  add(lane_.counters.connected, 1);
}

void Worker::write_connected(Mailbox& mailbox, ClientContext& context, std::uint32_t token, std::uint32_t listener_id,
                             ClientContext* subject) {
  const Address peer = lane_.port.peer_address(context.socket);
  const Address local = lane_.port.local_address(context.socket);
  const std::string peer_text = format_ip(peer);
  const std::string local_text = format_ip(local);
  const Family family = peer.family == Family::none ? local.family : peer.family;
  const std::array<std::uint32_t, 8> words = {context.generation,
                                              token,
                                              listener_id,
                                              peer.port,
                                              local.port,
                                              family_number(family),
                                              static_cast<std::uint32_t>(peer_text.size()),
                                              static_cast<std::uint32_t>(local_text.size())};
  mailbox.control(RecordKind::connected, context.slot, 0, {bytes_of(words), bytes_of(peer_text), bytes_of(local_text)},
                  subject);
}

}  // namespace iocp
