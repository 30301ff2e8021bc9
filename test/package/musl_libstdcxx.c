// What a libstdc++ that was built for glibc asks of it and musl does not have, so that Bun for musl, which takes
// libstdc++ from its system, runs where only glibc's is at hand. For tests only; nobody may ship it.
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

// Never true: then libstdc++ always uses its locks.
char __libc_single_threaded = 0;

// "Nothing found": the unwinder then asks dl_iterate_phdr(), which musl has.
int _dl_find_object(void* address, void* result) {
  (void)address;
  (void)result;
  return -1;
}

uint32_t arc4random(void) {
  uint32_t number;
  if (getrandom(&number, sizeof(number), 0) != sizeof(number)) abort();
  return number;
}
