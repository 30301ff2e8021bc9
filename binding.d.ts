/**
 * The raw addon: what `build/Release/iocp.node` exports. Not a public API: `lib/` is the only caller.
 *
 * Conventions
 * - Arguments were validated in TypeScript; the addon asserts and aborts on nonsense.
 * - Operating errors are returned as a status number (an index into `statuses`; 0 is success), never thrown.
 * - A context is named by `slot` and `generation`; a stale pair is answered with "gone", never with somebody else.
 * - Events travel through *slabs*: memory that JavaScript allocated and lent to the engine. Records in a slab are
 *   little-endian, start on a multiple of 8 bytes, and are described by `RecordKind` below.
 *
 * `test/js/surface.test.ts` checks this file against the built addon.
 */

/** One row per status: `[code as Node.js spells it, message]`. Index 0 is success. */
export const statuses: ReadonlyArray<readonly [code: string, message: string]>;

/** Names of the system calls that reasons and errors refer to, by index; index 0 is the empty string. */
export const syscalls: readonly string[];

/** Names of the figures that `Engine.stats` writes, in order; a dot nests ("port.waits"). */
export const statNames: readonly string[];

/** Name of the completion port this addon was built with: 'epoll', 'iocp', 'kqueue'. */
export const portName: string;

/** Sizes and limits compiled into the addon, compared with the constants of `lib/records.ts` by a test. */
export const layout: {
  /** Bytes of a record's fixed header: u32 kind, u32 slot, u32 length, u32 extra. */
  readonly recordHeaderBytes: number;
  /** Records start on multiples of this many bytes. */
  readonly recordAlignment: number;
  /** A payload above this many bytes does not travel inside a slab but as a `large` payload. */
  readonly inlinePayloadMax: number;
  /** The smallest slab `supply` takes, in bytes. */
  readonly slabBytesMin: number;
  /** Slab indices are 0 … slabIndexMax. */
  readonly slabIndexMax: number;
  /** Words (i32) per row of the `ranges` array: slab index, begin, end, retired. */
  readonly rangeWords: number;
  /** Bytes of a record header in the output batch: u32 slot, u32 generation, u32 length, u32 flags. */
  readonly outputHeaderBytes: number;
  /** Largest `maxConnections`; slots are 0 … connectionsMax - 1. */
  readonly connectionsMax: number;
  /** `RecordKind` by name. */
  readonly records: Readonly<Record<string, number>>;
  /** `OutputFlag` by name. */
  readonly outputFlags: Readonly<Record<string, number>>;
};

/**
 * Kinds of event records. `slot` is in the header unless stated. Words are u32 after the header.
 *
 * | kind | extra | words, then text |
 * |---|---|---|
 * | package = 1 | – | `length` payload bytes |
 * | large = 2 | – | bytes, offset: the payload is the next element of `larges`, or, when bytes is not 0, that part of it |
 * | connected = 3 | – | generation, token (0 = accepted), listener id (0 = outgoing), remote port, local port, family (4, 6, 0 = local), remote text bytes, local text bytes; both texts |
 * | ended = 4 | – | none: the peer sent FIN; answer with `finish` |
 * | drain = 5 | queued bytes | none |
 * | written = 6 | token from the output record | none |
 * | disconnected = 7 | – | by (0 local, 1 peer, 2 guard, 3 error), status, syscall, bytesReceived lo hi, bytesSent lo hi, packagesReceived lo hi, packagesSent lo hi, message text bytes; message (empty = the status' own) |
 * | refused = 8 (no slot) | – | status, remote port, family, text bytes; remote address |
 * | connectFailed = 9 (no slot) | token | status, syscall |
 * | listenerFailed = 10 (no slot) | listener id | status, syscall |
 * | closed = 11 (no slot) | – | contexts that ended cleanly, contexts that were reset |
 * | leaving = 12 | 0 = answer with `release`, 1 = another has it now | none |
 * | file = 13 | token of the transfer | event (`FileEvent`), status, value lo hi, extra lo hi, text bytes; text |
 * | series = 14 | – | no words: packages behind each other, not padded, each payload with as many bytes before it as the framing's header has, the first two of which hold the payload's length (little-endian) |
 *
 * A logical worker (class EngineWorker) gets package, large, connected, ended, drain, leaving and disconnected; for it
 * the token of `connected` is 1 when the context is new to all logical workers, the listener id 1 when there is luggage.
 */
export type RecordKind = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14;

/**
 * What a `file` record tells: 1 opened (source: value = size, extra = modified, ms since 1970; target: value = bytes
 * there already), 2 written (value = bytes on the disk), 3 sent, 4 checked (value = CRC-32C), 5 finished (value =
 * CRC-32C, text = the name it got), 6 failed (status says why; nothing more follows).
 */
