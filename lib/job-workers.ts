// The logical workers' threads: as many as are wanted, replaced when they die. Knows threads and their number, not jobs.

import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

import type { NativeFraming } from './binding.js';
import type { OverflowPolicy } from './types.js';

/** What a worker's program is started with. */
export interface WorkerStart {
  /** The queue's handle. */
  handle: number;
  /** The worker's number. */
  number: number;
  /** URL of the user's module. */
  module: string;
  /** Memory of one word, shared by all: the engine's handle, once there is an engine. */
  engine: Int32Array;
  /** Memory of one word, this worker's: its {@link Entry}. */
  entry: Int32Array;
  settings: EngineSettings;
  /** Whether the module processes packages. */
  deliver: boolean;
}

/** Who came first: the worker to the queue, or its owner, who does not want it any more. Decided once, by one of them. */
export const Entry = { open: 0, entered: 1, barred: 2 } as const;

/** True when it is `wanted` by this call; false when the other one was first. */
export function decideEntry(entry: Int32Array, wanted: 1 | 2): boolean {
  return Atomics.compareExchange(entry, 0, Entry.open, wanted) === Entry.open;
}

/** What a worker must know of the engine to send. */
export interface EngineSettings {
  framing: NativeFraming;
  highWaterMark: number;
  maxQueuedBytes: number;
  onOverflow: OverflowPolicy;
}

/** A worker's messages; everything that needs no message goes through the native queue. */
export type FromWorker =
  /** It has loaded its module, and takes jobs. */
  | { kind: 'ready' }
  /** It takes connections as well. */
  | { kind: 'serving' }
  /** The data of this job travels by message. */
  | { kind: 'need'; id: number }
  /** The result of this job, which the queue announces apart. */
  | { kind: 'result'; id: number; result: unknown };

/** The data of a job that was asked for, or the sign that connections may come. */
export type ToWorker = { kind: 'data'; id: number; data: unknown } | { kind: 'serve' };

/** What the set tells its owner. */
export interface WorkerEvents {
  onNeed(id: number, send: (data: unknown, transfer: readonly object[]) => void): void;
  onResult(id: number, result: unknown): void;
  /** A thread that was not asked to end has ended. `ready`: it had loaded its module. */
  onDeath(number: number, cause: Error, ready: boolean): void;
  /** A thread that was asked to end has ended; `cause` says how, should it have left a job undone. */
  onRetired(number: number, cause: Error): void;
}

interface Thread {
  worker: Worker;
  entry: Int32Array;
  ready: boolean;
  retiring: boolean;
  bornAt: number;
  cause: Error | undefined;
}

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

/** A thread that lived shorter than this is replaced after a pause, which doubles. */
const SHORT_LIFE_MS = 1000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

/** Keeps `target` logical workers. */
export class JobWorkers {
  readonly #start: Omit<WorkerStart, 'number' | 'entry'>;
  readonly #events: WorkerEvents;
  readonly #retire: (number: number) => void;
  readonly #threads = new Map<number, Thread>();
  #target = 0;
  #lastNumber = 0;
  #pauseMs = 0;
  #pause: NodeJS.Timeout | undefined;
  #waiters: Waiter[] = [];

  constructor(
    start: Omit<WorkerStart, 'number' | 'entry'>,
    events: WorkerEvents,
    retire: (number: number) => void,
  ) {
    this.#start = start;
    this.#events = events;
    this.#retire = retire;
  }

  /** Workers that are wanted. */
  get target(): number {
    return this.#target;
  }

  /** Whether somebody waits for the number to be reached. */
  get awaited(): boolean {
    return this.#waiters.length > 0;
  }

