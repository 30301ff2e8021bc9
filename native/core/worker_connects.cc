// Outgoing connections, from the request to a context or to a `connectFailed` record.
//
// A request lives in its lane's map from start_connect() until its one completion. Its timer only cancels; when it
// fires after the completion it finds nothing, because the completion cancels it first.
#include <array>

#include "core/worker.h"
#include "port/check.h"

namespace iocp {

void Worker::connect_failed(std::uint32_t token, Status status, Syscall syscall) {
  const std::array<std::uint32_t, 2> words = {static_cast<std::uint32_t>(status), static_cast<std::uint32_t>(syscall)};
  lane_.mailbox.control(RecordKind::connect_failed, 0, token,
                        {ConstBytes(reinterpret_cast<const std::uint8_t*>(words.data()), sizeof words)});
}

void Worker::start_connect(ConnectRequest* request) {
  std::unique_ptr<ConnectRequest> owned(request);
  Status status = engine_.closing() ? Status::closed : Status::ok;
  if (status == Status::ok && !engine_.take_connection()) status = Status::max_connections;
  if (status != Status::ok) {
    connect_failed(request->token, status, Syscall::connect);
    engine_.leave_busy();
    return;
  }
  const Address* local = request->local.family == Family::none ? nullptr : &request->local;
  status = lane_.port.open_stream(request->to.family, engine_.options().socket, local, &request->socket);
  if (status != Status::ok) {
    engine_.give_connection();
    connect_failed(request->token, status, local == nullptr ? Syscall::socket : Syscall::bind);
    engine_.leave_busy();
    return;
  }
  request->operation.tag = static_cast<std::uint8_t>(Tag::connect);
  request->operation.owner = request;
  request->timer.kind = Timer::Kind::connect;
  request->timer.owner = request;

  ScopedLock guard(lane_.connections_mutex);
  lane_.connects.emplace(request->token, std::move(owned));
  if (request->timeout_ms > 0) lane_.schedule(&request->timer, now_ms_ + request->timeout_ms);
  // The map entry is in place: from here the operation is the port's.
  note(&request->operation,
       lane_.port.submit_connect(&request->operation, request->socket, request->to, request->path));
}

void Worker::on_connect(ConnectRequest* request, Status status) {
  std::unique_ptr<ConnectRequest> owned;
  {
    ScopedLock guard(lane_.connections_mutex);
    lane_.cancel(&request->timer);
    auto node = lane_.connects.extract(request->token);
    IOCP_CHECK(!node.empty());
    owned = std::move(node.mapped());
  }
  if (status == Status::ok) {
    if (welcome(owned->socket, owned->token, 0) == nullptr) {
      engine_.give_connection();
      connect_failed(owned->token, Status::out_of_memory, Syscall::connect);
    }
  } else {
    lane_.port.close_socket(owned->socket, CloseMode::reset);
    engine_.give_connection();
    if (status == Status::cancelled && owned->timed_out) status = Status::timed_out;
    if (status == Status::cancelled && engine_.closing()) status = Status::closed;
    connect_failed(owned->token, status, Syscall::connect);
  }
  engine_.leave_busy();
}

void Worker::on_connect_timer(ConnectRequest* request) {
  ScopedLock guard(lane_.connections_mutex);
  for (const auto& [token, pending] : lane_.connects) {
    if (pending.get() != request) continue;
    request->timed_out = true;
    if (request->operation.phase == OperationPhase::submitted) lane_.port.cancel(&request->operation, request->socket);
    return;
  }
}

void Worker::cancel_connect(std::uint32_t token) {
  ScopedLock guard(lane_.connections_mutex);
  const auto found = lane_.connects.find(token);
  if (found == lane_.connects.end()) return;
  ConnectRequest& request = *found->second;
  if (request.operation.phase == OperationPhase::submitted) lane_.port.cancel(&request.operation, request.socket);
}

void Worker::cancel_connects() {
  ScopedLock guard(lane_.connections_mutex);
  for (const auto& [token, request] : lane_.connects) {
    if (request->operation.phase == OperationPhase::submitted) {
      lane_.port.cancel(&request->operation, request->socket);
    }
  }
}

}  // namespace iocp