export type FileEvent = 1 | 2 | 3 | 4 | 5 | 6;

/** Framing, already validated. Byte counts; `delimiter` non-empty for type 'delimiter'. */
export interface NativeFraming {
  type: 'none' | 'length' | 'varint' | 'delimiter' | 'fixed';
  /** length and varint: bytes before the length field. */
  offset: number;
  /** length: width of the field, 1, 2, 3, 4 or 8 bytes. */
  width: number;
  /** length: byte order of the field. */
  bigEndian: boolean;
  /** length and varint: added to the field's value to get the bytes that follow the field. */
  adjust: number;
  /** length and varint: bytes removed from the front of what the listener gets; -1 = the whole header. delimiter: 1 removes it, 0 keeps it. */
  strip: number;
  /** Largest value of (field + adjust), or of a delimited package without its delimiter, or the fixed length. */
  maxLength: number;
  delimiter: Uint8Array | null;
}

export interface NativeOptions {
  /**
   * 0 = stepped from the JavaScript thread's own event loop; n = that many I/O threads; -1 = by the one or, while that
   * has no time for it, by one thread.
   */
  ioWorkers: number;
  /** Processors this process may use: with one, -1 means 0. */
  processors: number;
  maxConnections: number;
  maxFreeBuffers: number;
  maxFreeContexts: number;
  pendingReads: number;
  zeroByteReads: boolean;
  framing: NativeFraming;
  noDelay: boolean;
  keepAlive: boolean;
  keepAliveInitialDelayMs: number;
  keepAliveIntervalMs: number;
  keepAliveCount: number;
  userTimeoutMs: number;
  highWaterMark: number;
  lowWaterMark: number;
  maxQueuedBytes: number;
  /** Packages of type 19 are chunks of files; needs a length framing that strips its header. */
  fileTransfer: boolean;
  /** 0 = disconnect, 1 = drop, 2 = throw (TypeScript throws; the engine drops what slips through). */
  onOverflow: 0 | 1 | 2;
  /** Packages are for logical workers (class EngineWorker). */
  deliverToWorkers: boolean;
}

/**
 * Called on the JavaScript thread with everything that happened since the last call.
 * `count` rows of `ranges` are valid: [slab index, begin byte, end byte, 1 = the slab will not be used again].
 * `count` 0 = go on after a listener threw. `larges` holds the payloads of the `large` records, in order.
 */
export type Deliver = (count: number, larges: Buffer[] | undefined) => void;

export class Engine {
  /**
   * `ranges`: where the engine writes the rows for `deliver`; `output`: the batch that `flush` reads.
   * Both stay alive as long as the engine.
   */
  constructor(options: NativeOptions, deliver: Deliver, ranges: Int32Array, output: Uint8Array);

  /** What an `EngineWorker` of any environment attaches to; 0 = not started, or destroyed. */
  readonly handle: number;
  /** I/O threads that step for good; 0 = stepped from the JavaScript thread, always or as long as it has time. */
  readonly ioThreads: number;
  /** Lanes that want slabs, at least 1. A context's slot belongs to lane `slot % lanes`. */
  readonly lanes: number;

  /** Opens the port and starts the workers. Status. */
  start(): number;
  /**
   * Makes a slab of so many bytes, always the same number, and lends it to a lane under an index that no slab in use has, until
   * the `retired` row. The Buffer around it is the caller's. Throws when there is no memory for it; undefined = the engine has gone.
   */
  supply(lane: number, index: number, bytes: number): Buffer | undefined;
  /**
   * Queues every package of `output[0, bytes)`. Each record: header, payload, padding to 4 bytes. Flags: 1 = raw (not framed),
   * 2 = answer with a `written` record whose token is `flags >>> 8`, 4 = the body is a series, as in a `series` record; only where
   * the framing's header has two bytes or more, and all of it is made from the length. The engine writes to it. With `more`, and after `broadcast`, an engine that is
   * stepped by its owner writes nothing before the next `flush` without it or the next turn.
   */
  flush(bytes: number, more: boolean): void;
  /** Queues one payload, copied, outside the batch (flush first to keep the order). Flags as above. Status. */
  sendLarge(slot: number, generation: number, payload: Uint8Array, flags: number): number;
  /** Frames once, queues to every live context but `exceptSlots`, or to `onlySlots` (pairs slot, generation); returns how many. */
  broadcast(payload: Uint8Array, exceptSlot: number, only: Uint32Array | null): number;
  /** Exact queued bytes, or -1 = gone. Above the high-water mark it also arms the `drain` record. */
  queued(slot: number, generation: number): number;

