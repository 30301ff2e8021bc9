// A logical worker's end of an engine: finds connections by their id, and, with `deliver: 'workers'`, gives the packages
// of the connections it was given to the user's module. Packages of one connection are given one after the other: while
// a promise of the module is pending they are held, and reading stops when they become too many.

import { deserialize, serialize } from 'node:v8';

import { addon, type EngineWorker } from './binding.js';
import { disconnectReason } from './disconnect-reason.js';
import {
  type ConnectedRecord,
  type DisconnectedRecord,
  EventReader,
  type EventSink,
} from './event-reader.js';
import { OutgoingFraming } from './framing.js';
import { isThenable, type JobEngine, type ServiceModule } from './job.js';
import type { EngineSettings } from './job-workers.js';
import { CONNECTIONS_MAX, RANGE_WORDS } from './records.js';
import { SlabSupply } from './slabs.js';
import { newService, type Service, WorkerContext, type WorkerLink } from './worker-context.js';

const RANGE_ROWS = 64;
const CONTEXT_FIGURES = 8;
/** One is read while the other is filled. */
const SLABS = 2;
/** Packages that a busy context may have waiting before its reading stops. */
const HELD_MAX = 16;
/** Answers leave after so many milliseconds, although more packages wait to be processed. */
const FLUSH_MS = 0.2;

/** A context that this worker serves. */
type Served = WorkerContext & { service: Service };

/** This worker's end of the engine. */
export class WorkerEngine implements EventSink {
  readonly #native: EngineWorker;
  readonly #link: WorkerLink;
  readonly #module: ServiceModule;
  readonly #engine: JobEngine;
  readonly #reader: EventReader;
  readonly #slabs: SlabSupply;
  readonly #contexts: Array<Served | undefined> = [];
  #count = 0;
  #delivering = false;
  /** When the first of the answers was sent that the I/O workers have not been told of; 0 = none. */
  #unflushedSince = 0;
  #finishing: Served[] = [];
  #onIdle: (() => void) | undefined;

