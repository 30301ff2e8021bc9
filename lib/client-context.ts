// One connection, as users hold it: a handle that may be kept for ever. Every method of a context that has gone
// does nothing and says so. No policy here: sending is sender.ts, the rest are single calls to the engine.

import { inspect } from 'node:util';

import type { Engine } from './binding.js';
import type { ConnectedRecord, DisconnectedRecord } from './event-reader.js';
import type { IocpError } from './errors.js';
import { ignorable } from './file-promise.js';
import type { FileTransfers } from './file-transfers.js';
import type { FileResult, PrepareSendFileOptions, SendFileOptions } from './file-types.js';
import { readDisconnectOptions } from './options.js';
import { CONNECTIONS_MAX } from './records.js';
import type { Sender } from './sender.js';
import type { AddressFamily, DisconnectOptions, SendCallback, TcpInfo } from './types.js';

/** @internal Where a context is in its life. Only ever moves forward. */
export const Phase = {
  /** `'context'` was emitted, `'connection'` not yet. */
  fresh: 0,
  /** Packages flow both ways. */
  open: 1,
  /** Nothing more may be sent; packages still arrive. */
  ending: 2,
  /** Reset by this side: nothing flows, `'disconnect'` is on its way. */
  aborted: 3,
  /** `'disconnect'` was emitted, or is just about to be. */
  gone: 4,
} as const;

/** @internal What a context needs of its engine. */
export interface Link {
  engine: Engine;
  sender: Sender;
  /** Scratch memory for figures. */
  figures: Float64Array;
  /** Delivers, soon, what a context that is resuming held back. */
  release: (context: ClientContext) => void;
  /** Undefined without the option `fileTransfer`. */
  files: FileTransfers | undefined;
  /** When the engine was made, in milliseconds since the epoch. */
  epoch: number;
  /** Of the newest context; most contexts of an engine share it. */
  local: LocalEnd | undefined;
}

/** @internal This side's end of a connection. */
export interface LocalEnd {
  readonly address: string;
  readonly port: number;
  readonly family: number;
}

/** @internal What a context is told of itself when it is made. */
export type Birth = Pick<ConnectedRecord, 'slot' | 'generation' | 'remoteAddress' | 'remotePort'>;

/** @internal What arrives for a paused context: reading stops a moment after `pause()`, in another thread perhaps. */
export interface Held {
  packages: Buffer[];
  /** The peer has finished sending, behind those packages. */
  ended: boolean;
  /** `resume()` was called and the packages are on their way out. */
  resuming: boolean;
}

/** @internal What is sent while a classic file offer waits for its answer: the peer would take it for the file. */
export interface SendHold {
  sends: Array<{ bytes: Uint8Array; raw: boolean; callback: SendCallback | undefined }>;
  /** With their frames. */
  bytes: number;
  /** A send was told to wait for `drain`. */
  full: boolean;
}

/** @internal A callback that waits for its `written` record. */
export interface Waiting {
  token: number;
  callback: SendCallback;
}

/** What few contexts have at a time. Apart from them, so that a context that is quiet pays for one field. */
interface Seldom {
  needDrain: boolean;
  sawEnd: boolean;
  waiting: Waiting[] | undefined;
  hold: SendHold | undefined;
  held: Held | undefined;
  final: Float64Array | undefined;
}

const FAMILIES: Readonly<Record<number, AddressFamily>> = { 4: 'IPv4', 6: 'IPv6', 0: 'local' };

/** @internal */
export function familyName(family: number): AddressFamily {
  return FAMILIES[family] ?? 'local';
}

const Figure = {
  bytesReceived: 0,
  bytesSent: 1,
  packagesReceived: 2,
  packagesSent: 3,
  queuedBytes: 4,
  peerEnded: 5,
} as const;

/** @internal The end that `record` names: the one at hand if it is the same, so that it exists once and not per connection. */
export function localEnd(link: Link, record: ConnectedRecord): LocalEnd {
  const { localAddress: address, localPort: port, family } = record;
  const known = link.local;
  if (known?.address === address && known.port === port && known.family === family) return known;
  link.local = { address, port, family };
  return link.local;
}