  /** Binds and listens. On success `status` is 0. `path` non-empty = Unix-domain socket. */
  listen(
    host: string,
    port: number,
    path: string,
    backlog: number,
    ipv6Only: boolean,
    reusePort: boolean,
  ): { status: number; syscall: number; id: number; address: string; family: number; port: number };
  /** Starts connecting to a numeric address; `connected` (with `token`) or `connectFailed` follows, unless the returned status is not 0. */
  connect(
    token: number,
    host: string,
    port: number,
    path: string,
    localHost: string,
    timeoutMs: number,
  ): number;
  cancelConnect(token: number): void;
  pauseAccept(): void;
  resumeAccept(): void;

  /** False = gone already. `graceful`: flush, FIN, wait up to `graceMs` for the peer's; else reset. */
  disconnect(slot: number, generation: number, graceful: boolean, graceMs: number): boolean;
  /** The answer to `ended`: nothing more will be sent; flush, FIN, close. */
  finish(slot: number, generation: number): void;
  pause(slot: number, generation: number): boolean;
  resume(slot: number, generation: number): boolean;

  /** Stops accepting, ends every context gracefully, resets the rest after `graceMs`; `closed` follows when all is gone. */
  close(graceMs: number): void;
  /** After `closed`: stops the workers and frees everything. Idempotent. */
  destroy(): void;
  /**
   * No I/O thread of this engine runs any more: the process is about to exit. Nothing arrives, and what waits to be sent
   * stays here.
   */
  rest(): void;
  /** It did not exit: the threads run again. Not 0: the system lets none start. */
  rouse(): number;

  /** Writes the figures named by `statNames`. */
  stats(out: Float64Array): void;
  /** Writes bytesReceived, bytesSent, packagesReceived, packagesSent, queuedBytes, peerEnded (0/1), connected (0/1). False = gone. */
  contextStats(slot: number, generation: number, out: Float64Array): boolean;
  /** Writes rtt µs, rtt variance µs, retransmits, congestion window segments, unacknowledged segments, delivery rate B/s. False = gone. */
  tcpInfo(slot: number, generation: number, out: Float64Array): boolean;

  // Files. A transfer is named by a token of JavaScript's, which is free again after `stopFile`; `file` records tell
  // what happens. Byte counts are safe integers, or Infinity for "no limit".

  /** Opens a file to send; `opened` or `failed` follows. False = the context is gone. */
  openSource(token: number, slot: number, generation: number, path: string): boolean;
  /**
   * Opens the partial file `name.part` in `directory`; `opened` or `failed` follows. `onExists`: 0 refuse, 1 overwrite, 2
   * rename. `resume`: go on with what is there. False = the context is gone.
   */
  openTarget(
    token: number,
    slot: number,
    generation: number,
    directory: string,
    name: string,
    size: number,
    onExists: number,
    resume: boolean,
    checked: boolean,
    durable: boolean,
  ): boolean;
  /** Sends bytes [begin, begin + length): raw, or in chunks that name `id` as far as `credit` goes. `sent` follows. False = gone. */
  sendFile(
    token: number,
    raw: boolean,
    id: number,
    begin: number,
    length: number,
    credit: number,
  ): boolean;
  /** Whether what logical workers send to that context waits, until this is called again. */
  holdOthers(slot: number, generation: number, hold: boolean): void;
  /** Computes the CRC-32C of a range of the source; `checked` follows. */
  checkFile(token: number, begin: number, length: number): void;
  /** So many more bytes may be sent, or may arrive. */
  giveCredit(token: number, bytes: number): void;
  /** From now on the next `length` bytes (raw), or the chunks that name `id`, are written. False = gone, or half a package is here. */
  receiveFile(token: number, raw: boolean, id: number, length: number, credit: number): boolean;
  /** Everything was received: compares, and gives the file its name; `finished` or `failed` follows. */
  finishFile(token: number, compare: boolean, check: number): void;
  /** Lets go of the transfer. `keep`: an unfinished file stays under its partial name. */
  stopFile(token: number, keep: boolean): void;
  /** Bytes given to the system, or written to the disk. */
  fileMoved(token: number): number;

  /** Whether the engine keeps the event loop alive; starts referenced. */
  ref(): void;
  unref(): void;
}

/**
 * A logical worker's end of an engine, in any environment of the process. Calls about contexts answer "gone" from the
 * moment the engine is destroyed.
 */
