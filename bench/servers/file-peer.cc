// The plain peer of bench/files.mjs: reads a file from a server and throws it away.
//   iocp_file_peer PORT BYTES raw|classic
// raw: the server sends as soon as it is connected. classic: it announces the file in a package first, and gets the
// original class' StartFileTransfer for an answer. Prints the seconds from the connection to the last byte.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int connected(std::uint16_t port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) fail("socket");
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("connect");
  return descriptor;
}

// At most `count` bytes; ends the program when the server does.
std::size_t receive(int descriptor, std::uint8_t* bytes, std::size_t count, int flags) {
  for (;;) {
    const ssize_t received = recv(descriptor, bytes, count, flags);
    if (received > 0) return static_cast<std::size_t>(received);
    if (received < 0 && errno == EINTR) continue;
    fail("recv");
  }
}

// Takes the announcement and asks for the file.
void ask(int descriptor) {
  std::array<std::uint8_t, 512> package = {};
  receive(descriptor, package.data(), 4, MSG_WAITALL);
  const std::size_t length = static_cast<std::size_t>(package[0]) | static_cast<std::size_t>(package[1]) << 8;
  if (length > package.size()) fail("announcement");
  receive(descriptor, package.data(), length, MSG_WAITALL);
  const std::array<std::uint8_t, 5> start = {1, 0, 0, 0, 2};
  if (send(descriptor, start.data(), start.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(start.size())) fail("send");
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::fputs("iocp_file_peer PORT BYTES raw|classic\n", stderr);
    return 2;
  }
  const int descriptor = connected(static_cast<std::uint16_t>(std::strtoul(arguments[1], nullptr, 10)));
  const std::size_t bytes = std::strtoull(arguments[2], nullptr, 10);
  std::vector<std::uint8_t> buffer(std::size_t{1} << 20);
  const auto begin = std::chrono::steady_clock::now();
  if (std::strcmp(arguments[3], "classic") == 0) ask(descriptor);
  for (std::size_t left = bytes; left > 0;) {
    left -= receive(descriptor, buffer.data(), left < buffer.size() ? left : buffer.size(), 0);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::printf("%.6f\n", seconds.count());
  return close(descriptor) == 0 ? 0 : 1;
}
