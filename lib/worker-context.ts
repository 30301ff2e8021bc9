// One connection, as a logical worker holds it: the same names as ClientContext, but every call goes straight to the
// native engine, from the worker's own thread. Keeps no state of the connection, so it cannot be wrong about it.

import { inspect } from 'node:util';

import { addon, type EngineWorker } from './binding.js';
import { familyName } from './client-context.js';
import { overflowError, statusCode } from './errors.js';
import type { ConnectedRecord, DisconnectedRecord } from './event-reader.js';
import type { OutgoingFraming } from './framing.js';
import { readDisconnectOptions } from './options.js';
import { CONNECTIONS_MAX, OutputFlag } from './records.js';
import type {
  AddressFamily,
  ClientHandle,
  DisconnectOptions,
  OverflowPolicy,
  TcpInfo,
} from './types.js';

/** @internal What a context needs of the worker it is in. */
export interface WorkerLink {
  readonly native: EngineWorker;
  readonly framing: OutgoingFraming;
  readonly highWaterMark: number;
  readonly maxQueuedBytes: number;
  readonly onOverflow: OverflowPolicy;
  /** Scratch memory for figures. */
  readonly figures: Float64Array;
  /** Something was queued that the I/O workers have not been told of. */
  queued(): void;
  /** `pause()` or `resume()` was called. */
  paused(context: WorkerContext): void;
}

/** @internal The service of one context by this worker. */
export interface Service {
  /** Packages that came while it could not be given them. */
  held: Buffer[];
  /** A promise of its module's functions is pending. */
  busy: boolean;
  /** The user wants no packages. */
  paused: boolean;
  /** What the engine was last told of that. */
  readingPaused: boolean;
  /** Reset by this worker: no more packages. */
  aborted: boolean;
  /** The peer has finished sending, behind what is held. */
  ended: boolean;
  /** It is to be let go of, behind what is held. */
  leaving: boolean;
  /** It was let go of. */
  released: boolean;
  /** It is over, behind what is held. */
  last: DisconnectedRecord | undefined;
}

/** @internal */
export function newService(): Service {
  return {
    held: [],
    busy: false,
    paused: false,
    readingPaused: false,
    aborted: false,
    ended: false,
    leaving: false,
    released: false,
    last: undefined,
  };
}

const Figure = {
  bytesReceived: 0,
  bytesSent: 1,
  packagesReceived: 2,
  packagesSent: 3,
  queuedBytes: 4,
  peerEnded: 5,
  connected: 6,
} as const;

function bytesOf(payload: Uint8Array | string, name: string): Uint8Array {
  if (typeof payload === 'string') return Buffer.from(payload, 'utf8');
  if (payload instanceof Uint8Array) return payload;
  throw new TypeError(`${name} must be a string or a Uint8Array`);
}

/** A connection in a logical worker. Safe to keep for ever: once it has gone every call says so. */
export class WorkerContext<Data = unknown> implements ClientHandle<Data> {
  /** Yours, in this worker. It goes along when another worker gets the context, as structured clone carries it. */
  data: Data = undefined as Data;
  readonly id: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly remoteFamily: AddressFamily;
  readonly localAddress: string;
  readonly localPort: number;
  /** @internal */
  readonly slot: number;
  /** @internal */
  readonly generation: number;
  /** @internal Undefined: found by its id, and served by somebody else. */
  service: Service | undefined;
  readonly #link: WorkerLink;
  #final: Float64Array | undefined;

  /** @internal */
  constructor(link: WorkerLink, ends: Omit<ConnectedRecord, 'token' | 'listener'>) {
    this.#link = link;
    this.slot = ends.slot;
    this.generation = ends.generation;
    this.id = ends.generation * CONNECTIONS_MAX + ends.slot;
    this.remoteAddress = ends.remoteAddress;
    this.remotePort = ends.remotePort;
    this.remoteFamily = familyName(ends.family);
    this.localAddress = ends.localAddress;
    this.localPort = ends.localPort;
  }

