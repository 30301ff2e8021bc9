// The public types: options, events, reports. Declarations only, no behaviour.

import type { AddressInfo } from 'node:net';

import type { ClientContext } from './client-context.js';
import type { IocpError } from './errors.js';
import type { FileOffer, FileResult, FileTransferInfo, FileTransferOptions } from './file-types.js';
import type { Job, JobEngine, TransferableObject } from './job.js';

/** How long a silent connection is probed by TCP keep-alive. */
export interface KeepAliveOptions {
  /** Milliseconds of silence before the first probe. Default 60 000. */
  initialDelayMs?: number;
  /** Milliseconds between probes. Default 20 000. */
  intervalMs?: number;
  /** Unanswered probes before the connection counts as lost. Default 3. */
  count?: number;
}

/** Packages that begin with a header holding a binary length; the parameters mean what they mean in Netty. */
export interface LengthFraming {
  type: 'length';
  /** Bytes before the length field. Default 0. */
  offset?: number;
  /** Bytes of the length field. */
  width: 1 | 2 | 3 | 4 | 8;
  /** Byte order of the field. Default `'le'`. */
  endian?: 'le' | 'be';
  /** Added to the field's value to get the number of bytes that follow the field. Default 0. */
  adjust?: number;
  /** Bytes removed from the front of what a listener gets. Default `offset + width`: the whole header. */
  strip?: number;
  /** Most bytes that may follow the field. Default 1 MiB. */
  maxLength?: number;
}

/** Packages that begin with a varint length, as protobuf's delimited streams do; MQTT's is at `offset: 1`. */
export interface VarintFraming {
  type: 'varint';
  /** Bytes before the length. Default 0. */
  offset?: number;
  /** Added to the length to get the number of bytes that follow it. Default 0. */
  adjust?: number;
  /** Bytes removed from the front of what a listener gets. Default: the whole header. */
  strip?: number;
  /** Most bytes that may follow the length. Default 1 MiB. */
  maxLength?: number;
}

/** Packages that end with a fixed sequence of bytes, such as a line feed. */
export interface DelimiterFraming {
  type: 'delimiter';
  /** The sequence, 1 to 255 bytes; a string is taken as UTF-8. */
  delimiter: Uint8Array | string;
  /** Whether listeners get the package without the delimiter. Default true. */
  strip?: boolean;
  /** Most bytes of a package, its delimiter not counted. Default 1 MiB. */
  maxLength?: number;
}

/** Packages that are all equally long. */
export interface FixedFraming {
  type: 'fixed';
  /** Bytes of every package. */
  length: number;
}

/**
 * How the byte stream is cut into packages.
 *
 * `'iocps'` is a 4-byte little-endian length (header not counted, at most 1 MiB); `'none'` delivers chunks as
 * they come.
 */
export type Framing =
  'iocps' | 'none' | LengthFraming | VarintFraming | DelimiterFraming | FixedFraming;

/** What happens when a context's queue would exceed `maxQueuedBytes`. */
export type OverflowPolicy = 'disconnect' | 'drop' | 'throw';