/**
 * One connection of an {@link Iocp}, accepted or outgoing.
 *
 * A handle, safe to keep for ever: once the connection has gone every method is a no-op that returns `false`,
 * and the counters keep their last values.
 */
export class ClientContext<Data = unknown> {
  // There may be tens of thousands of these, so what can be told from something else has no field.

  /** Yours. `connect` can set it; for accepted connections it is undefined until you set it. */
  data: Data;
  /** The peer's address, or the path of a Unix-domain socket (empty when the peer has none). */
  readonly remoteAddress: string;
  readonly remotePort: number;

  /** @internal */
  readonly slot: number;
  /** @internal */
  readonly generation: number;
  /** @internal An upper bound of the queued bytes; see sender.ts. */
  bound = 0;
  /** @internal */
  phase: number = Phase.fresh;
  /** @internal */
  link: Link;
  /** @internal Milliseconds after the link's epoch: a small integer, which is stored in place. */
  readonly age: number;
  /** @internal */
  readonly local: LocalEnd;
  #seldom: Seldom | undefined = undefined;

  private constructor(link: Link, birth: Birth, local: LocalEnd, age: number, data: Data) {
    this.data = data;
    this.remoteAddress = birth.remoteAddress;
    this.remotePort = birth.remotePort;
    this.slot = birth.slot;
    this.generation = birth.generation;
    this.link = link;
    this.age = age;
    this.local = local;
  }

  /** @internal `age`: see above. Keeps nothing of `birth`. */
  static create<Data>(
    link: Link,
    birth: Birth,
    local: LocalEnd,
    age: number,
    data: Data,
  ): ClientContext<Data> {
    return new ClientContext(link, birth, local, age, data);
  }

  /** @internal A `drain` record is on its way. */
  get needDrain(): boolean {
    return this.#seldom !== undefined && this.#seldom.needDrain;
  }

  /** @internal */
  set needDrain(value: boolean) {
    if (value !== this.needDrain) this.#some().needDrain = value;
  }

  /** @internal The peer has finished sending. */
  get sawEnd(): boolean {
    return this.#seldom !== undefined && this.#seldom.sawEnd;
  }

  /** @internal */
  set sawEnd(value: boolean) {
    if (value !== this.sawEnd) this.#some().sawEnd = value;
  }

  /** @internal Callbacks of sends, oldest first; undefined until there is one. */
  get waiting(): Waiting[] | undefined {
    return this.#seldom?.waiting;
  }

  /** @internal */
  set waiting(value: Waiting[] | undefined) {
    if (value !== this.waiting) this.#some().waiting = value;
  }

  /** @internal Present while sends are held back. */
  get hold(): SendHold | undefined {
    return this.#seldom?.hold;
  }

  /** @internal */
  set hold(value: SendHold | undefined) {
    if (value !== this.hold) this.#some().hold = value;
  }

  /** @internal Present from `pause()` until everything held back after `resume()` was delivered. */
  get held(): Held | undefined {
    return this.#seldom?.held;
  }

  /** @internal */
  set held(value: Held | undefined) {
    if (value !== this.held) this.#some().held = value;
  }

  /** Never used again for another connection; {@link Iocp.findClient} finds the context by it. */
  get id(): number {
    return this.generation * CONNECTIONS_MAX + this.slot;
  }

  get remoteFamily(): AddressFamily {
    return familyName(this.local.family);
  }

  get localAddress(): string {
    return this.local.address;
  }

  get localPort(): number {
    return this.local.port;
  }

  /** When the connection was made, in milliseconds since the epoch (`Date.now()`). */
  get connectedAt(): number {
    return this.link.epoch + this.age;
  }

  /** True from the `connection` event until `disconnect`, or until this side resets the connection. */
  get connected(): boolean {
    return this.phase === Phase.open || this.phase === Phase.ending;
  }

