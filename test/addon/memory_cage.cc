// A host with a memory cage, such as Electron, for tests on a Node.js that has none: linked into the addon, these stand
// before the host's own functions and refuse external memory as Electron does. Never part of what is published.
#include <node_api.h>

#include <cstddef>

extern "C" {

napi_status napi_create_external_buffer(napi_env, std::size_t, void*, node_api_basic_finalize, void*, napi_value*) {
  return napi_no_external_buffers_allowed;
}

napi_status napi_create_external_arraybuffer(napi_env, void*, std::size_t, node_api_basic_finalize, void*,
                                             napi_value*) {
  return napi_no_external_buffers_allowed;
}

}  // extern "C"
