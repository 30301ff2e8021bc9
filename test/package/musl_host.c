// Stands in for a Node.js linked with musl, of which npm has none: loads an addon as such a host would, with every
// symbol bound at once, and asks for its Node-API version. The Node-API functions it offers do nothing.
#include <dlfcn.h>
#include <stdio.h>

#define FUNCTION(name) \
  int name(void) { return 9; } /* napi_generic_failure */
#include "node_api_functions.h"

int main(int count, char** arguments) {
  void* addon = count == 2 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (addon == NULL) {
    fprintf(stderr, "%s\n", count == 2 ? dlerror() : "usage: musl_host addon.node");
    return 1;
  }
  int (*version)(void) = (int (*)(void))dlsym(addon, "node_api_module_get_api_version_v1");
  if (version == NULL || dlsym(addon, "napi_register_module_v1") == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  printf("Node-API %d\n", version());
  return 0;
}