  /** Whether any worker takes jobs. */
  get anyReady(): boolean {
    return [...this.#threads.values()].some((thread) => thread.ready && !thread.retiring);
  }

  /** Resolves when exactly so many workers run; those that are too many finish their jobs first. */
  resize(target: number): Promise<void> {
    this.#target = target;
    this.#pauseMs = 0;
    this.#adjust();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#tellWaiters();
    });
  }

  /** Ends the threads, whatever they are doing; before that they have `graceMs` to end by themselves. */
  async terminate(graceMs: number): Promise<void> {
    clearTimeout(this.#pause);
    this.#pause = undefined;
    if (graceMs > 0) await this.#untilEnded(graceMs);
    this.#target = 0;
    for (const thread of this.#threads.values()) thread.retiring = true;
    await Promise.all([...this.#threads.values()].map(({ worker }) => worker.terminate()));
  }

  #untilEnded(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      const ended = (): void => {
        clearTimeout(timer);
        resolve();
      };
      this.resize(0).then(ended, ended);
    });
  }

  #adjust(): void {
    const staying = [...this.#threads].filter(([, thread]) => !thread.retiring);
    for (const [number, thread] of staying.slice(this.#target)) {
      thread.retiring = true;
      // One that is barred from the queue has no job to lose. Another is told through the queue, and told again when it
      // says that it is ready, for it may be on its way there.
      if (decideEntry(thread.entry, Entry.barred)) void thread.worker.terminate();
      else this.#retire(number);
    }
    if (this.#pause !== undefined) return;
    for (let missing = this.#target - staying.length; missing > 0; missing--) this.#spawn();
  }

  #spawn(): void {
    const number = ++this.#lastNumber;
    const entry = new Int32Array(new SharedArrayBuffer(4));
    const start: WorkerStart = { ...this.#start, number, entry };
    const worker = new Worker(join(__dirname, 'job-worker.js'), {
      workerData: start,
      name: `iocp job worker ${number}`,
    });
    const thread: Thread = {
      worker,
      entry,
      ready: false,
      retiring: false,
      bornAt: performance.now(),
      cause: undefined,
    };
    this.#threads.set(number, thread);
    worker.on('message', (message: FromWorker) => this.#onMessage(number, thread, message));
    worker.on('error', (error: Error) => (thread.cause = error));
    worker.on('exit', (code) => this.#onExit(number, thread, code));
    // Jobs keep the process alive, idle workers do not. After the listeners: each would make it count again.
    worker.unref();
  }

  #onMessage(number: number, thread: Thread, message: FromWorker): void {
    switch (message.kind) {
      case 'ready':
        if (thread.retiring) this.#retire(number);
        else if (!this.#start.deliver) this.#onReady(thread);
        // Only now: it could not be ended otherwise than with its connections.
        else thread.worker.postMessage({ kind: 'serve' } satisfies ToWorker);
        break;
      case 'serving':
        this.#onReady(thread);
        break;
      case 'need': {
        const { id } = message;
        this.#events.onNeed(id, (data, transfer) =>
          thread.worker.postMessage(
            { kind: 'data', id, data } satisfies ToWorker,
            transfer as never,
          ),
        );
        break;
      }
      case 'result':
        this.#events.onResult(message.id, message.result);
        break;
    }
  }

  #onReady(thread: Thread): void {
    thread.ready = true;
    this.#tellWaiters();
  }

  #onExit(number: number, thread: Thread, code: number): void {
    this.#threads.delete(number);
    const cause = thread.cause ?? new Error(`the worker thread ended with exit code ${code}`);
    if (thread.retiring) {
      this.#events.onRetired(number, cause);
    } else {
      this.#events.onDeath(number, cause, thread.ready);
      if (!thread.ready) this.#failWaiters(cause);
      this.#replace(performance.now() - thread.bornAt < SHORT_LIFE_MS);
    }
    this.#tellWaiters();
  }

  #replace(shortLived: boolean): void {
    if (!shortLived) this.#pauseMs = 0;
    if (this.#pauseMs > 0 && this.#pause === undefined) {
      this.#pause = setTimeout(() => {
        this.#pause = undefined;
        this.#adjust();
      }, this.#pauseMs).unref();
    }
    if (shortLived) {
      this.#pauseMs = Math.min(Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2), LONGEST_PAUSE_MS);
    }
    this.#adjust();
  }

  #tellWaiters(): void {
    const threads = [...this.#threads.values()];
    const reached = threads.length === this.#target && threads.every((thread) => thread.ready);
    if (!reached) return;
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }

  #failWaiters(cause: Error): void {
    for (const { reject } of this.#waiters.splice(0)) reject(cause);
  }
}
