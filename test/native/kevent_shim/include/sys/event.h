// The kqueue interface as macOS and FreeBSD declare it, as far as the kqueue backend uses it: for the imitation on
// Linux in kevent_shim.cc. Names and numbers are those of the manual pages kqueue(2) and of FreeBSD's header.
#pragma once

#include <cstdint>
#include <ctime>

struct kevent {
  std::uintptr_t ident;
  short filter;
  unsigned short flags;
  unsigned int fflags;
  std::int64_t data;
  void* udata;
};

constexpr short EVFILT_READ = -1;
constexpr short EVFILT_WRITE = -2;
constexpr short EVFILT_USER = -11;

constexpr unsigned short EV_ADD = 0x0001;
constexpr unsigned short EV_DELETE = 0x0002;
constexpr unsigned short EV_ONESHOT = 0x0010;
constexpr unsigned short EV_CLEAR = 0x0020;
constexpr unsigned short EV_RECEIPT = 0x0040;
constexpr unsigned short EV_ERROR = 0x4000;
constexpr unsigned short EV_EOF = 0x8000;

constexpr unsigned int NOTE_TRIGGER = 0x01000000;

// Takes an ended socket's error out of it for fflags, as other imitations do; a kernel leaves it pending as well. Set
// it while no other thread is in kevent().
extern bool kevent_shim_takes_errors;

int kqueue();
int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events, int event_count,
           const timespec* timeout);
