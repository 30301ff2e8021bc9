// What the cases with two whole engines in one process have in common: their options, and the orderly end of both.
#pragma once

#include <cstdint>
#include <string>

#include "stress/owner.h"

namespace stress {

constexpr std::uint32_t kEngineGraceMs = 5'000;

// Where workers share a port there is one lane, and that many threads step it together.
iocp::EngineOptions options_for(std::uint32_t lanes, std::uint32_t pending_reads, bool zero_byte_reads);
std::string description(const iocp::EngineOptions& options);

// Connects so many times, with tokens from 1.
void connect(Owner& owner, const iocp::Address& server, std::uint32_t count);
// Closes the engine and checks what it then says of itself.
void close(Owner& owner);
// The end of every case: the books are in order and nothing is left.
void stop_and_check(Owner& owner);

// Messages of all sizes there and back on a few connections, each once and in order. Both engines stop in the end.
void echo(const iocp::EngineOptions& options, std::uint32_t messages);

}  // namespace stress
