// Unix-domain sockets, where the backend has them. A backend without them says so and is done.
#include <filesystem>
#include <string>

#include "conformance/world.h"

namespace conformance {
namespace {

// Removed by the listener that is closed; the seed keeps runs at the same time apart.
std::string unused_path() {
  static int counter = 0;
  const std::string name = "iocp-" + std::to_string(test::seed()) + "-" + std::to_string(++counter) + ".sock";
  return (std::filesystem::temp_directory_path() / name).string();
}

iocp::ListenOptions on_path(const std::string& path) {
  iocp::ListenOptions options;
  options.address.family = Family::local;
  options.path = path;
  return options;
}

bool has_local_sockets(World& world) {
  Socket* socket = nullptr;
  const Status status = world.port.open_stream(Family::local, {}, nullptr, &socket);
  REQUIRE(status == Status::ok || status == Status::address_family_not_supported || status == Status::not_supported);
  if (status == Status::ok) world.port.close_socket(socket, CloseMode::normal);
  return status == Status::ok;
}

Status connect_to(World& world, Socket* client, const std::string& path) {
  Operation& connecting = world.operation();
  Address to;
  to.family = Family::local;
  world.connect(connecting, client, to, path);
  return world.result(connecting).status;
}

}  // namespace

TEST("bytes travel both ways over a Unix-domain socket, and its end is seen") {
  World world;
  if (!has_local_sockets(world)) return;
  const std::string path = unused_path();
  const Listener listener = world.listen(on_path(path));
  CHECK_EQ(listener.address.family, Family::local);
  AcceptOperation& accepting = world.accept_operation();
  world.accept(accepting, listener.socket);
  Socket* const client = world.open_stream(Family::local);
  REQUIRE(connect_to(world, client, path) == Status::ok);
  REQUIRE(world.result(accepting).status == Status::ok);
  CHECK_EQ(accepting.peer.family, Family::local);
  Socket* const server = world.attach(accepting);
  world.send_all(client, text("there"));
  CHECK(world.receive(server, 5) == text("there"));
  world.send_all(server, text("back"));
  CHECK(world.receive(client, 4) == text("back"));
  world.close(server);
  Bytes rest;
  CHECK_EQ(world.receive_to_the_end(client, &rest).status, Status::ok);
  CHECK(rest.empty());
}

TEST("a path in use is refused to a second listener, and free again once the first is closed") {
  World world;
  if (!has_local_sockets(world)) return;
  const std::string path = unused_path();
  const Listener first = world.listen(on_path(path));
  Socket* second = nullptr;
  Address bound;
  CHECK_EQ(world.port.listen(on_path(path), &second, &bound), Status::address_in_use);
  world.close(first.socket);
  CHECK(world.listen(on_path(path)).socket != nullptr);
}

TEST("connecting to a path where nobody listens fails with not_found") {
  World world;
  if (!has_local_sockets(world)) return;
  CHECK_EQ(connect_to(world, world.open_stream(Family::local), unused_path()), Status::not_found);
}

TEST("a path that is too long is refused by listen and by connect, and an empty one too") {
  World world;
  if (!has_local_sockets(world)) return;
  const std::string path(500, 'p');
  Socket* listener = nullptr;
  Address bound;
  CHECK_EQ(world.port.listen(on_path(path), &listener, &bound), Status::name_too_long);
  CHECK_EQ(world.port.listen(on_path(""), &listener, &bound), Status::invalid_argument);
  CHECK_EQ(connect_to(world, world.open_stream(Family::local), path), Status::name_too_long);
}

}  // namespace conformance