export class EngineWorker {
  /**
   * `worker`: a number no other logical worker of the engine has or had. `onRing` is called when `pump` would find
   * something; it must not throw. `deliver` and `ranges` as for `Engine`.
   */
  constructor(
    handle: number,
    worker: number,
    onRing: () => void,
    deliver: Deliver,
    ranges: Int32Array,
  );
  /** False when there is no such engine, or `destroy` was called. */
  readonly attached: boolean;
  /** Whether it has no contexts, and nothing waits to be delivered. */
  readonly idle: boolean;
  /** As `Engine.supply`, of the one lane 0. */
  supply(index: number, bytes: number): Buffer | undefined;
  /** From now on it is given contexts. */
  serve(): void;
  /** It is given no more; each one that it has gets a `leaving` record. */
  retire(): void;
  /** Calls `deliver` with what waits. True = more waits still: call again in the next turn of the event loop. */
  pump(): boolean;
  /** The answer to `leaving`. `luggage` goes to the next logical worker. False = gone. */
  release(slot: number, generation: number, luggage: Uint8Array | null): boolean;
  /** What came along with the context, once. */
  luggage(slot: number, generation: number): Buffer | undefined;
  /** Queues one package (flags: 1 = raw), to be told to the I/O workers by `flush`. Bytes queued now, or minus the status. */
  send(slot: number, generation: number, payload: Uint8Array, flags: number): number;
  flush(): void;
  /** As those of `Engine`, each after a `flush`. */
  disconnect(slot: number, generation: number, graceful: boolean, graceMs: number): boolean;
  finish(slot: number, generation: number): boolean;
  pause(slot: number, generation: number): boolean;
  resume(slot: number, generation: number): boolean;
  /** As those of `Engine`. */
  contextStats(slot: number, generation: number, out: Float64Array): boolean;
  tcpInfo(slot: number, generation: number, out: Float64Array): boolean;
  /** Family (4, 6, 0 = local), remote address and port, local address and port. */
  describe(slot: number, generation: number): [number, string, number, string, number] | undefined;
  /** Contexts that it still has are reset. Idempotent. */
  destroy(): void;
}

/**
 * How a job's value travels. A value is given and returned as the form says: 0 nothing (undefined), 1 serialized (bytes),
 * 2 buffer (a Buffer, copied), 3 text (a string), 4 number, 5 posted (by a message port; undefined here), 6 held (by
 * whoever added the job; undefined here).
 */
export type JobForm = 0 | 1 | 2 | 3 | 4 | 5 | 6;

/** The owner's end of a queue of jobs. Ids are safe integers, never 0. */
export class JobQueue {
  /** `capacity`: most jobs that wait at once. `onRing` is called when there are results, or room after a refusal; it must not throw. */
  constructor(capacity: number, onRing: () => void);
  /** What a `JobWorker` of any environment attaches to; 0 = destroyed. */
  readonly handle: number;
  /**
   * The job's id; 0 = full; -1 = out of memory. `priority` is an i32, higher ones first; `about` a safe integer from 0, for
   * whoever takes the job.
   */
  add(form: JobForm, value: unknown, priority: number, about: number): number;
  /** 0 = gone, 1 = it waited and will not run, 2 = running: its worker is told, and its result follows. */
  cancel(id: number): 0 | 1 | 2;
  /** Removes all that wait; their ids. */
  clear(): number[];
  /**
   * Rows of five: id, outcome (0 done, 1 failed, 2 its worker died), worker, form, value. At most so many rows; when there
   * are as many, there may be more, for which `onRing` will not be called.
   */
  takeResults(most: number): unknown[];
  /** The worker is told `null` by its next `take`. */
  retire(worker: number): void;
  /** Writes waiting, running, done, failed, cancelled, wait µs p50 and p99, run µs p50 and p99. */
  stats(out: Float64Array): void;
  /** Whether the queue keeps the event loop alive; starts unreferenced. */
  ref(): void;
  unref(): void;
  /** No more rings; workers find it gone when they attach. Idempotent. */
  destroy(): void;
}

/** A worker's end of a queue of jobs, in any environment of the process. */
export class JobWorker {
  /** `worker`: a number no other attached worker has. `onRing` is called when there is something to take or was cancelled; it must not throw. */
  constructor(handle: number, worker: number, onRing: () => void);
  /** False when there is no such queue, or `destroy` was called. */
  readonly attached: boolean;
  /** A row: id, priority, µs waited, about, form, value. undefined = nothing now, the bell will tell; null = retire. */
  take(): [number, number, number, number, JobForm, unknown] | undefined | null;
  /** Ids of this worker's running jobs that were cancelled since the last call. */
  takeCancelled(): number[];
  /** False = the worker runs no such job, or memory is exhausted. */
  finish(id: number, failed: boolean, form: JobForm, value: unknown): boolean;
  /** Whether it keeps the event loop alive; starts referenced. */
  ref(): void;
  unref(): void;
  /** What it was running counts as died. Idempotent. */
  destroy(): void;
}
