// `iocp/packages`: the typed packages that peers of the original C++ class speak, and those of the extended file
// transfer. Builders make payloads for `send()`, which adds the length; `read` takes what a `package` listener gets.
// Pure functions on bytes: no sockets, no files, no decisions. Reading never throws, whatever a peer sent.

export { type SafeName, safeFileName } from './file-names.js';

/** The byte at the front of a payload. Types that are not listed here are the application's own. */
export const PackageType = {
  text: 0,
  fileInfo: 1,
  startFileTransfer: 2,
  abortFileTransfer: 3,
  fileOffer: 16,
  fileAccept: 17,
  fileRefuse: 18,
  fileChunk: 19,
  fileEnd: 20,
  fileAck: 21,
  fileAbort: 22,
  fileCredit: 23,
} as const;

/** How a transferred file is checked from end to end. */
export type CheckKind = 'none' | 'crc32c';

/** Why a file was refused or given up; on the wire a number, 0 … 65535. */
export const FileCode = {
  ok: 0,
  /** The receiving side does not want it. */
  refused: 1,
  /** Nobody answered in time. */
  timedOut: 2,
  /** The name cannot be used. */
  badName: 3,
  /** Larger than the receiver takes. */
  tooLarge: 4,
  /** As many files as the receiver allows are on their way already. */
  tooMany: 5,
  /** A file of that name is there already. */
  exists: 6,
  /** The receiver's disk is full. */
  noSpace: 7,
  /** The file could not be read or written. */
  ioError: 8,
  /** What arrived is not what was sent. */
  checkFailed: 9,
  /** The file became shorter while it was sent. */
  shrank: 10,
  /** One side gave up. */
  aborted: 11,
  /** A message that makes no sense at this point. */
  protocol: 12,
} as const;

/** What the extended transfer says about a file before it is sent. */
export interface FileOffer {
  /**
   * Names the transfer on its connection: 1 … 2^32 - 1, chosen by the sender of the file. The side that connected
   * takes odd numbers and the side that accepted even ones.
   */
  id: number;
  /** Bytes. */
  size: bigint;
  /** Milliseconds since 1970-01-01 UTC; 0 = not known. */
  modifiedMs: bigint;
  check: CheckKind;
  /** A suggestion of the sender's, not to be trusted: see {@link safeFileName}. */
  name: string;
}

/** What {@link read} found in a payload. */
export type Package =
  | { kind: 'text'; text: string }
  | { kind: 'fileInfo'; size: number; name: string }
  | { kind: 'startFileTransfer' }
  | { kind: 'abortFileTransfer' }
  | ({ kind: 'fileOffer' } & FileOffer)
  | { kind: 'fileAccept'; id: number; offset: bigint }
  | { kind: 'fileRefuse'; id: number; code: number; reason: string }
  | { kind: 'fileChunk'; id: number; bytes: Buffer }
  | { kind: 'fileEnd'; id: number; check: number }
  | { kind: 'fileAck'; id: number; code: number }
  | { kind: 'fileAbort'; id: number; code: number; reason: string }
  | { kind: 'fileCredit'; id: number; bytes: bigint }
  /** A type of the application's own; `type` is 255 when the payload is empty. `body` is a view of the payload. */
  | { kind: 'other'; type: number; body: Buffer }
  /** The type is one of ours and the body is not what it must be. */
  | { kind: 'malformed'; type: number; problem: string };

/** How texts and names of the classic packages are encoded; the original took the machine's code page. */
export type TextEncoding = 'utf8' | 'latin1';

/** Most bytes a file of the classic transfer can have: the original counts them in a signed 32-bit number. */
export const CLASSIC_FILE_BYTES_MAX = 2 ** 31 - 1;
/** What the original's peers accept after the four bytes of length. */
export const CLASSIC_PAYLOAD_BYTES_MAX = 508;

const CHECK_KINDS: readonly CheckKind[] = ['none', 'crc32c'];
const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;
const U64_MAX = 2n ** 64n - 1n;
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

// --- builders -------------------------------------------------------------------------------------------

/** A text, type 0. Throws RangeError for one that holds a NUL, which would end it early. */
export function text(content: string, encoding: TextEncoding = 'utf8'): Buffer {
  return Buffer.concat([Buffer.of(PackageType.text), terminated('text', content, encoding)]);
}

/**
 * The classic announcement of a file, type 1. `size` is in bytes, at most {@link CLASSIC_FILE_BYTES_MAX}; `name` is
 * bare, without a folder. Throws RangeError for anything else.
 */
export function fileInfo(
  file: { size: number; name: string },
  encoding: TextEncoding = 'utf8',
): Buffer {
  const { size, name } = file;
  if (!Number.isInteger(size) || size < 0 || size > CLASSIC_FILE_BYTES_MAX) {
    throw new RangeError(
      `size is ${size}: a classic transfer takes 0 … ${CLASSIC_FILE_BYTES_MAX} bytes`,
    );
  }
  if (/[/\\]/.test(name)) throw new RangeError(`name ${JSON.stringify(name)} has a folder in it`);
  if (name === '') throw new RangeError('name is empty');
  const head = Buffer.alloc(5);
  head[0] = PackageType.fileInfo;
  head.writeUInt32LE(size, 1);
  return Buffer.concat([head, terminated('name', name, encoding)]);
}

