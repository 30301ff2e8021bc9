// The yardstick of bench/files.mjs: sends the file named on the command line to whoever connects, one after the other,
// with sendfile() on a blocking socket. It prints its port on standard output and serves until it is killed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int listening() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) fail("socket");
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), bytes) != 0) fail("bind");
  if (listen(listener, 64) != 0) fail("listen");
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) fail("getsockname");
  std::printf("listening %u\n", static_cast<unsigned>(ntohs(address.sin_port)));
  std::fflush(stdout);
  return listener;
}

void send_whole(int descriptor, const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat about = {};
  if (file < 0 || fstat(file, &about) != 0) fail(path);
  off_t offset = 0;
  while (offset < about.st_size) {
    const ssize_t sent = sendfile(descriptor, file, &offset, static_cast<std::size_t>(about.st_size - offset));
    if (sent > 0 || (sent < 0 && errno == EINTR)) continue;
    fail("sendfile");
  }
  if (close(file) != 0) fail("close");
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("iocp_file_sendfile FILE\n", stderr);
    return 2;
  }
  const int listener = listening();
  for (;;) {
    const int descriptor = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor < 0) fail("accept4");
    send_whole(descriptor, arguments[1]);
    if (close(descriptor) != 0) fail("close");
  }
}