  constructor(
    handle: number,
    number: number,
    settings: EngineSettings,
    module: ServiceModule,
    engine: JobEngine,
  ) {
    const ranges = new Int32Array(RANGE_ROWS * RANGE_WORDS);
    this.#native = new addon.EngineWorker(handle, number, this.#onRing, this.#deliver, ranges);
    const native = this.#native;
    this.#slabs = new SlabSupply((_lane, index, bytes) => native.supply(index, bytes));
    this.#reader = new EventReader(ranges, this.#slabs, this, 0);
    this.#module = module;
    this.#engine = engine;
    const { highWaterMark, maxQueuedBytes, onOverflow } = settings;
    this.#link = {
      native,
      framing: new OutgoingFraming(settings.framing),
      highWaterMark,
      maxQueuedBytes,
      onOverflow,
      figures: new Float64Array(CONTEXT_FIGURES),
      queued: () => this.#queued(),
      paused: (context) => this.#onPaused(context as Served),
    };
  }

  /** The live context with this id: the very one that is served here, or a handle of one that is not. */
  find(id: number): WorkerContext | undefined {
    const slot = id % CONNECTIONS_MAX;
    const generation = (id - slot) / CONNECTIONS_MAX;
    const here = this.#contexts[slot];
    if (here?.id === id) return here;
    if (!(generation > 0 && generation < 2 ** 32)) return undefined;
    const ends = this.#native.describe(slot, generation);
    if (ends === undefined) return undefined;
    const [family, remoteAddress, remotePort, localAddress, localPort] = ends;
    return new WorkerContext(this.#link, {
      ...{ slot, generation, family, remoteAddress, remotePort, localAddress, localPort },
    });
  }

  /** From now on this worker is given contexts. */
  serve(): void {
    this.#slabs.start(1, SLABS);
    this.#native.serve();
  }

  /** Lets go of all contexts, each when its packages are processed; `onIdle` is called when none is left. */
  retire(onIdle: () => void): void {
    this.#onIdle = onIdle;
    this.#native.retire();
    this.#checkIdle();
  }

  // --- events -------------------------------------------------------------------------------------------------

  readonly #onRing = (): void => {
    if (this.#native.pump()) setImmediate(this.#onRing);
    this.#checkIdle();
  };

  #checkIdle(): void {
    if (this.#onIdle === undefined || this.#count > 0 || !this.#native.idle) return;
    this.#onIdle();
  }

  readonly #deliver = (count: number, larges: Buffer[] | undefined): void => {
    this.#reader.take(count, larges);
    this.#delivering = true;
    try {
      this.#reader.dispatch();
    } finally {
      this.#delivering = false;
      this.#flush();
    }
  };

  #queued(): void {
    if (!this.#delivering) this.#native.flush();
    else if (this.#unflushedSince === 0) this.#unflushedSince = performance.now();
    else if (performance.now() - this.#unflushedSince > FLUSH_MS) this.#flush();
  }

  #flush(): void {
    if (this.#unflushedSince === 0) return;
    this.#unflushedSince = 0;
    this.#native.flush();
  }

  onConnected(record: ConnectedRecord): void {
    const context = new WorkerContext(this.#link, record) as Served;
    context.service = newService();
    this.#contexts[record.slot] = context;
    this.#count++;
    if (record.listener === 1) {
      const luggage = this.#native.luggage(record.slot, record.generation);
      if (luggage !== undefined) context.data = deserialize(luggage);
    }
    const { processConnection } = this.#module;
    if (record.token === 1 && processConnection !== undefined) {
      this.#await(context, processConnection(context, this.#engine));
    }
  }

  onPackage(slot: number, payload: Buffer): void {
    const context = this.#contexts[slot];
    if (context === undefined || context.service.aborted) return;
    const { service } = context;
    if (service.busy || service.paused || service.held.length > 0) {
      service.held.push(payload);
      if (service.held.length === HELD_MAX) this.#advance(context);
      return;
    }
    this.#await(context, this.#module.processPackage(context, payload, this.#engine));
  }

  onEnded(slot: number): void {
    const context = this.#contexts[slot];
    if (context === undefined) return;
    context.service.ended = true;
    this.#advance(context);
  }

  onDrain(slot: number): void {
    const context = this.#contexts[slot];
    const { processDrain } = this.#module;
    if (context === undefined || processDrain === undefined) return;
    processDrain(context, this.#engine);
  }

  onLeaving(slot: number, gone: boolean): void {
    const context = this.#contexts[slot];
    if (context === undefined) return;
    if (gone) {
      this.#forget(context);
      return;
    }
    context.service.leaving = true;
    this.#advance(context);
  }

  onDisconnected(record: DisconnectedRecord): void {
    const context = this.#contexts[record.slot];
    if (context === undefined) return;
    context.service.last = record;
    context.end(record);
    // Whoever paused it waits for nothing any more.
    context.service.paused = false;
    this.#advance(context);
  }

  // Of connections that are none of this worker's business.
  onWritten(): void {}
  onRefused(): void {}
  onConnectFailed(): void {}
  onListenerFailed(): void {}
  onClosed(): void {}

  // --- one context ----------------------------------------------------------------------------------------------

  /** The context is busy for as long as `result` is pending. A rejection is nobody's but the process'. */
  #await(context: Served, result: unknown): void {
    if (!isThenable(result)) return;
    context.service.busy = true;
    const settled = (): void => {
      context.service.busy = false;
      this.#advance(context);
    };
    void Promise.resolve(result).then(settled, (reason: unknown) => {
      settled();
      throw reason;
    });
  }

  #onPaused(context: Served): void {
    if (context.service.paused) this.#steerReading(context);
    // Perhaps a package is being processed now: what was held comes after it.
    else process.nextTick(() => this.#advance(context));
  }

  /** Whatever is next for the context, as far as it goes. */
  #advance(context: Served): void {
    const { service } = context;
    const { processPackage } = this.#module;
    while (!service.busy && !service.paused) {
      const payload = service.held.shift();
      if (payload === undefined) break;
      try {
        this.#await(context, processPackage(context, payload, this.#engine));
      } catch (error) {
        this.#raise(context, error);
        return;
      }
    }
    this.#steerReading(context);
    if (service.busy || service.paused || service.held.length > 0) return;
    if (service.last !== undefined) this.#disconnect(context, service.last);
    else if (service.leaving && !service.released) this.#release(context);
    else if (service.ended && !service.released) this.#finishSoon(context);
  }

  /** An uncaught exception, wherever it was thrown. Should somebody listen for those, the context goes on. */
  #raise(context: Served, error: unknown): void {
    process.nextTick(() => {
      setImmediate(() => this.#advance(context));
      throw error;
    });
  }

  #steerReading(context: Served): void {
    const { service, slot, generation } = context;
    if (service.last !== undefined) return;
    const crowded = service.held.length >= (service.readingPaused ? 1 : HELD_MAX);
    const wanted = service.paused || crowded;
    if (wanted === service.readingPaused) return;
    service.readingPaused = wanted;
    if (wanted) this.#native.pause(slot, generation);
    else this.#native.resume(slot, generation);
  }

  #release(context: Served): void {
    context.service.released = true;
    let luggage: Buffer | null = null;
    try {
      if (context.data !== undefined) luggage = serialize(context.data);
    } catch (error) {
      process.emitWarning(`context.data stays behind: ${(error as Error).message}`, 'IocpWarning');
    }
    this.#native.release(context.slot, context.generation, luggage);
  }

  #finishSoon(context: Served): void {
    // When this turn of the event loop is over, so that replies from promise continuations go out first.
    if (this.#finishing.push(context) === 1) setImmediate(this.#finish);
  }

  readonly #finish = (): void => {
    for (const { service, slot, generation } of this.#finishing.splice(0)) {
      const over = service.last !== undefined || service.aborted || service.released;
      if (!over) this.#native.finish(slot, generation);
    }
  };

  #disconnect(context: Served, record: DisconnectedRecord): void {
    this.#forget(context);
    setImmediate(() => this.#checkIdle());
    const { processDisconnect } = this.#module;
    processDisconnect?.(context, disconnectReason(record), this.#engine);
  }

  #forget(context: Served): void {
    if (this.#contexts[context.slot] !== context) return;
    this.#contexts[context.slot] = undefined;
    context.service.released = true;
    this.#count--;
  }
}
