// Hosts one native engine: owns its memory, its table of contexts and its pending connects, and turns decoded
// records into events. Whatever a listener throws, the next record is the next one handled: work that consists
// of several calls into user code is kept in `#todo`, one step each, and a step is removed before it runs.

import type { EventEmitter } from 'node:events';
import type { AddressInfo } from 'node:net';

import { addon, type Engine } from './binding.js';
import { ClientContext, familyName, type Link, localEnd, Phase } from './client-context.js';
import { disconnectReason } from './disconnect-reason.js';
import {
  abortError,
  closedError,
  errorFromStatus,
  goneError,
  statusCode,
  statusMessage,
  syscallName,
} from './errors.js';
import {
  type ConnectedRecord,
  type DisconnectedRecord,
  EventReader,
  type EventSink,
  type FileRecord,
  type RefusedRecord,
} from './event-reader.js';
import { type FileEmitter, FileTransfers } from './file-transfers.js';
import { OutgoingFraming } from './framing.js';
import type { ListenSettings, Settings } from './options.js';
import { OutputBatch } from './output-batch.js';
import { forget, restAtExit } from './process-exit.js';
import { RANGE_WORDS } from './records.js';
import { Sender } from './sender.js';
import { SLABS_PER_LANE_STEPPED, SLABS_PER_LANE_THREADED, SlabSupply } from './slabs.js';
import { buildStats } from './stats.js';
import type { IocpEvents, IocpStats } from './types.js';
import { UnseenContexts } from './unseen-contexts.js';

/** Rows of the array in which the engine announces filled slab ranges. */
const RANGE_ROWS = 256;
/** More figures than any native call writes for one context. */
const CONTEXT_FIGURES = 8;

/** One address to connect to. */
export interface Attempt<Data> {
  /** A numeric address; empty with `path`. */
  address: string;
  port: number;
  path: string;
  localAddress: string;
  timeoutMs: number;
  signal: AbortSignal | undefined;
  data: Data | undefined;
}

interface PendingConnect<Data> {
  attempt: Attempt<Data>;
  resolve(context: ClientContext<Data>): void;
  reject(error: Error): void;
}

/** What the host tells its owner. */
export type OnClosed = (ended: number, reset: number) => void;

/** One native engine and everything that belongs to it. */
export class EngineHost<Data> implements EventSink {
  /** Connects in progress, name resolution included: they keep the event loop alive. */
  connecting = 0;
  readonly sender: Sender;
  readonly #emitter: EventEmitter<IocpEvents<Data>>;
  readonly #onClosed: OnClosed;
  readonly #engine: Engine;
  readonly #batch: OutputBatch;
  readonly #slabs: SlabSupply;
  readonly #reader: EventReader;
  readonly #link: Link;
  /** By slot; undefined where there is no connection, or one that is unseen. */
  readonly #contexts: Array<ClientContext<Data> | undefined> = [];
  readonly #unseen = new UnseenContexts();
  readonly #connects = new Map<number, PendingConnect<Data>>();
  readonly #todo: Array<() => void> = [];
  readonly #figures = new Float64Array(addon.statNames.length);
  #count = 0;
  readonly #listeners = new Map<number, AddressInfo>();
  #token = 0;
  #closing = false;
  #closed: { ended: number; reset: number } | undefined;
  #wantsRef = true;
  #hasRef = true;

