// For Wine only: the one function of bcryptprimitives.dll that Rust's standard library calls and Wine 8 lacks. The
// tests' bundler needs it; neither the engine nor the addon does.
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);  // RtlGenRandom, in advapi32

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length) {
  const SIZE_T most = 1 << 28;
  while (length > 0) {
    const ULONG part = (ULONG)(length < most ? length : most);
    if (!SystemFunction036(buffer, part)) return FALSE;
    buffer += part;
    length -= part;
  }
  return TRUE;
}
