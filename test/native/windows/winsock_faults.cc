// The import slots, and what is put between the port and Winsock.
#include "windows/winsock_faults.h"

#include <winsock2.h>
// These need the types above.
#include <mswsock.h>
#include <windows.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <random>

#include "windows/imports.h"

namespace windows_test {
namespace {

constexpr ULONG_PTR kInsufficientResources = 0xC000009A;  // STATUS_INSUFFICIENT_RESOURCES

enum class Verdict : std::uint8_t { pass, fail_at_once, fail_later };

// Every request is judged under one lock, which costs nothing next to what Winsock does.
class Judge {
 public:
  void set(const WinsockFaults& faults, std::uint64_t seed) {
    const std::lock_guard guard(mutex_);
    faults_ = faults;
    random_.seed(seed);
    calls_ = {};
  }

  WinsockCalls calls() {
    const std::lock_guard guard(mutex_);
    return calls_;
  }

  Verdict judge(Request request, std::size_t bytes) {
    const std::lock_guard guard(mutex_);
    const auto index = static_cast<std::size_t>(request);
    ++calls_.made[index];
    Verdict verdict = Verdict::pass;
    if (roll(faults_.later[index])) verdict = Verdict::fail_later;
    if (roll(faults_.at_once[index])) verdict = Verdict::fail_at_once;
    if (request == Request::write && bytes > faults_.largest_write_bytes) verdict = Verdict::fail_at_once;
    if (verdict != Verdict::pass) ++calls_.refused[index];
    return verdict;
  }

  void remember_port(HANDLE socket, HANDLE port) {
    const std::lock_guard guard(mutex_);
    ports_[socket] = port;
  }

  HANDLE port_of(HANDLE socket) {
    const std::lock_guard guard(mutex_);
    return ports_[socket];
  }