/** "Send the file you announced", type 2. */
export function startFileTransfer(): Buffer {
  return Buffer.of(PackageType.startFileTransfer);
}

/** "I do not want the file you announced", type 3. */
export function abortFileTransfer(): Buffer {
  return Buffer.of(PackageType.abortFileTransfer);
}

/** Offers a file, type 16. */
export function fileOffer(offer: FileOffer): Buffer {
  const name = Buffer.from(offer.name, 'utf8');
  const head = headOf(PackageType.fileOffer, offer.id, 17);
  head.writeBigUInt64LE(inRange64('size', offer.size), 5);
  head.writeBigUInt64LE(inRange64('modifiedMs', offer.modifiedMs), 13);
  const check = CHECK_KINDS.indexOf(offer.check);
  if (check < 0) {
    throw new RangeError(`check is ${offer.check}: it may be ${CHECK_KINDS.join(', ')}`);
  }
  head[21] = check;
  return Buffer.concat([head, name]);
}

/** Accepts the offered file `id`, type 17; `offset` is how many bytes of it are there already. */
export function fileAccept(id: number, offset: bigint): Buffer {
  const head = headOf(PackageType.fileAccept, id, 8);
  head.writeBigUInt64LE(inRange64('offset', offset), 5);
  return head;
}

/** Refuses the offered file `id`, type 18; `code` as in {@link FileCode}. */
export function fileRefuse(id: number, code: number, reason = ''): Buffer {
  return coded(PackageType.fileRefuse, id, code, reason);
}

/** A stretch of the file `id`, type 19; the next one in order. Copies `bytes`. */
export function fileChunk(id: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([headOf(PackageType.fileChunk, id, 0), bytes]);
}

/** The end of the file `id`, type 20; `check` covers all of it, resumed bytes included, and is 0 without a check. */
export function fileEnd(id: number, check: number): Buffer {
  const head = headOf(PackageType.fileEnd, id, 4);
  head.writeUInt32LE(inRange('check', check, U32_MAX), 5);
  return head;
}

/** What became of the file `id` at the receiver, type 21; `code` as in {@link FileCode}. */
export function fileAck(id: number, code: number): Buffer {
  return coded(PackageType.fileAck, id, code, '');
}

/** Gives the transfer `id` up, type 22; from either side, at any moment. */
export function fileAbort(id: number, code: number, reason = ''): Buffer {
  return coded(PackageType.fileAbort, id, code, reason);
}

/** The receiver of the file `id` takes `bytes` more, type 23. */
export function fileCredit(id: number, bytes: bigint): Buffer {
  const head = headOf(PackageType.fileCredit, id, 8);
  head.writeBigUInt64LE(inRange64('bytes', bytes), 5);
  return head;
}

/**
 * The bytes as they are on the wire with the default framing, for those who write to a socket of their own:
 * `send()` needs the payload only.
 */
export function frame(payload: Uint8Array): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32LE(inRange('payload.length', payload.length, U32_MAX));
  return Buffer.concat([header, payload]);
}

// --- reading --------------------------------------------------------------------------------------------

/** Takes a payload apart. Never throws; what cannot be is `malformed`, with the reason. */
export function read(payload: Uint8Array, encoding: TextEncoding = 'utf8'): Package {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  if (bytes.length === 0) return { kind: 'other', type: 255, body: bytes };
  const type = bytes[0] as number;
  const body = bytes.subarray(1);
  const reader = readers.get(type);
  if (reader === undefined) return { kind: 'other', type, body };
  try {
    return reader(new Body(body), encoding);
  } catch (problem) {
    if (!(problem instanceof Malformed)) throw problem;
    return { kind: 'malformed', type, problem: problem.message };
  }
}

/** Why a body is not what its type says. Never leaves this file. */
class Malformed extends Error {}

/** Takes the fields of a body one after the other. */
class Body {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u16(field: string): number {
    return this.#bytes.readUInt16LE(this.#take(field, 2));
  }

  u32(field: string): number {
    return this.#bytes.readUInt32LE(this.#take(field, 4));
  }

  u64(field: string): bigint {
    return this.#bytes.readBigUInt64LE(this.#take(field, 8));
  }

  byte(field: string): number {
    return this.#bytes[this.#take(field, 1)] as number;
  }

  id(): number {
    const id = this.u32('id');
    if (id === 0) throw new Malformed('the id 0 is not one');
    return id;
  }

  rest(): Buffer {
    const rest = this.#bytes.subarray(this.#at);
    this.#at = this.#bytes.length;
    return rest;
  }

