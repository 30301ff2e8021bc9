// The one table from errno to Status for POSIX systems: sockets and files.
#include "port/posix/errno_status.h"

#include <cerrno>

namespace iocp {

Status status_from_errno(int error) noexcept {
  // One number on some systems, two on others: a switch could not list both.
  if (error == EAGAIN || error == EWOULDBLOCK) return Status::would_block;
  if (error == ENOTSUP || error == EOPNOTSUPP) return Status::not_supported;
  switch (error) {
    case 0:
      return Status::ok;
    case ECANCELED:
      return Status::cancelled;
    case EACCES:
    case EROFS:
      return Status::access_denied;
    case EPERM:
      return Status::not_permitted;
    case EADDRINUSE:
      return Status::address_in_use;
    case EADDRNOTAVAIL:
      return Status::address_not_available;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
      return Status::address_family_not_supported;
    case EINVAL:
    case EISCONN:
      return Status::invalid_argument;
    case ENOPROTOOPT:
      return Status::not_supported;
    case ECONNREFUSED:
      return Status::connection_refused;
    case ECONNRESET:
    case ENETRESET:
      return Status::connection_reset;
    case ECONNABORTED:
      return Status::connection_aborted;
    case EPIPE:
    case ESHUTDOWN:
      return Status::broken_pipe;
    case ENOTCONN:
      return Status::not_connected;
    case ETIMEDOUT:
      return Status::timed_out;
    case ENETDOWN:
      return Status::network_down;
    case ENETUNREACH:
      return Status::network_unreachable;
    case EHOSTUNREACH:
    case EHOSTDOWN:
      return Status::host_unreachable;
    case ENOBUFS:
      return Status::no_buffer_space;
    case ENOMEM:
      return Status::out_of_memory;
    case EMFILE:
      return Status::too_many_open_files;
    case ENFILE:
      return Status::file_table_full;
    case ENOENT:
    case ENOTDIR:
      return Status::not_found;
    case ENAMETOOLONG:
      return Status::name_too_long;
    case EIO:
      return Status::io_error;
    case EEXIST:
    case ENOTEMPTY:
      return Status::already_exists;
    case EISDIR:
      return Status::is_a_directory;
    // A quota is a disk of one's own that is full.
    case ENOSPC:
    case EDQUOT:
      return Status::no_space;
    case EFBIG:
    case EOVERFLOW:
      return Status::file_too_large;
    case ELOOP:
      return Status::too_many_links;
    case EBUSY:
    case ETXTBSY:
      return Status::resource_busy;
    default:
      return Status::unknown_system_error;
  }
}

}  // namespace iocp
