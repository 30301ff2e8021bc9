// Makes closing safe under Wine, for programs that close sockets while several threads do I/O on them; elsewhere
// nothing is changed. A program that links this owns the import slot through which the port calls closesocket().
//
// Presumably, for Wine's sources read so: when bytes arrive for a pending request, Wine interrupts the thread that made
// it, and that thread carries the request out, on the number of the socket. A cancellation passes over a request that
// is on this way. If meanwhile another thread has closed the socket and its number is another one's, there may be
// nothing to read: the request is pending again, of a socket that is gone, and nobody is ever told its end.
// docs/windows.md has what was seen. Windows knows a request by the socket itself.
#include <winsock2.h>
// These need the types above.
#include <windows.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>

#include "windows/imports.h"

namespace {

using Clock = std::chrono::steady_clock;

// For the interrupted thread to get its turn on a busy machine.
constexpr std::chrono::milliseconds kLate{50};

int close_now(SOCKET socket) {
  static const auto call = windows_test::real<decltype(&closesocket)>(L"ws2_32.dll", "closesocket");
  return call(socket);
}

bool under_wine() {
  static const bool wine = GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != nullptr;
  return wine;
}

// Closes what it is given a little later, and cancels anew before that.
class Closer {
 public:
  Closer() {
    std::thread([this] { loop(); }).detach();
  }

  void add(SOCKET socket) {
    const std::lock_guard guard(mutex_);
    waiting_.push_back({socket, Clock::now() + kLate});
    added_.notify_one();
  }

 private:
  struct Waiting {
    SOCKET socket;
    Clock::time_point due;
  };

  [[noreturn]] void loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      added_.wait(lock, [this] { return !waiting_.empty(); });
      const Waiting next = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      std::this_thread::sleep_until(next.due);
      static_cast<void>(CancelIoEx(reinterpret_cast<HANDLE>(next.socket), nullptr));
      if (close_now(next.socket) != 0) std::abort();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable added_;
  std::deque<Waiting> waiting_;
};

int WSAAPI close_late(SOCKET socket) {
  if (!under_wine()) return close_now(socket);
  static auto* const closer = new Closer;  // its thread ends with the process
  closer->add(socket);
  return 0;
}

}  // namespace

extern "C" {
extern decltype(&closesocket) const __imp_closesocket;
decltype(&closesocket) const __imp_closesocket = &close_late;
}