  get connected(): boolean {
    return this.#figure(Figure.connected) !== 0;
  }

  get bytesReceived(): number {
    return this.#figure(Figure.bytesReceived);
  }

  get bytesSent(): number {
    return this.#figure(Figure.bytesSent);
  }

  get packagesReceived(): number {
    return this.#figure(Figure.packagesReceived);
  }

  get packagesSent(): number {
    return this.#figure(Figure.packagesSent);
  }

  get queuedBytes(): number {
    return this.#figure(Figure.queuedBytes);
  }

  get peerEnded(): boolean {
    return this.#figure(Figure.peerEnded) !== 0;
  }

  send(payload: Uint8Array | string): boolean {
    const bytes = bytesOf(payload, 'payload');
    return this.#send(bytes, this.#link.framing.framedSize(bytes.length, bytes), 0);
  }

  sendRaw(bytes: Uint8Array | string): boolean {
    const raw = bytesOf(bytes, 'bytes');
    return this.#send(raw, raw.length, OutputFlag.raw);
  }

  sendv(parts: ReadonlyArray<Uint8Array | string>): boolean {
    if (!Array.isArray(parts)) throw new TypeError('parts must be an array');
    return this.send(Buffer.concat(parts.map((part) => bytesOf(part, 'every part'))));
  }

  pause(): boolean {
    return this.#setPaused(true);
  }

  resume(): boolean {
    return this.#setPaused(false);
  }

  disconnect(options?: DisconnectOptions): boolean {
    const { graceful, graceMs } = readDisconnectOptions(options);
    const { native } = this.#link;
    if (graceful) {
      if (this.service?.paused) this.resume();
    } else if (this.service !== undefined) {
      this.service.aborted = true;
      this.service.held = [];
    }
    return native.disconnect(this.slot, this.generation, graceful, graceMs);
  }

  info(): TcpInfo | undefined {
    const { native, figures } = this.#link;
    if (!native.tcpInfo(this.slot, this.generation, figures)) return undefined;
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

  /** @internal Takes the last figures over. */
  end(record: DisconnectedRecord): void {
    const { bytesReceived, bytesSent, packagesReceived, packagesSent } = record;
    this.#final = Float64Array.of(
      ...[bytesReceived, bytesSent, packagesReceived, packagesSent],
      ...[0, this.service?.ended ? 1 : 0, 0],
    );
  }

  /** @internal */
  [inspect.custom](): string {
    const state = this.connected ? 'connected' : 'gone';
    return `WorkerContext ${this.id} (${state}, ${this.remoteAddress}:${this.remotePort})`;
  }

  #setPaused(paused: boolean): boolean {
    const { native } = this.#link;
    const { service, slot, generation } = this;
    if (service === undefined || service.released) {
      return paused ? native.pause(slot, generation) : native.resume(slot, generation);
    }
    service.paused = paused;
    this.#link.paused(this as WorkerContext);
    return this.connected;
  }

  #send(bytes: Uint8Array, size: number, flags: number): boolean {
    const { native, highWaterMark, maxQueuedBytes, onOverflow } = this.#link;
    const answer = native.send(this.slot, this.generation, bytes, flags);
    // Also of what was refused: it may have ended the context.
    this.#link.queued();
    if (answer >= 0) return answer <= highWaterMark;
    if (onOverflow === 'throw' && statusCode(addon, -answer) === 'ERR_IOCP_QUEUE_OVERFLOW') {
      throw overflowError(this.id, this.queuedBytes, size, maxQueuedBytes);
    }
    return false;
  }

  #figure(index: number): number {
    if (this.#final !== undefined) return this.#final[index] as number;
    const { native, figures } = this.#link;
    if (!native.contextStats(this.slot, this.generation, figures)) return 0;
    return figures[index] as number;
  }
}