 private:
  bool roll(std::uint32_t per_mille) { return per_mille != 0 && random_() % 1'000 < per_mille; }

  std::mutex mutex_;
  WinsockFaults faults_;
  WinsockCalls calls_;
  std::mt19937_64 random_;
  std::map<HANDLE, HANDLE> ports_;
};

Judge& judge() {
  static auto* const judge = new Judge;
  return *judge;
}

std::size_t bytes_in(const WSABUF* buffers, DWORD count) {
  std::size_t bytes = 0;
  for (DWORD i = 0; i < count; ++i) bytes += buffers[i].len;
  return bytes;
}

// True: the request goes no further, and the call's answer is that it failed or that it is pending.
bool stopped(Request request, SOCKET socket, std::size_t bytes, OVERLAPPED* overlapped) {
  switch (judge().judge(request, bytes)) {
    case Verdict::pass:
      return false;
    case Verdict::fail_at_once:
      WSASetLastError(WSAENOBUFS);
      return true;
    case Verdict::fail_later: {
      overlapped->Internal = kInsufficientResources;
      const HANDLE port = judge().port_of(reinterpret_cast<HANDLE>(socket));
      // The operation is whoever takes the packet's from this line.
      if (PostQueuedCompletionStatus(port, 0, 0, overlapped) == 0) std::abort();
      WSASetLastError(WSA_IO_PENDING);
      return true;
    }
  }
  std::abort();
}

int WSAAPI watched_recv_overlapped(SOCKET socket, LPWSABUF buffers, DWORD count, LPDWORD received, LPDWORD flags,
                                   LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine) {
  static const auto call = real<decltype(&WSARecv)>(L"ws2_32.dll", "WSARecv");
  const std::size_t bytes = bytes_in(buffers, count);
  const Request request = bytes == 0 ? Request::zero_byte_read : Request::read;
  if (stopped(request, socket, bytes, overlapped)) return SOCKET_ERROR;
  return call(socket, buffers, count, received, flags, overlapped, routine);
}

int WSAAPI watched_send_overlapped(SOCKET socket, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags,
                                   LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine) {
  static const auto call = real<decltype(&WSASend)>(L"ws2_32.dll", "WSASend");
  if (stopped(Request::write, socket, bytes_in(buffers, count), overlapped)) return SOCKET_ERROR;
  return call(socket, buffers, count, sent, flags, overlapped, routine);
}

int WSAAPI watched_recv(SOCKET socket, char* buffer, int length, int flags) {
  static const auto call = real<decltype(&recv)>(L"ws2_32.dll", "recv");
  if (judge().judge(Request::read_now, static_cast<std::size_t>(length)) != Verdict::pass) {
    WSASetLastError(WSAENOBUFS);
    return SOCKET_ERROR;
  }
  return call(socket, buffer, length, flags);
}

LPFN_ACCEPTEX real_accept_ex = nullptr;

BOOL PASCAL watched_accept_ex(SOCKET listener, SOCKET accepted, PVOID output, DWORD data_bytes, DWORD local_bytes,
                              DWORD remote_bytes, LPDWORD received, LPOVERLAPPED overlapped) {
  if (stopped(Request::accept, listener, 0, overlapped)) return FALSE;
  return real_accept_ex(listener, accepted, output, data_bytes, local_bytes, remote_bytes, received, overlapped);
}

// AcceptEx() has no import slot: it is asked for.
int WSAAPI watched_ioctl(SOCKET socket, DWORD code, LPVOID input, DWORD input_bytes, LPVOID output, DWORD output_bytes,
                         LPDWORD returned, LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine) {
  static const auto call = real<decltype(&WSAIoctl)>(L"ws2_32.dll", "WSAIoctl");
  const int result = call(socket, code, input, input_bytes, output, output_bytes, returned, overlapped, routine);
  const GUID accept_ex = WSAID_ACCEPTEX;
  const bool asked = result == 0 && code == SIO_GET_EXTENSION_FUNCTION_POINTER && input_bytes == sizeof(GUID) &&
                     std::memcmp(input, &accept_ex, sizeof(GUID)) == 0;
  if (!asked) return result;
  std::memcpy(&real_accept_ex, output, sizeof(real_accept_ex));
  const LPFN_ACCEPTEX watched = &watched_accept_ex;
  std::memcpy(output, &watched, sizeof(watched));
  return result;
}

std::atomic<std::int64_t> sockets{0};

SOCKET WSAAPI watched_socket(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info, GROUP group, DWORD flags) {
  static const auto call = real<decltype(&WSASocketW)>(L"ws2_32.dll", "WSASocketW");
  const SOCKET made = call(family, type, protocol, info, group, flags);
  if (made != INVALID_SOCKET) sockets.fetch_add(1);
  return made;
}

int WSAAPI watched_close(SOCKET socket) {
  static const auto call = real<decltype(&closesocket)>(L"ws2_32.dll", "closesocket");
  const int result = call(socket);
  if (result == 0) sockets.fetch_sub(1);
  return result;
}

HANDLE WINAPI watched_create_port(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads) {
  static const auto call = real<decltype(&CreateIoCompletionPort)>(L"kernel32.dll", "CreateIoCompletionPort");
  const HANDLE result = call(file, port, key, threads);
  if (file != INVALID_HANDLE_VALUE && result != nullptr) judge().remember_port(file, port);
  return result;
}

}  // namespace

void set_faults(const WinsockFaults& faults, std::uint64_t seed) { judge().set(faults, seed); }

WinsockCalls winsock_calls() { return judge().calls(); }

std::int64_t open_sockets() { return sockets.load(); }

}  // namespace windows_test

// The slots; imports.h says how.
extern "C" {
extern decltype(&WSARecv) const __imp_WSARecv;
extern decltype(&WSASend) const __imp_WSASend;
extern decltype(&recv) const __imp_recv;
extern decltype(&WSAIoctl) const __imp_WSAIoctl;
extern decltype(&WSASocketW) const __imp_WSASocketW;
extern decltype(&closesocket) const __imp_closesocket;
extern decltype(&CreateIoCompletionPort) const __imp_CreateIoCompletionPort;
decltype(&WSARecv) const __imp_WSARecv = &windows_test::watched_recv_overlapped;
decltype(&WSASend) const __imp_WSASend = &windows_test::watched_send_overlapped;
decltype(&recv) const __imp_recv = &windows_test::watched_recv;
decltype(&WSAIoctl) const __imp_WSAIoctl = &windows_test::watched_ioctl;
decltype(&WSASocketW) const __imp_WSASocketW = &windows_test::watched_socket;
decltype(&closesocket) const __imp_closesocket = &windows_test::watched_close;
decltype(&CreateIoCompletionPort) const __imp_CreateIoCompletionPort = &windows_test::watched_create_port;
}