  /** The rest, which must be UTF-8. */
  utf8(field: string): string {
    return decode(field, this.rest());
  }

  /** The rest up to a NUL, which must be the last byte. */
  terminated(field: string, encoding: TextEncoding): string {
    const rest = this.rest();
    const end = rest.indexOf(0);
    if (end < 0) throw new Malformed(`${field} does not end with a NUL`);
    if (end !== rest.length - 1) {
      throw new Malformed(`${rest.length - 1 - end} bytes follow the NUL that ends ${field}`);
    }
    const content = rest.subarray(0, end);
    return encoding === 'latin1' ? content.toString('latin1') : decode(field, content);
  }

  /** Nothing may follow. */
  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw new Malformed(`${left} bytes follow the last field`);
  }

  #take(field: string, count: number): number {
    const start = this.#at;
    const left = this.#bytes.length - start;
    if (left < count) throw new Malformed(`${field} takes ${count} bytes and ${left} are left`);
    this.#at += count;
    return start;
  }
}

type Reader = (body: Body, encoding: TextEncoding) => Package;

const readers: ReadonlyMap<number, Reader> = new Map<number, Reader>([
  [
    PackageType.text,
    (body, encoding) => ({ kind: 'text', text: body.terminated('text', encoding) }),
  ],
  [PackageType.fileInfo, readFileInfo],
  [PackageType.startFileTransfer, (body) => bare(body, { kind: 'startFileTransfer' })],
  [PackageType.abortFileTransfer, (body) => bare(body, { kind: 'abortFileTransfer' })],
  [PackageType.fileOffer, readFileOffer],
  [
    PackageType.fileAccept,
    (body) => bare(body, { kind: 'fileAccept', id: body.id(), offset: body.u64('offset') }),
  ],
  [PackageType.fileRefuse, (body) => ({ kind: 'fileRefuse', ...readCoded(body) })],
  [PackageType.fileChunk, (body) => ({ kind: 'fileChunk', id: body.id(), bytes: body.rest() })],
  [
    PackageType.fileEnd,
    (body) => bare(body, { kind: 'fileEnd', id: body.id(), check: body.u32('check') }),
  ],
  [
    PackageType.fileAck,
    (body) => bare(body, { kind: 'fileAck', id: body.id(), code: body.u16('code') }),
  ],
  [PackageType.fileAbort, (body) => ({ kind: 'fileAbort', ...readCoded(body) })],
  [
    PackageType.fileCredit,
    (body) => bare(body, { kind: 'fileCredit', id: body.id(), bytes: body.u64('bytes') }),
  ],
]);

function readFileInfo(body: Body, encoding: TextEncoding): Package {
  const size = body.u32('size');
  const name = body.terminated('name', encoding);
  if (name === '') throw new Malformed('name is empty');
  return { kind: 'fileInfo', size, name };
}

function readFileOffer(body: Body): Package {
  const id = body.id();
  const size = body.u64('size');
  const modifiedMs = body.u64('modifiedMs');
  const number = body.byte('check');
  const check = CHECK_KINDS[number];
  if (check === undefined) throw new Malformed(`the check kind ${number} is not known`);
  const name = body.utf8('name');
  if (name === '') throw new Malformed('name is empty');
  return { kind: 'fileOffer', id, size, modifiedMs, check, name };
}

function readCoded(body: Body): { id: number; code: number; reason: string } {
  return { id: body.id(), code: body.u16('code'), reason: body.utf8('reason') };
}

function bare(body: Body, found: Package): Package {
  body.end();
  return found;
}

// --- fields ---------------------------------------------------------------------------------------------

function decode(field: string, bytes: Buffer): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw new Malformed(`${field} is not UTF-8`);
  }
}

function terminated(field: string, content: string, encoding: TextEncoding): Buffer {
  if (content.includes('\0')) throw new RangeError(`${field} holds a NUL, which would end it`);
  return Buffer.concat([Buffer.from(content, encoding), Buffer.alloc(1)]);
}

/** Type and id, and `more` zero bytes behind them. */
function headOf(type: number, id: number, more: number): Buffer {
  const head = Buffer.alloc(5 + more);
  head[0] = type;
  if (id === 0) throw new RangeError(`id is 0: it may be 1 … ${U32_MAX}`);
  head.writeUInt32LE(inRange('id', id, U32_MAX), 1);
  return head;
}

function coded(type: number, id: number, code: number, reason: string): Buffer {
  const head = headOf(type, id, 2);
  head.writeUInt16LE(inRange('code', code, U16_MAX), 5);
  return Buffer.concat([head, Buffer.from(reason, 'utf8')]);
}

function inRange(field: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new RangeError(`${field} is ${value}: it may be 0 … ${max}`);
}

function inRange64(field: string, value: bigint): bigint {
  if (typeof value === 'bigint' && value >= 0n && value <= U64_MAX) return value;
  throw new RangeError(`${field} is ${value}: it may be 0n … ${U64_MAX}n`);
}