  /** Bytes received from the peer, headers included. */
  get bytesReceived(): number {
    return this.#figure(Figure.bytesReceived);
  }

  /** Bytes given to the system for sending, headers included. */
  get bytesSent(): number {
    return this.#figure(Figure.bytesSent);
  }

  /** Whole packages received. */
  get packagesReceived(): number {
    return this.#figure(Figure.packagesReceived);
  }

  /** Packages given to the system for sending. */
  get packagesSent(): number {
    return this.#figure(Figure.packagesSent);
  }

  /** Bytes that wait to be given to the system, exactly; 0 when the context has gone. */
  get queuedBytes(): number {
    if (this.phase === Phase.gone) return 0;
    this.link.sender.flush();
    return this.#figure(Figure.queuedBytes);
  }

  /** Whether the peer has closed its sending side. */
  get peerEnded(): boolean {
    return this.sawEnd || this.#figure(Figure.peerEnded) !== 0;
  }

  /**
   * Sends one package; the engine's framing is applied. The array may be reused as soon as this returns.
   *
   * @param payload - A string is sent as UTF-8.
   * @param callback - Called with null once the package was given to the system, or with an error
   *   (`ERR_IOCP_GONE`, `ERR_IOCP_QUEUE_OVERFLOW`) when it never will be.
   * @returns False when more than `highWaterMark` bytes are queued now (the package is queued all the same: wait
   *   for `drain`), or when nothing was queued because the context has gone or the `'drop'` policy applied.
   * @throws RangeError when the framing cannot express the payload; IocpError `ERR_IOCP_QUEUE_OVERFLOW` with
   *   the `'throw'` policy.
   */
  send(payload: Uint8Array | string, callback?: SendCallback): boolean {
    return this.link.sender.send(this, payload, false, callback);
  }

  /** Sends bytes as they are, without framing; otherwise like {@link send}. */
  sendRaw(bytes: Uint8Array | string, callback?: SendCallback): boolean {
    return this.link.sender.send(this, bytes, true, callback);
  }

  /** Sends one package made of several parts; otherwise like {@link send}. */
  sendv(parts: ReadonlyArray<Uint8Array | string>, callback?: SendCallback): boolean {
    return this.link.sender.sendParts(this, parts, callback);
  }

  /**
   * Stops reading, and no `package` is emitted until {@link resume}; what had been received is held back. The peer's
   * close stays visible: a reset, or an end with nothing unread before it, emits `disconnect`.
   *
   * @returns False when the context has gone.
   */
  pause(): boolean {
    if (!this.connected) return false;
    if (this.held !== undefined) {
      this.held.resuming = false;
      return true;
    }
    this.held = { packages: [], ended: false, resuming: false };
    return this.link.engine.pause(this.slot, this.generation);
  }

  /**
   * Goes on: packages held back are emitted first, after the current operation, then reading continues.
   *
   * @returns False when the context has gone.
   */
  resume(): boolean {
    if (!this.connected) return false;
    if (this.held === undefined || this.held.resuming) return true;
    this.held.resuming = true;
    this.link.release(this as ClientContext);
    return true;
  }

  /**
   * Ends the connection; `disconnect` is emitted later. By default it is reset: nothing queued is sent, and no
   * further `package` is emitted. Gracefully, queued packages are sent first and packages go on arriving.
   *
   * @returns False when the context has gone already.
   */
  disconnect(options?: DisconnectOptions): boolean {
    const { graceful, graceMs } = readDisconnectOptions(options);
    return this.link.sender.disconnect(this, graceful, graceMs);
  }

