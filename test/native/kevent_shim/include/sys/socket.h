// The sendfile() of macOS and of FreeBSD beside Linux's sockets, so that the files that call them also run on Linux.
// They differ in their parameters, so both can be declared at once.
#pragma once

#include_next <sys/socket.h>

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

struct sf_hdtr {
  iovec* headers;
  int hdr_cnt;
  iovec* trailers;
  int trl_cnt;
};

// macOS: *length is what to send in, headers included (0: to the end of the file), and what was sent out.
int sendfile(int file, int socket, off_t offset, off_t* length, sf_hdtr* around, int flags);
// FreeBSD: `length` counts the file only (0: to its end), *sent all that went out.
int sendfile(int file, int socket, off_t offset, std::size_t length, sf_hdtr* around, off_t* sent, int flags);
