// The socket calls that are alike on every POSIX system.
#include "port/posix/socket_posix.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstring>

#include "port/check.h"
#include "port/posix/errno_status.h"

namespace iocp {
namespace {

constexpr std::size_t kPathOffset = offsetof(sockaddr_un, sun_path);

int domain_of(Family family) {
  switch (family) {
    case Family::ipv4:
      return AF_INET;
    case Family::ipv6:
      return AF_INET6;
    case Family::local:
      return AF_UNIX;
    case Family::none:
      return AF_UNSPEC;
  }
  IOCP_UNREACHABLE("a Family outside the enumeration");
}

template <typename T>
void store(const T& value, std::size_t length, SocketAddress* out) {
  std::memcpy(&out->storage, &value, sizeof(value));
  out->length = static_cast<socklen_t>(length);
}

Status local_to_socket_address(const std::string& path, SocketAddress* out) {
  sockaddr_un local = {};
  local.sun_family = AF_UNIX;
  if (path.empty()) return Status::invalid_argument;
  // A leading NUL names a socket in Linux's abstract namespace: no terminator, every byte counts.
  const bool abstract = kAbstractPaths && path.front() == '\0';
  if (!abstract && path.find('\0') != std::string::npos) return Status::invalid_argument;
  const std::size_t length = path.size() + (abstract ? 0 : 1);
  if (length > sizeof(local.sun_path)) return Status::name_too_long;
  std::memcpy(local.sun_path, path.data(), path.size());
  store(local, kPathOffset + length, out);
  return Status::ok;
}

Status prepare_listener(int fd, const ListenOptions& options) {
  const Family family = options.address.family;
  if (family == Family::local) return Status::ok;
  // On POSIX systems this allows a restart while old connections linger; two listeners still exclude each other.
  Status status = set_socket_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (status == Status::ok && family == Family::ipv6) {
    status = set_socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only ? 1 : 0);
  }
  if (status == Status::ok && options.reuse_port) status = enable_reuse_port(fd);
  return status;
}

}  // namespace

void close_descriptor(int fd) noexcept {
  // Anything else (EIO, ENOSPC) belongs to files with delayed writes; EBADF is a fault of ours.
  if (::close(fd) != 0) IOCP_CHECK(errno == EINTR || errno == ECONNRESET);
}

Status to_socket_address(const Address& address, const std::string& path, SocketAddress* out) noexcept {
  switch (address.family) {
    case Family::none:
      return Status::invalid_argument;
    case Family::local:
      return local_to_socket_address(path, out);
    case Family::ipv4: {
      sockaddr_in ipv4 = {};
      ipv4.sin_family = AF_INET;
      ipv4.sin_port = htons(address.port);
      std::memcpy(&ipv4.sin_addr, address.ip.data(), sizeof(ipv4.sin_addr));
      store(ipv4, sizeof(ipv4), out);
      return Status::ok;
    }
    case Family::ipv6: {
      sockaddr_in6 ipv6 = {};
      ipv6.sin6_family = AF_INET6;
      ipv6.sin6_port = htons(address.port);
      ipv6.sin6_scope_id = address.scope_id;
      std::memcpy(&ipv6.sin6_addr, address.ip.data(), sizeof(ipv6.sin6_addr));
      store(ipv6, sizeof(ipv6), out);
      return Status::ok;
    }
  }
  IOCP_UNREACHABLE("a Family outside the enumeration");
}

Address from_socket_address(const SocketAddress& address) noexcept {
  Address result;
  // The length is looked at first: an unnamed Unix-domain peer comes with no family on some systems.
  if (address.length < sizeof(sa_family_t)) return result;
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, &address.storage, sizeof(ipv4));
    result.family = Family::ipv4;
    result.port = ntohs(ipv4.sin_port);
    std::memcpy(result.ip.data(), &ipv4.sin_addr, sizeof(ipv4.sin_addr));
  } else if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 ipv6;
    std::memcpy(&ipv6, &address.storage, sizeof(ipv6));
    result.family = Family::ipv6;
    result.port = ntohs(ipv6.sin6_port);
    result.scope_id = ipv6.sin6_scope_id;
    std::memcpy(result.ip.data(), &ipv6.sin6_addr, sizeof(ipv6.sin6_addr));
  } else if (address.storage.ss_family == AF_UNIX) {
    result.family = Family::local;
  }
  return result;
}

Address local_address_of(int fd) noexcept {
  SocketAddress address;
  if (::getsockname(fd, address.get(), &address.length) != 0) return {};
  return from_socket_address(address);
}

Address peer_address_of(int fd) noexcept {
  SocketAddress address;
  // ENOTCONN once the peer is gone: the address is then no longer known.
  if (::getpeername(fd, address.get(), &address.length) != 0) return {};
  return from_socket_address(address);
}

Status open_listener(const ListenOptions& options, Descriptor* out) noexcept {
  SocketAddress address;
  Status status = to_socket_address(options.address, options.path, &address);
  if (status != Status::ok) return status;
  Descriptor fd(create_socket(domain_of(options.address.family)));
  if (!fd.valid()) return status_from_errno(errno);
  status = prepare_listener(fd.get(), options);
  if (status != Status::ok) return status;
  if (::bind(fd.get(), address.get(), address.length) != 0) return status_from_errno(errno);
  const int backlog = static_cast<int>(std::min<std::uint32_t>(options.backlog, INT_MAX));
  if (::listen(fd.get(), backlog) != 0) {
    status = status_from_errno(errno);
    unlink_listener_path(fd.get());
    return status;
  }
  *out = std::move(fd);
  return Status::ok;
}

Status open_unconnected(Family family, const SocketOptions& options, const Address* local, Descriptor* out) noexcept {
  if (family == Family::none) return Status::invalid_argument;
  Descriptor fd(create_socket(domain_of(family)));
  if (!fd.valid()) return status_from_errno(errno);
  if (family != Family::local) {
    const Status status = apply_stream_options(fd.get(), options);
    if (status != Status::ok) return status;
  }
  if (local != nullptr) {
    SocketAddress address;
    const Status status = to_socket_address(*local, std::string(), &address);
    if (status != Status::ok) return status;
    if (::bind(fd.get(), address.get(), address.length) != 0) return status_from_errno(errno);
  }
  *out = std::move(fd);
  return Status::ok;
}

void unlink_listener_path(int fd) noexcept {
  SocketAddress address;
  if (::getsockname(fd, address.get(), &address.length) != 0) return;
  if (address.storage.ss_family != AF_UNIX || address.length <= kPathOffset) return;
  sockaddr_un local = {};
  std::memcpy(&local, &address.storage, sizeof(local));
  if (local.sun_path[0] == '\0') return;
  // One byte more than sun_path: Linux accepts a path that fills it to the last byte.
  char path[sizeof(local.sun_path) + 1] = {};
  std::memcpy(path, local.sun_path, sizeof(local.sun_path));
  // Whoever removed the file before us has done no harm, and nobody could be told otherwise.
  if (::unlink(path) != 0) return;
}

Status set_socket_option(int fd, int level, int name, int value) noexcept {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? Status::ok : status_from_errno(errno);
}

Status take_socket_error(int fd) noexcept {
  int error = 0;
  socklen_t length = sizeof(error);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  return status_from_errno(error);
}

void make_close_reset(int fd) noexcept {
  const linger now = {1, 0};
  // EINVAL on some systems when the connection is already gone: then there is nothing left to reset.
  const int result = ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  IOCP_CHECK(result == 0 || errno == EINVAL);
}

int open_spare_descriptor() noexcept { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace iocp
