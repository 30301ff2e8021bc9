// Reads the validated option object (binding.d.ts: NativeOptions) into EngineOptions. Translation only: defaults
// and checks are TypeScript's business.
#pragma once

#include <napi.h>

#include "core/engine.h"

namespace iocp {

struct BindingOptions {
  EngineOptions engine;
  std::uint32_t io_threads = 0;  // 0 = stepped by the host's event loop
  bool adaptive = false;         // … or by one I/O thread, whichever suits the load
  std::uint32_t processors = 1;
};

BindingOptions read_options(const Napi::Object& object);

}  // namespace iocp