  /**
   * Sends a file, or a part of one: offers it, waits for the answer, streams it without a copy in this process, and
   * waits until the peer has checked it and put it in place. Other packages flow in between. Needs the option
   * `fileTransfer`.
   *
   * @returns What was sent; a rejection that nobody looks at is not an `unhandledRejection`: `fileFailed` tells as well.
   * @throws TypeError and RangeError for wrong options; IocpError with the system's code (`ENOENT`, `EISDIR`, …), the
   *   peer's reason (`ERR_IOCP_FILE_REFUSED`, `ENOSPC`, …) or `ERR_IOCP_GONE`; an `AbortError` when `signal` was aborted.
   */
  sendFile(path: string, options?: SendFileOptions): Promise<FileResult> {
    return ignorable(this.#files('sendFile').sendFile(this as ClientContext, path, options));
  }

  /**
   * Announces a file by the classic protocol. Until the transfer ends, other sends are held back. Resolves when the
   * announcement was given to the engine.
   *
   * @throws RangeError for a file of 2 GiB and more; see {@link sendFile} for the others.
   */
  prepareSendFile(path: string, options?: PrepareSendFileOptions): Promise<void> {
    return ignorable(
      this.#files('prepareSendFile').prepareSendFile(this as ClientContext, path, options),
    );
  }

  /** Resolves when the announced file was sent; with `manualStart`, it starts once the peer wants it. */
  startSendFile(): Promise<FileResult> {
    return ignorable(this.#files('startSendFile').startSendFile(this as ClientContext));
  }

  /** Takes the announcement back. False when there is none, or the file is on its way already. */
  disableSendFile(): boolean {
    return this.#files('disableSendFile').disableSendFile(this as ClientContext);
  }

  /** Accepts the file that the peer announced by the classic protocol, and writes it to `path`. */
  prepareReceiveFile(path?: string): Promise<FileResult> {
    return ignorable(
      this.#files('prepareReceiveFile').prepareReceiveFile(this as ClientContext, path),
    );
  }

  /** Refuses the file that the peer announced. False when there is none, or it was answered already. */
  disableReceiveFile(): boolean {
    return this.#files('disableReceiveFile').disableReceiveFile(this as ClientContext);
  }

  /** TCP's own view of the connection; undefined when the context has gone. */
  info(): TcpInfo | undefined {
    const { engine, figures } = this.link;
    if (this.phase === Phase.gone || !engine.tcpInfo(this.slot, this.generation, figures)) {
      return undefined;
    }
    const at = (index: number): number => figures[index] as number;
    return {
      rttUs: at(0),
      rttVarianceUs: at(1),
      retransmits: at(2),
      congestionWindowSegments: at(3),
      unacknowledgedSegments: at(4),
      deliveryRateBytesPerSecond: at(5),
    };
  }

  /** @internal Takes the last figures over; from here on the engine is not asked any more. */
  end(record: DisconnectedRecord): void {
    const { bytesReceived, bytesSent, packagesReceived, packagesSent } = record;
    const ended = this.sawEnd ? 1 : 0;
    this.#some().final = Float64Array.of(
      bytesReceived,
      bytesSent,
      packagesReceived,
      packagesSent,
      0,
      ended,
    );
    this.phase = Phase.gone;
  }

  /** @internal Answers the callbacks one at a time, so that one that throws does not cost the others theirs. */
  failNextWaiting(error: IocpError): boolean {
    const next = this.waiting?.shift();
    next?.callback(error);
    return next !== undefined;
  }

  /** @internal */
  [inspect.custom](): string {
    const state = this.connected ? 'connected' : 'gone';
    return `ClientContext ${this.id} (${state}, ${this.remoteAddress}:${this.remotePort})`;
  }

  #some(): Seldom {
    this.#seldom ??= {
      needDrain: false,
      sawEnd: false,
      waiting: undefined,
      hold: undefined,
      held: undefined,
      final: undefined,
    };
    return this.#seldom;
  }

  #files(action: string): FileTransfers {
    const { files } = this.link;
    if (files === undefined) throw new TypeError(`${action} needs the option fileTransfer`);
    return files;
  }

  #figure(index: number): number {
    const final = this.#seldom?.final;
    if (final !== undefined) return final[index] as number;
    const { engine, figures } = this.link;
    if (!engine.contextStats(this.slot, this.generation, figures)) return 0;
    return figures[index] as number;
  }
}