/** Options of {@link Iocp}. Every one is optional; a wrong one throws when the `Iocp` is made. */
export interface IocpOptions {
  /**
   * Threads that do the network I/O: 0 = the JavaScript thread itself, from its event loop; 1…256 = that many
   * threads. `'auto'`: the JavaScript thread while it has time to spare; while it is busy with other work than I/O, or
   * files come in, a thread does it. `stats().ioWorkers` tells which. Default `'auto'`. While answers come back within
   * microseconds, `'auto'` also has the JavaScript thread look for up to 60 µs before it sleeps; with 0 it never does.
   * On Windows and under Bun the event loop cannot watch the port: 0 and `'auto'` mean one thread there. Files are sent
   * by a thread of their own in any case.
   */
  ioWorkers?: 'auto' | number;
  /** Most connections at a time; further peers are refused. 1…2 097 152, default 10 000. */
  maxConnections?: number;
  /** Unused I/O buffers kept for reuse: 0 = no limit, −1 = none. Default 1024. */
  maxFreeBuffers?: number;
  /** Unused native contexts kept for reuse: 0 = no limit, −1 = none. Default 1024. */
  maxFreeContexts?: number;
  /** Packages leave in the order they were sent. Always kept; `false` merely permits otherwise. Default true. */
  orderedSend?: boolean;
  /**
   * Packages are delivered in the order they arrived. Always kept; `false` merely permits otherwise, and is
   * refused together with `pendingReads` above 1. Default true.
   */
  orderedRead?: boolean;
  /** Reads posted at a time on one connection, 1…64. Default 1. */
  pendingReads?: number;
  /** Wait for data without locking a buffer, so that an idle connection costs none. Default true. */
  zeroByteReads?: boolean;
  /** How the stream is cut into packages. Default `'iocps'`. */
  framing?: Framing;
  /** Send at once instead of waiting for more (TCP_NODELAY). Default true. */
  noDelay?: boolean;
  /** TCP keep-alive: `false` = off, `true` = the defaults. Default `true`. */
  keepAlive?: boolean | KeepAliveOptions;
  /** Milliseconds unacknowledged data may wait before the connection counts as lost; 0 = the system's. Default 0. */
  userTimeoutMs?: number;
  /** Queued bytes per context above which `send` returns false. Default 65 536. */
  highWaterMark?: number;
  /** Queued bytes per context below which `drain` is emitted. Default 32 768, never above `highWaterMark`. */
  lowWaterMark?: number;
  /** Most bytes queued per context. Default 16 MiB. */
  maxQueuedBytes?: number;
  /** What happens when a send would exceed `maxQueuedBytes`. Default `'disconnect'`. */
  onOverflow?: OverflowPolicy;
  /**
   * What runs jobs: a module whose default export is `processJob(job, engine)`, which runs in logical workers (a path,
   * relative to the working directory, or a URL), or a function, which runs on this thread between batches of events.
   */
  jobs?: string | URL | ((job: Job<never>, engine: JobEngine) => unknown);
  /**
   * Who gets packages: listeners of `'package'` on this thread, or the logical workers, by the export `processPackage`
   * of the module that `jobs` names. Each connection belongs to one of them; `ioWorkers: 'auto'` is then one thread.
   * With 0 workers, packages wait. Default `'main'`.
   */
  deliver?: 'main' | 'workers';
  /** Logical workers, threads with a JavaScript environment of their own; see `setWorkers`. 0…256, default 0. */
  workers?: number;
  /** Most jobs that wait at a time. 1…16 777 216, default 65 536. */
  maxQueuedJobs?: number;
  /** What happens to a job beyond `maxQueuedJobs`. Default `'reject'`. */
  onJobOverflow?: JobOverflowPolicy;
  /**
   * Sending and receiving files: `true` for the defaults. Without it the types of the file packages mean nothing to the
   * engine. Needs a length framing that strips its whole header, as `'iocps'` does.
   */
  fileTransfer?: boolean | FileTransferOptions;
  /** Aborting it closes the engine at once, as `close({ graceMs: 0 })` does. */
  signal?: AbortSignal;
  /** Node's own: a rejected promise of an `async` listener becomes an `'error'` event. Default false. */
  captureRejections?: boolean;
}

/** Options of {@link Iocp.listen}. */
export interface ListenOptions {
  /** 0…65535; 0 = the system chooses. Default 0. */
  port?: number;
  /** Address or name. Default `'::'`, which serves IPv6 and IPv4; `'0.0.0.0'` where there is no IPv6. */
  host?: string;
  /** A Unix-domain socket instead of `port` and `host`. */
  path?: string;
  /** Peers the system lets wait for being accepted. Default 511. */
  backlog?: number;
  /** On an IPv6 address: do not serve IPv4 as well. Default false. */
  ipv6Only?: boolean;
  /** Let several processes listen on the same port and share its peers. Default false. */
  reusePort?: boolean;
  /** Accepted for the sake of `net.Server.listen`'s callers: a handle is never shared with a cluster anyway. */
  exclusive?: boolean;
}

/** Options of {@link Iocp.connect}. */
export interface ConnectOptions<Data = unknown> {
  /** 1…65535. */
  port?: number;
  /** Address or name; every address of a name is tried in order. Default `'127.0.0.1'`. */
  host?: string;
  /** A Unix-domain socket instead of `port` and `host`. */
  path?: string;
  /** Milliseconds for everything, name resolution included; 0 = as long as the system tries. Default 10 000. */
  timeoutMs?: number;
  /** The local address to connect from. */
  localAddress?: string;
  /** Aborting it gives the attempt up. */
  signal?: AbortSignal;
  /** The new context's `data`, set before the `'context'` event. */
  data?: Data;
}

/** Options of {@link Iocp.close}. */
export interface CloseOptions {
  /** Milliseconds that jobs, queued bytes and peers get before they are given up and reset. Default 5000. */
  graceMs?: number;
  /** Whether the jobs that wait are run (`'drain'`) or rejected with `ERR_IOCP_CLOSED`. Default `'drain'`. */
  jobs?: 'drain' | 'reject';
}

/**
 * `'reject'`: `addJob` rejects with `ERR_IOCP_JOB_QUEUE_FULL`. `'wait'`: it waits for room. `'callerRuns'`: the job
 * runs on the thread that added it.
 */
export type JobOverflowPolicy = 'reject' | 'wait' | 'callerRuns';

