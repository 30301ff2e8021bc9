// Reads the validated option object (binding.d.ts: NativeOptions) into EngineOptions. Translation only: defaults
// and checks are TypeScript's business.
#pragma once

#include <napi.h>

#include "core/engine.h"

namespace iocp {

struct BindingOptions {
  EngineOptions engine;
  std::uint32_t io_threads = 0;  // 0 = stepped by the host's event loop
};

BindingOptions read_options(const Napi::Object& object);

}  // namespace iocp
