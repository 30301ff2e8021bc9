// How the calls of binding.d.ts read their arguments, which TypeScript has validated, and make their answers.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>

#include "core/engine.h"
#include "port/check.h"

namespace iocp {

inline std::uint32_t word(const Napi::CallbackInfo& info, std::size_t index) {
  return info[index].As<Napi::Number>().Uint32Value();
}

inline bool flag(const Napi::CallbackInfo& info, std::size_t index) { return info[index].As<Napi::Boolean>().Value(); }

inline ConstBytes bytes(const Napi::CallbackInfo& info, std::size_t index) {
  auto array = info[index].As<Napi::Uint8Array>();
  return ConstBytes(array.Data(), array.ByteLength());
}

inline Napi::Value boolean(const Napi::CallbackInfo& info, bool value) { return Napi::Boolean::New(info.Env(), value); }

inline Napi::Value number(const Napi::CallbackInfo& info, double value) { return Napi::Number::New(info.Env(), value); }

inline double family_number(Family family) { return family == Family::ipv4 ? 4 : family == Family::ipv6 ? 6 : 0; }

inline void write_figures(const ContextFigures& figures, Napi::Float64Array out) {
  IOCP_CHECK(out.ElementLength() >= 7);
  double* const to = out.Data();
  to[0] = static_cast<double>(figures.bytes_received);
  to[1] = static_cast<double>(figures.bytes_sent);
  to[2] = static_cast<double>(figures.packages_received);
  to[3] = static_cast<double>(figures.packages_sent);
  to[4] = static_cast<double>(figures.queued_bytes);
  to[5] = figures.peer_ended ? 1 : 0;
  to[6] = figures.connected ? 1 : 0;
}

inline void write_figures(const TcpInfo& figures, Napi::Float64Array out) {
  IOCP_CHECK(out.ElementLength() >= 6);
  double* const to = out.Data();
  to[0] = figures.rtt_us;
  to[1] = figures.rtt_variance_us;
  to[2] = figures.retransmits_total;
  to[3] = figures.congestion_window_segments;
  to[4] = figures.unacknowledged_segments;
  to[5] = static_cast<double>(figures.delivery_rate_bytes_per_second);
}

}  // namespace iocp