  /** Starts the engine. Throws an IocpError when the system does not let it. */
  constructor(settings: Settings, emitter: EventEmitter<IocpEvents<Data>>, onClosed: OnClosed) {
    const { native, onOverflow } = settings;
    const ranges = new Int32Array(RANGE_ROWS * RANGE_WORDS);
    this.#emitter = emitter;
    this.#onClosed = onClosed;
    const framing = new OutgoingFraming(native.framing);
    this.#batch = new OutputBatch(
      (bytes, more) => this.#engine.flush(bytes, more),
      framing.seriesRoom,
      Math.min(native.highWaterMark, native.maxQueuedBytes),
    );
    this.#engine = new addon.Engine(native, this.#deliver, ranges, this.#batch.bytes);
    this.#slabs = new SlabSupply((lane, index, bytes) => this.#engine.supply(lane, index, bytes));
    this.#reader = new EventReader(ranges, this.#slabs, this, framing.seriesRoom);
    const { highWaterMark, maxQueuedBytes } = native;
    const limits = { highWaterMark, maxQueuedBytes, onOverflow };
    this.sender = new Sender(this.#engine, this.#batch, framing, limits, addon);
    const figures = new Float64Array(CONTEXT_FIGURES);
    const release = this.#release;
    this.#link = {
      engine: this.#engine,
      sender: this.sender,
      figures,
      release,
      epoch: Date.now(),
      local: undefined,
      files: undefined,
    };
    if (settings.files !== undefined) {
      this.#link.files = new FileTransfers(this.#engine, this.sender, settings.files, {
        emitter: emitter as unknown as FileEmitter,
        announce: (step) => {
          this.#todo.push(step);
          this.#work();
        },
        changed: () => this.updateRef(),
      });
    }
    this.#start(native.ioWorkers === 0 ? SLABS_PER_LANE_STEPPED : SLABS_PER_LANE_THREADED);
  }

  #start(slabsPerLane: number): void {
    const status = this.#engine.start();
    if (status !== 0) {
      this.#engine.destroy();
      throw errorFromStatus(addon, status);
    }
    this.#slabs.start(this.#engine.lanes, slabsPerLane);
    restAtExit(this.#engine);
    this.updateRef();
  }

  /** What logical workers attach to. */
  get handle(): number {
    return this.#engine.handle;
  }

  /** Contexts whose `disconnect` was not emitted yet. */
  get count(): number {
    return this.#count;
  }

  /** The live contexts; those that come or go meanwhile may or may not be among them. */
  *contexts(): IterableIterator<ClientContext<Data>> {
    for (let slot = 0; slot < Math.max(this.#contexts.length, this.#unseen.slots); slot++) {
      const context = this.at(slot);
      if (context !== undefined) yield context;
    }
  }

  /** The live context in `slot`. */
  at(slot: number): ClientContext<Data> | undefined {
    return this.#contexts[slot] ?? this.#see(slot);
  }

  /** Whether it is one of this engine's contexts, live or not. */
  owns(context: ClientContext): boolean {
    return context.link === this.#link;
  }

  #see(slot: number): ClientContext<Data> | undefined {
    const birth = this.#unseen.take(slot);
    if (birth === undefined) return undefined;
    const { local, age } = birth;
    const context = ClientContext.create(this.#link, birth, local, age, undefined as Data);
    context.phase = Phase.open;
    this.#put(context);
    return context;
  }

  #put(context: ClientContext<Data>): void {
    while (this.#contexts.length < context.slot) this.#contexts.push(undefined);
    this.#contexts[context.slot] = context;
  }

  /** Binds and listens on a numeric address or a path. Throws an IocpError. */
  listen(settings: ListenSettings, address: string): AddressInfo {
    const { port, path, backlog, ipv6Only, reusePort } = settings;
    const answer = this.#engine.listen(address, port, path, backlog, ipv6Only, reusePort);
    if (answer.status !== 0) {
      const syscall = syscallName(addon, answer.syscall) ?? 'listen';
      const where = path === '' ? { address, port } : { address: path };
      throw errorFromStatus(addon, answer.status, { syscall, ...where });
    }
    const bound: AddressInfo =
      path === ''
        ? { address: answer.address, family: familyName(answer.family), port: answer.port }
        : { address: path, family: 'local', port: 0 };
    this.#listeners.set(answer.id, bound);
    this.updateRef();
    return bound;
  }

  /** The addresses that are listened on. */
  bound(): AddressInfo[] {
    return [...this.#listeners.values()];
  }

  pauseAccept(): void {
    this.#engine.pauseAccept();
  }

  resumeAccept(): void {
    this.#engine.resumeAccept();
  }

  /** Connects to one numeric address or path; resolves after the `connection` event. */
  connect(attempt: Attempt<Data>): Promise<ClientContext<Data>> {
    return new Promise((resolve, reject) => {
      if (this.#closing) return reject(closedError('connect'));
      if (attempt.signal?.aborted) return reject(abortError(attempt.signal));
      this.#token = (this.#token % 0xffff_ffff) + 1;
      const token = this.#token;
      const onAbort = (): void => this.#abort(token);
      attempt.signal?.addEventListener('abort', onAbort, { once: true });
      const forget = (): void => attempt.signal?.removeEventListener('abort', onAbort);
      this.#connects.set(token, {
        attempt,
        resolve: (context) => (forget(), resolve(context)),
        reject: (error) => (forget(), reject(error)),
      });
      const { address, port, path, localAddress, timeoutMs } = attempt;
      const status = this.#engine.connect(token, address, port, path, localAddress, timeoutMs);
      if (status !== 0) this.onConnectFailed(token, status, 0);
    });
  }

  /** Whether files are on their way. */
  get hasTransfers(): boolean {
    return this.#link.files?.busy === true;
  }

  /** Before a close: lets the files that are on their way arrive, for so long at most. */
  async endTransfers(graceMs: number): Promise<void> {
    this.#engine.pauseAccept();
    await this.#link.files?.end(graceMs);
  }

  /** Ends everything; `onClosed` follows. */
  close(graceMs: number): void {
    this.sender.flush();
    this.sender.closing = true;
    this.#closing = true;
    for (const [token, pending] of [...this.#connects]) {
      this.#connects.delete(token);
      this.#engine.cancelConnect(token);
      pending.reject(closedError('connect'));
    }
    this.#engine.close(graceMs);
    this.updateRef();
  }

  /** Resets what is still there, during a close. */
  reset(): void {
    for (const context of this.contexts()) this.sender.disconnect(context, false, 0);
  }

  /** After `onClosed`. */
  destroy(): void {
    this.#link.files?.destroy();
    this.#engine.destroy();
    forget(this.#engine);
    this.#slabs.clear();
  }

  stats(): Omit<IocpStats, 'jobs'> {
    this.#engine.stats(this.#figures);
    return buildStats(addon.statNames, this.#figures, {
      flushes: this.#batch.flushes,
      slabs: this.#slabs.lent,
      droppedSends: this.sender.dropped,
    });
  }

  ref(wanted: boolean): void {
    this.#wantsRef = wanted;
    this.updateRef();
  }

  /** The event loop is kept alive only while there is something to wait for. */
  updateRef(): void {
    const busy =
      this.#listeners.size + this.connecting + this.#count > 0 ||
      this.#closing ||
      this.#link.files?.busy === true;
    const wanted = this.#wantsRef && busy;
    if (wanted === this.#hasRef) return;
    this.#hasRef = wanted;
    if (wanted) this.#engine.ref();
    else this.#engine.unref();
  }

  // --- events ---------------------------------------------------------------------------------------------

  readonly #deliver = (count: number, larges: Buffer[] | undefined): void => {
    const { sender } = this;
    this.#reader.take(count, larges);
    sender.delivering = true;
    try {
      this.#work();
      this.#reader.dispatch();
    } finally {
      sender.delivering = false;
      sender.flush();
    }
    const closed = this.#closed;
    this.#closed = undefined;
    if (closed !== undefined) this.#onClosed(closed.ended, closed.reset);
  };

  #work(): void {
    for (let step = this.#todo.shift(); step !== undefined; step = this.#todo.shift()) step();
  }

  onPackage(slot: number, payload: Buffer): void {
    const context = this.at(slot);
    if (context === undefined || context.phase >= Phase.aborted) return;
    if (this.#link.files?.onPackage(context, payload) === true) return;
    if (context.held === undefined) this.#emitter.emit('package', context, payload);
    else context.held.packages.push(payload);
  }

  /** A context resumes: what it held back comes first, then the engine reads on. */
  readonly #release = (context: ClientContext): void => {
    process.nextTick(() => {
      const { held } = context;
      if (held === undefined) return;
      try {
        while (held.resuming && context.phase < Phase.aborted) {
          const payload = held.packages.shift();
          if (payload === undefined) {
            context.held = undefined;
            this.#engine.resume(context.slot, context.generation);
            if (held.ended) this.sender.finishSoon(context);
            return;
          }
          this.#emitter.emit('package', context as ClientContext<Data>, payload);
        }
      } finally {
        // A listener threw: its exception surfaces, and the rest follows.
        if (context.held === held && held.resuming) this.#release(context);
      }
    });
  };

  onConnected(record: ConnectedRecord): void {
    const { slot, generation, token } = record;
    const pending = this.#connects.get(token);
    this.#connects.delete(token);
    if (token !== 0 && pending === undefined) {
      this.#engine.disconnect(slot, generation, false, 0);
      return;
    }
    const link = this.#link;
    const local = localEnd(link, record);
    const age = Date.now() - link.epoch;
    this.#count++;
    this.updateRef();
    const isAwaited = token !== 0 || link.files !== undefined;
    if (!isAwaited && !this.#hears('context') && !this.#hears('connection')) {
      this.#unseen.add(record, local, age);
      return;
    }
    const data = pending?.attempt.data as Data;
    const context = ClientContext.create(link, record, local, age, data);
    this.#put(context);
    link.files?.onConnected(context, token !== 0);
    this.#todo.push(() => this.#emitter.emit('context', context));
    this.#todo.push(() => {
      if (context.phase === Phase.fresh) context.phase = Phase.open;
      pending?.resolve(context);
      this.#emitter.emit('connection', context);
    });
    this.#work();
  }

  #hears(event: keyof IocpEvents<Data>): boolean {
    return this.#emitter.listenerCount(event) > 0;
  }

  onEnded(slot: number): void {
    const context = this.at(slot);
    if (context === undefined) return;
    context.sawEnd = true;
    if (context.held !== undefined) {
      context.held.ended = true;
      return;
    }
    this.sender.finishSoon(context);
  }

  onDrain(slot: number): void {
    const context = this.#contexts[slot];
    if (context !== undefined && this.sender.drained(context)) this.#emitter.emit('drain', context);
  }

  onWritten(slot: number, token: number): void {
    const context = this.#contexts[slot];
    if (context !== undefined) this.sender.written(context, token);
  }

  onDisconnected(record: DisconnectedRecord): void {
    const { slot } = record;
    const isUnheard = !this.#hears('disconnect') && this.#contexts[slot] === undefined;
    if (isUnheard && this.#unseen.take(slot) !== undefined) {
      this.#count--;
      this.updateRef();
      return;
    }
    const context = this.at(slot);
    if (context === undefined) return;
    this.#contexts[slot] = undefined;
    this.#count--;
    context.end(record);
    this.updateRef();
    for (const { callback } of context.waiting?.splice(0) ?? []) {
      this.#todo.push(() => callback(goneError(context.id)));
    }
    for (const { callback } of context.hold?.sends ?? []) {
      if (callback !== undefined) this.#todo.push(() => callback(goneError(context.id)));
    }
    context.hold = undefined;
    const reason = disconnectReason(record);
    this.#link.files?.onDisconnected(context, reason);
    this.#todo.push(() => this.#emitter.emit('disconnect', context, reason));
    this.#work();
  }

  onRefused(record: RefusedRecord): void {
    const { remoteAddress, remotePort, family, status } = record;
    this.#emitter.emit('refuse', {
      remoteAddress,
      remotePort,
      remoteFamily: familyName(family),
      reason: { code: statusCode(addon, status), message: statusMessage(addon, status) },
    });
  }

  onConnectFailed(token: number, status: number, syscall: number): void {
    const pending = this.#connects.get(token);
    if (pending === undefined) return;
    this.#connects.delete(token);
    const { address, port, path } = pending.attempt;
    const where = path === '' ? { address, port } : { address: path };
    const name = syscallName(addon, syscall) ?? 'connect';
    pending.reject(errorFromStatus(addon, status, { syscall: name, ...where }));
  }

  onListenerFailed(listener: number, status: number, syscall: number): void {
    const where = this.#listeners.get(listener);
    this.#listeners.delete(listener);
    this.updateRef();
    const details = { syscall: syscallName(addon, syscall) ?? 'accept', address: where?.address };
    this.#emitter.emit('error', errorFromStatus(addon, status, details));
  }

  onClosed(ended: number, reset: number): void {
    this.#closed = { ended, reset };
  }

  onFile(record: FileRecord): void {
    this.#link.files?.onFile(record);
  }

  #abort(token: number): void {
    const pending = this.#connects.get(token);
    if (pending === undefined) return;
    this.#connects.delete(token);
    this.#engine.cancelConnect(token);
    pending.reject(abortError(pending.attempt.signal as AbortSignal));
  }
}