/** Options of {@link Iocp.addJob}. */
export interface AddJobOptions {
  /** Higher ones run first. A 32-bit integer, default 0. */
  priority?: number;
  /** Aborting it rejects with an `AbortError`; a job that waits will not run, a running one's `job.signal` fires. */
  signal?: AbortSignal;
  /** Milliseconds after which it rejects with `ERR_IOCP_JOB_TIMEOUT`, as if aborted; 0 = no limit. Default 0. */
  timeoutMs?: number;
  /** Objects within the data that are moved rather than copied. */
  transfer?: readonly TransferableObject[];
  /** The connection the job is about, which it finds as `job.context`: handles themselves do not cross threads. */
  context?: ClientContext;
}

/** What {@link Iocp.close} did. */
export interface CloseReport {
  /** Contexts that were ended by the close. */
  contexts: number;
  /** Those whose queued bytes were sent and whose peer closed in return. */
  drained: number;
  /** Those that had to be reset. */
  reset: number;
  /** Milliseconds it took. */
  durationMs: number;
}

/** Options of `disconnect`, `disconnectClient` and `disconnectAll`. */
export interface DisconnectOptions {
  /** Send what is queued, then half-close and wait for the peer's close. False resets at once. Default false. */
  graceful?: boolean;
  /** With `graceful`: milliseconds before the context is reset after all. Default 5000. */
  graceMs?: number;
}

/** Options of {@link Iocp.sendToAll}. */
export interface SendToAllOptions<Data = unknown> {
  /** Contexts (or their ids) that do not get it. */
  except?: ClientContext<Data> | number | Iterable<ClientContext<Data> | number>;
  /** Called once per context; a context for which it returns false does not get it. */
  filter?: (context: ClientContext<Data>) => boolean;
}

/** What a connection is to a job or a logical worker, wherever it runs. As {@link ClientContext}, unless said otherwise. */
export interface ClientHandle<Data = unknown> {
  readonly id: number;
  data: Data;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly remoteFamily: AddressFamily;
  readonly localAddress: string;
  readonly localPort: number;
  readonly connected: boolean;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly packagesReceived: number;
  readonly packagesSent: number;
  readonly queuedBytes: number;
  readonly peerEnded: boolean;
  /** Sends one package. False when more than `highWaterMark` bytes are queued now, or nothing was queued. */
  send(payload: Uint8Array | string): boolean;
  sendRaw(bytes: Uint8Array | string): boolean;
  sendv(parts: ReadonlyArray<Uint8Array | string>): boolean;
  pause(): boolean;
  resume(): boolean;
  disconnect(options?: DisconnectOptions): boolean;
  info(): TcpInfo | undefined;
}

/** Who ended a connection: this side, the peer, one of the engine's limits, or an error. */
export type DisconnectedBy = 'local' | 'peer' | 'guard' | 'error';

/** Why a context ended. */
export interface DisconnectReason {
  /** `ERR_IOCP_*` or the system's name of the error. */
  code: string;
  /** The system call that failed, if one did. */
  syscall?: string;
  by: DisconnectedBy;
  /** An English sentence. */
  message: string;
}

/** A peer that was turned away before it got a context. */
export interface RefusedPeer {
  remoteAddress: string;
  remotePort: number;
  remoteFamily: AddressFamily;
  reason: { code: string; message: string };
}

/** `'local'` = a Unix-domain socket. */
export type AddressFamily = 'IPv4' | 'IPv6' | 'local';

/** What {@link Iocp.addresses} tells. */
export interface Addresses {
  /** The addresses that are listened on. */
  bound: AddressInfo[];
  /** The host's own addresses, internal ones included. */
  host: string[];
}

/** TCP's own view of a connection; a figure the system does not tell is 0. */
export interface TcpInfo {
  /** Smoothed round trip, microseconds. */
  rttUs: number;
  /** Its variance, microseconds. */
  rttVarianceUs: number;
  /** Segments sent again so far. */
  retransmits: number;
  /** Congestion window, segments. */
  congestionWindowSegments: number;
  /** Segments on their way. */
  unacknowledgedSegments: number;
  /** Recent delivery rate, bytes per second. */
  deliveryRateBytesPerSecond: number;
}

/** Figures of a pool of reusable memory. */
export interface PoolStats {
  inUse: number;
  /** Kept for reuse. */
  free: number;
  /** How often one was used again. */
  reused: number;
}

/** Figures of the completion port: how often it did what. */
export interface PortStats {
  /** System calls that fetch completions or readiness. */
  waits: number;
  completions: number;
  accepts: number;
  connects: number;
  zeroByteReads: number;
  /** Reads that moved bytes or met the end. */
  reads: number;
  /** Reads that found nothing. */
  emptyReads: number;
  writes: number;
  /** Writes that found the socket full. */
  blockedWrites: number;
  /** Pieces of files sent without copying them (sendfile, TransmitFile). */
  transmits: number;
  /** Bytes they sent, the heads before them included. */
  transmitBytes: number;
  /** Messages from other threads. */
  posts: number;
  /** Those that had to wake a sleeping thread. */
  wakes: number;
}

