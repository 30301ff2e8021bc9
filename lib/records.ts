// The layout of event records and of the output batch, as constants the hot paths can inline.
// Never invent a number here: native code decides, and test/js/surface.test.ts compares the two.

/** Bytes of an event record's fixed header: u32 kind, u32 slot, u32 length, u32 extra. */
export const RECORD_HEADER_BYTES = 16;
/** Records start on multiples of this many bytes. */
export const RECORD_ALIGNMENT = 8;
/** Words per row of the `ranges` array: slab index, begin, end, retired. */
export const RANGE_WORDS = 4;
/** Bytes of an output record's header: u32 slot, u32 generation, u32 length, u32 flags. */
export const OUTPUT_HEADER_BYTES = 16;
/** Output payloads are padded to multiples of this many bytes. */
export const OUTPUT_ALIGNMENT = 4;
/** One more than the largest slot, and the factor of the generation in a context's id. */
export const CONNECTIONS_MAX = 2 ** 21;

/** Kinds of event records; the bodies are described in binding.d.ts. */
export const Kind = {
  package: 1,
  large: 2,
  connected: 3,
  ended: 4,
  drain: 5,
  written: 6,
  disconnected: 7,
  refused: 8,
  connectFailed: 9,
  listenerFailed: 10,
  closed: 11,
  leaving: 12,
  file: 13,
  series: 14,
} as const;

/** Flags of an output record; a token for `written` sits above the lowest eight bits. */
export const OutputFlag = {
  raw: 1,
  notify: 2,
  series: 4,
} as const;

/** Tokens of `written` records wrap at this value. */
export const TOKEN_LIMIT = 2 ** 24;

/** The engine's policy numbers for `onOverflow`. */
export const Overflow = { disconnect: 0, drop: 1, throw: 2 } as const;

/** What a `file` record tells; see binding.d.ts. */
export const FileEvent = {
  opened: 1,
  written: 2,
  sent: 3,
  checked: 4,
  finished: 5,
  failed: 6,
} as const;

/** The engine's policy numbers for `onExists`. */
export const OnExists = { refuse: 0, overwrite: 1, rename: 2 } as const;
