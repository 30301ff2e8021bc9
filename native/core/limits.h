// Every fixed size of the engine in one place, with its unit in its name. Sizes a user can set are not here:
// they are fields of EngineOptions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace iocp {

// A context id is generation * 2^21 + slot, which keeps it inside JavaScript's safe integers (2^53).
constexpr std::uint32_t kSlotBits = 21;
constexpr std::uint32_t kConnectionsMax = 1u << kSlotBits;

constexpr std::uint32_t kIoThreadsMax = 256;

// What one non-blocking read may fetch. One such buffer per worker, shared by all its contexts.
constexpr std::size_t kScratchBytes = 64 * 1024;
// Bytes read from one context before the others get their turn.
constexpr std::size_t kReadBudgetBytes = 256 * 1024;
// A pooled buffer that a pending (overlapped) read fills.
constexpr std::size_t kReadBufferBytes = 16 * 1024;
// … when one is all that waits for a busy context. A package of 4 KiB fits with its header, or it would cost two reads.
constexpr std::size_t kBusyBufferBytes = 8 * 1024;
// A pooled buffer that collects small outgoing packages of one context.
constexpr std::size_t kSendBufferBytes = 4 * 1024;
// An outgoing payload above this gets memory of its own exact size instead of several pooled buffers.
constexpr std::size_t kSendCopyMax = 2 * 1024;

// A payload above this does not travel inside a slab: it arrives in memory of its own.
constexpr std::size_t kInlinePayloadMax = 16 * 1024;
// A slab with less room than this is not read into: so short a read would often be followed by another.
constexpr std::size_t kReadInPlaceMin = 4 * 1024;
// Payload bytes outside slabs that may wait for JavaScript, per lane, before reading stops.
constexpr std::size_t kLargeWaitingBytesMax = 4 * 1024 * 1024;
constexpr std::size_t kSlabBytesMin = 32 * 1024;
// Pooled memory that was not wanted for so long is given back.
constexpr std::uint64_t kPoolIdleNs = 1'000'000'000;
constexpr std::uint32_t kSlabIndexMax = 1023;
// Capacity a partly received large package gets at first: a payload of 128 KiB and its header. It grows to so many
// times what really arrives, so that a header alone cannot claim megabytes, unless the last package had them.
constexpr std::size_t kPartialBytesFirst = 128 * 1024 + 128;
constexpr std::size_t kPartialGrowth = 8;

// What large payloads are received into: eight of 64 KiB with their headers. Whoever keeps a payload keeps its arena.
constexpr std::size_t kArenaBytes = 516 * 1024;
// The longest block in an arena with others: a package of 128 KiB and the bytes read beyond it. A longer one has an
// arena of its own.
constexpr std::size_t kSharedBlockMax = kPartialBytesFirst + 128;
// V8 collects young Buffers when they hold 32 MiB; others are being received into or read.
constexpr std::size_t kIdleArenaBytes = 48 * 1024 * 1024;
// An arena for one payload alone has so many bytes, or a power of two times that, and some more for what is received
// with it: its header, and what is read beyond it.
constexpr std::size_t kOwnArenaBytesMin = 256 * 1024;
constexpr std::size_t kOwnArenaBytesMax = 16 * 1024 * 1024;
constexpr std::size_t kOwnArenaExtraBytes = 4 * 1024;

// Where large packages follow each other: what one read may fetch of them.
constexpr std::size_t kRunReadBytes = 256 * 1024;

// A chunk of a file among other packages: long enough to be cheap, short enough not to keep them waiting.
constexpr std::uint64_t kFileChunkBytes = 256 * 1024;
// A buffer of raw file bytes on their way to the disk.
constexpr std::size_t kFileBufferBytes = 256 * 1024;
// Bytes of one raw run that may be on their way to the disk before its context is not read from, and when it is again.
constexpr std::uint64_t kToDiskMax = 4 * 1024 * 1024;
constexpr std::uint64_t kToDiskLow = 2 * 1024 * 1024;
// The owner hears of written bytes so often.
constexpr std::uint64_t kWrittenStepBytes = 1024 * 1024;
// What the disk queue reads at a time when it computes a check.
constexpr std::size_t kCheckBytes = 256 * 1024;