/** What {@link Iocp.stats} tells. Counts since the start, except where "now" is said. */
export interface IocpStats {
  /** Connections now, including those whose `disconnect` is still on its way. */
  connections: number;
  accepted: number;
  connected: number;
  disconnected: number;
  /** Peers turned away. */
  refused: number;
  packagesReceived: number;
  packagesSent: number;
  /** Packages the engine dropped because of `maxQueuedBytes`. */
  packagesDropped: number;
  bytesReceived: number;
  bytesSent: number;
  /** Packages for contexts that had gone meanwhile. */
  sendsToTheGone: number;
  /** Batches of packages taken over from JavaScript. */
  outputBatches: number;
  /** How often reading stopped because JavaScript was behind. */
  stalls: number;
  /** How often the system was out of buffers, and survived. */
  bufferShortages: number;
  /** Steps of the engine's workers. */
  steps: number;
  /** Threads that do the network I/O now; 0 = the JavaScript thread does it. */
  ioWorkers: number;
  /** How often `ioWorkers: 'auto'` changed between the two. */
  handOvers: number;
  /** Contexts alive now, kept for reuse now, and used again. */
  contexts: { live: number; free: number; reused: number };
  sendBuffers: PoolStats;
  readBuffers: PoolStats;
  port: PortStats;
  jobs: JobStats;
  /** This side's own figures. */
  javascript: {
    /** Batches of packages given to the engine. */
    flushes: number;
    /** Slabs of memory lent to the engine for received packages. */
    slabs: number;
    /** Sends that the policy `'drop'` dropped. */
    droppedSends: number;
  };
}

/** What became of jobs. */
export interface JobStats {
  /** Logical workers that are wanted. */
  workers: number;
  /** Jobs that wait now. */
  depth: number;
  /** Jobs that run now. */
  running: number;
  /** Jobs that ended well. */
  done: number;
  /** Jobs that threw, and those whose worker died. */
  failed: number;
  /** Jobs that were given up before they ran. */
  cancelled: number;
  /** Jobs that `maxQueuedJobs` turned away. */
  rejected: number;
  /** Microseconds that jobs waited: half of them, and 99 of 100, at most so many. */
  waitUs: { p50: number; p99: number };
  /** Microseconds that jobs ran. */
  runUs: { p50: number; p99: number };
}

/** Called once: with null when the package was given to the system, with an error when it never will be. */
export type SendCallback = (error: IocpError | null) => void;

/**
 * Events of {@link Iocp}. Per context: `context` → `connection` → `package`* → `disconnect`, in this order, the
 * last one exactly once. An exception thrown by a listener becomes an `uncaughtException`; the engine goes on.
 */
export interface IocpEvents<Data = unknown> {
  /** A listener is bound. */
  listening: [address: AddressInfo];
  /** A context was made and is not usable yet: the moment to set `context.data`. */
  context: [context: ClientContext<Data>];
  /** A context is usable. */
  connection: [context: ClientContext<Data>];
  /**
   * One whole package. The Buffer stays valid and unchanged for as long as it is kept. It may share its `ArrayBuffer`
   * with other packages (128 KiB of them, or 516 KiB of large ones), which stays in memory with any of them, or be a
   * part of one about twice as long; and it may begin anywhere in it: a typed array of wider elements over it needs a
   * copy.
   * `postMessage` does not transfer it, and nobody may detach it (`transfer()`); `Buffer.from(payload)` copies it.
   */
  package: [context: ClientContext<Data>, payload: Buffer];
  /** After a `send` returned false: the queue fell below the low-water mark. */
  drain: [context: ClientContext<Data>];
  /** A context ended. Exactly once, and always the last event of a context. */
  disconnect: [context: ClientContext<Data>, reason: DisconnectReason];
  /** A peer was turned away before it got a context. */
  refuse: [peer: RefusedPeer];
  /** The peer offers a file. Unanswered after `acceptTimeoutMs`, or without a listener and `autoAccept`, it is refused. */
  fileOffer: [context: ClientContext<Data>, offer: FileOffer];
  /** At most ten times a second per transfer, while bytes move. */
  fileProgress: [context: ClientContext<Data>, transfer: FileTransferInfo];
  /** A file was sent and confirmed, or received and put in place. May come after `disconnect` for a received file. */
  fileCompleted: [context: ClientContext<Data>, result: FileResult];
  /** A transfer failed, on either side. `transfer` is undefined for packages that belong to none. */
  fileFailed: [context: ClientContext<Data>, error: Error, transfer: FileTransferInfo | undefined];
  /** The engine or a listener failed; never one peer's misbehaviour. */
  error: [error: Error];
  /** The engine is closed. */
  close: [report: CloseReport];
}
