// What a job is to the function that runs it, in whichever thread, and what a module of jobs exports. Knows no queue.

import type { ClientHandle, DisconnectReason } from './types.js';

/** One job, as `processJob` gets it. */
export interface Job<Data = unknown> {
  /** Names the job while it exists; a safe integer. */
  readonly id: number;
  /** What was given to `addJob`: a copy in a logical worker, the very value on the main thread. */
  readonly data: Data;
  /**
   * The connection that was given to `addJob`; undefined when none was, or when it had gone by the time the job first
   * looked. In a logical worker it is what {@link JobEngine.findClient} finds there.
   */
  readonly context: ClientHandle | undefined;
  /** Higher ones run first. */
  readonly priority: number;
  /** Fires when the caller's signal was aborted or the job's time is over: nobody waits for the result any more. */
  readonly signal: AbortSignal;
  /** When it was added, in milliseconds since 1970-01-01 UTC. */
  readonly enqueuedAt: number;
}

/** What a job can ask of the engine it belongs to. */
export interface JobEngine {
  /**
   * Wraps a result whose listed objects (`ArrayBuffer`s, `MessagePort`s) are moved to the caller rather than copied,
   * as in `return engine.move(bytes, [bytes.buffer])`.
   */
  move<Result>(result: Result, transfer: readonly TransferableObject[]): Result;
  /**
   * The live connection with this id. In a logical worker, what it sends goes to the I/O workers without a detour over
   * the main thread.
   */
  findClient(id: number): ClientHandle | undefined;
}

/** What structured clone can move. */
export type TransferableObject = ArrayBuffer | import('node:worker_threads').MessagePort;

/** The function that runs jobs: the default export of the module that `jobs` names. */
export type ProcessJob = (job: Job<never>, engine: JobEngine) => unknown;

/**
 * Processes one package, with `deliver: 'workers'`: the export `processPackage`. Packages of one connection come in
 * order, each when what the one before returned has settled. What it throws is the worker's `uncaughtException`, and a
 * rejection its `unhandledRejection`: both end the worker, unless its module has a listener for them.
 */
export type ProcessPackage = (context: ClientHandle, payload: Buffer, engine: JobEngine) => unknown;
/** The export `processConnection`: a connection is new. Its packages wait while the returned promise is pending. */
export type ProcessConnection = (context: ClientHandle, engine: JobEngine) => unknown;
/** The export `processDrain`: after a `send` returned false, the queue fell below the low-water mark. */
export type ProcessDrain = (context: ClientHandle, engine: JobEngine) => void;
/** The export `processDisconnect`: a connection is over, and its packages are processed. */
export type ProcessDisconnect = (
  context: ClientHandle,
  reason: DisconnectReason,
  engine: JobEngine,
) => void;

/** What a module exports that processes packages. */
export interface ServiceModule {
  processPackage: ProcessPackage;
  processConnection?: ProcessConnection | undefined;
  processDrain?: ProcessDrain | undefined;
  processDisconnect?: ProcessDisconnect | undefined;
}

/** What the queue knows of a job. */
export interface JobHead {
  readonly id: number;
  readonly priority: number;
  readonly waitedUs: number;
  /** The id of the connection it is about; 0 = none. */
  readonly about: number;
}

/** A job while it runs. Its signal and its context are made when they are first asked for: few jobs do. */
export class RunningJob<Data = unknown> implements Job<Data> {
  readonly id: number;
  readonly data: Data;
  readonly priority: number;
  readonly enqueuedAt: number;
  readonly #findClient: JobEngine['findClient'];
  /** To be looked up yet; 0 = nothing. */
  #about: number;
  #context: ClientHandle | undefined;
  #controller: AbortController | undefined;
  #aborted = false;

  constructor(head: JobHead, data: Data, { findClient }: JobEngine) {
    this.id = head.id;
    this.data = data;
    this.priority = head.priority;
    this.enqueuedAt = Date.now() - head.waitedUs / 1000;
    this.#about = head.about;
    this.#findClient = findClient;
  }

  get context(): ClientHandle | undefined {
    if (this.#about !== 0) this.#context = this.#findClient(this.#about);
    this.#about = 0;
    return this.#context;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort();
    return this.#controller.signal;
  }

  /** @internal Fires the signal. */
  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }
}

/** A result to be moved. Made by `JobEngine.move` in a logical worker. */
export class Moved {
  constructor(
    readonly value: unknown,
    readonly transfer: readonly TransferableObject[],
  ) {}
}

/** Whether a job's function has only begun. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === 'function';
}

/** The default export of a module of either kind. `optional`: without one, every job is rejected. */
export function processJobOf(loaded: unknown, module: string, optional = false): ProcessJob {
  // A CommonJS module that was compiled from `export default` has one more `default` inside.
  const outer = (loaded as { default?: unknown }).default;
  const inner = typeof outer === 'function' ? outer : (outer as { default?: unknown })?.default;
  if (typeof inner === 'function') return inner as ProcessJob;
  const missing = new TypeError(`jobs: ${module} must have a function as its default export`);
  if (!optional) throw missing;
  return () => Promise.reject(missing);
}

/** The exports of a module of either kind that process packages. */
export function serviceOf(loaded: unknown, module: string): ServiceModule {
  const outer = loaded as Record<string, unknown>;
  const inner = (outer['default'] ?? {}) as Record<string, unknown>;
  const exported = (name: string): unknown => {
    const found = outer[name] ?? inner[name];
    if (found === undefined || typeof found === 'function') return found;
    throw new TypeError(`jobs: ${name} of ${module} must be a function`);
  };
  const processPackage = exported('processPackage');
  if (processPackage === undefined) {
    throw new TypeError(`jobs: ${module} must export processPackage for deliver 'workers'`);
  }
  return {
    processPackage,
    processConnection: exported('processConnection'),
    processDrain: exported('processDrain'),
    processDisconnect: exported('processDisconnect'),
  } as ServiceModule;
}
