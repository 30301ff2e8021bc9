// What a library exports, for programs that own import slots: a dllimport declaration makes the compiler call through
// the pointer __imp_X, which an import library defines. Where a program defines it, the linker finds that first, and
// the real function is found here.
#pragma once

#include <windows.h>

#include <cstdlib>
#include <cstring>

namespace windows_test {

// Of a library that is loaded. Ends the process when there is no such export.
template <typename Function>
Function real(const wchar_t* library, const char* name) {
  const FARPROC found = GetProcAddress(GetModuleHandleW(library), name);
  if (found == nullptr) std::abort();
  // One function pointer as another, which is what GetProcAddress() is for.
  Function function = nullptr;
  static_assert(sizeof(function) == sizeof(found));
  std::memcpy(&function, &found, sizeof(function));
  return function;
}

}  // namespace windows_test