constexpr std::uint32_t kPendingReadsMax = 64;
constexpr std::size_t kAcceptsPosted = 8;
constexpr std::size_t kCompletionsPerWait = 256;
// Finished submissions a step reacts to before it looks at the port and the clock again.
constexpr std::size_t kReactionsPerStep = 1024;

// A context that received nothing for this long gives its pending reads back and waits with a zero-byte read.
constexpr std::uint32_t kActiveReadIdleMs = 1'000;
// A context whose zero-byte reads complete within this of each other is busy, and waits with buffers. An overlapped
// read saves a call a turn, and giving it back costs three: busy must mean more than three turns an idle period.
constexpr std::uint32_t kBusyGapMs = 200;
// Turns of reading without a shortage after which a context may keep one more read pending.
constexpr std::uint32_t kTurnsToGrow = 64;
// After a shortage a write takes half as much as the one that failed, but always this much.
constexpr std::uint32_t kLeastWriteBytes = 4 * 1024;
constexpr std::uint32_t kAnyWriteBytes = UINT32_MAX;
// How long an operation that met ENOBUFS, or a listener out of descriptors, rests before it tries again.
constexpr std::uint32_t kRetryDelayMs = 20;

// When an owner that steps its engine has an I/O thread do it, and when it does so itself again (stepping_policy.h).
// The figures behind these are in docs/performance.md.
constexpr std::uint64_t kSteppingWindowMs = 50;
constexpr std::uint32_t kWindowsBeforeThread = 6;
constexpr std::uint32_t kWindowsBeforeOwner = 6;
constexpr std::uint64_t kOwnerBusyPercent = 95;
constexpr std::uint64_t kSteppingSharePercentMax = 35;
constexpr std::uint64_t kOwnerIdlePercent = 75;
constexpr std::uint64_t kSteppingSharePercentMin = 60;
// The first windows of a load, or of a new stepper, are not compared: JavaScript is compiled in the former, and the
// system finds processors for the threads in the latter.
constexpr std::uint32_t kWindowsNotCompared = 3;
// How long a thread is on trial after them, how many packages of those that moved before it must move, in percent, and
// how long the owner steps after it did not, until the next trial.
constexpr std::uint32_t kTrialWindows = 10;
constexpr std::uint32_t kTrialPaysPercent = 98;
constexpr std::uint64_t kTrialRestMinMs = 5'000;
constexpr std::uint64_t kTrialRestMaxMs = 60'000;
// How long an owner looks before its thread sleeps (busy_polling.h), chosen by measurement. A wait that was slept
// through includes falling asleep and waking up, and so counts as short up to twice that.
constexpr std::uint64_t kBusyPollNs = 60'000;
constexpr std::uint64_t kShortWaitNs = 120'000;
// What came later than this although one looked was not worth it, unless the next comes sooner.
constexpr std::uint64_t kBusyPollGoodNs = 30'000;
// Less than this between the last look and the next event is no wait at all.
constexpr std::uint64_t kNoWaitNs = 4'000;
// A short wait counts one, one in vain takes four away: looking goes on while four of five waits are short. It begins
// later than it ends, so that a peer has a few looks' time to get faster by them.
constexpr std::uint32_t kBusyPollScoreMax = 32;
constexpr std::uint32_t kBusyPollMiss = 4;
constexpr std::uint32_t kBusyPollLate = 2;
constexpr std::uint32_t kBusyPollBegins = 24;
constexpr std::uint32_t kBusyPollEnds = 16;
// An owner that has stepped its engine may ask the port once more (asking_again.h): while the score of the last
// answers, one up or down for each, is half of its most. Otherwise one in so many times; and never when the host's loop
// last had its turn longer ago than this, for others wait in it.
constexpr std::uint32_t kAskAgainScoreMax = 8;
constexpr std::uint32_t kAskAgainPays = 4;
constexpr std::uint32_t kAskAgainTrial = 16;
constexpr std::uint64_t kAskAgainNs = 500'000;
// Bytes of received files that keep a processor busy for a twentieth of its time or so.
constexpr std::uint64_t kFileBytesPerMsMany = 200'000;
constexpr std::uint64_t kFileBytesPerMsFew = 100'000;

}  // namespace iocp
