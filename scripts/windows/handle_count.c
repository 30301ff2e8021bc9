// Prints how many handles a process has open, for tests that nothing may be left behind. Works on Windows and under
// Wine, whose GetProcessHandleCount() knows nothing.
//   handle_count.exe <process id>
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>
#include <winternl.h>

enum { EXTENDED_HANDLES = 64 };  // SystemExtendedHandleInformation
enum { LENGTH_MISMATCH = (int)0xC0000004 };

typedef struct {
  void* object;
  ULONG_PTR process;
  ULONG_PTR handle;
  ULONG access;
  USHORT trace;
  USHORT type;
  ULONG attributes;
  ULONG reserved;
} OpenHandle;

typedef struct {
  ULONG_PTR count;
  ULONG_PTR reserved;
  OpenHandle handles[];
} OpenHandles;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const ULONG_PTR process = strtoul(argv[1], NULL, 10);
  for (ULONG bytes = 1 << 16; bytes != 0; bytes *= 2) {
    OpenHandles* const all = malloc(bytes);
    if (all == NULL) return 1;
    const NTSTATUS status = NtQuerySystemInformation((SYSTEM_INFORMATION_CLASS)EXTENDED_HANDLES, all, bytes, NULL);
    if (status == LENGTH_MISMATCH) {
      free(all);
      continue;
    }
    if (status != 0) return 1;
    ULONG_PTR found = 0;
    for (ULONG_PTR i = 0; i < all->count; ++i) found += all->handles[i].process == process;
    printf("%lu\n", (unsigned long)found);
    free(all);
    return found == 0;  // a process that runs has some
  }
  return 1;
}
