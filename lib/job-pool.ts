// The jobs of one engine on their way: who waits for which result, what happens when the queue is full, and when the
// caller gives up. The queue itself is native; threads are job-workers.ts; the function that runs a job is the user's.

import { AsyncResource } from 'node:async_hooks';

import { addon, type JobForm, type JobQueue, type JobWorker } from './binding.js';
import { abortError, closedError, IocpError } from './errors.js';
import { Fifo } from './fifo.js';
import {
  isThenable,
  type JobEngine,
  type JobHead,
  type ProcessJob,
  processJobOf,
  RunningJob,
} from './job.js';
import { Form, HELD, pack, type Packed, POSTED, unpack, unpackThrown } from './job-values.js';
import { type EngineSettings, JobWorkers } from './job-workers.js';
import type { JobSettings, JobRequest } from './options.js';
import type { ClientHandle, JobStats } from './types.js';

/** Jobs on the main thread give the event loop its turn after so many milliseconds. */
const MAIN_TURN_MS = 5;
/** The number of the main thread among the queue's workers. */
const MAIN_WORKER = 0;
/** How a job ended; the numbers are the addon's. */
const Outcome = { done: 0, failed: 1, workerDied: 2 } as const;
/** What cancelling answers; the numbers are the addon's. */
const Cancelled = { gone: 0, removed: 1, running: 2 } as const;
const RESULT_WORDS = 5;
/** Results taken at a time: between two portions those who wait for them run, and their memory can be reclaimed. */
const RESULTS_PER_TURN = 1024;
const FIGURES = 9;

/** One caller of `addJob`. */
class Entry {
  /** 0 until the queue has it. */
  id = 0;
  settled = false;
  /** The function form's data, or what a message port will carry. */
  data: unknown;
  transfer: readonly object[] = [];
  /** What the caller's asynchronous context is, for jobs on this thread. */
  resource: AsyncResource | undefined;
  running: RunningJob | undefined;
  /** A posted result that the queue has not announced yet, or the other way round. */
  posted: { result: unknown } | undefined;
  announced = false;
  #timer: NodeJS.Timeout | undefined;
  #forget: (() => void) | undefined;

  constructor(
    readonly request: JobRequest,
    readonly resolve: (result: unknown) => void,
    readonly reject: (reason: unknown) => void,
  ) {}

  /** Calls `giveUp` when the caller does not want to wait any more. */
  watch(giveUp: (reason: Error) => void): void {
    const { signal, timeoutMs } = this.request;
    if (signal !== undefined) {
      const onAbort = (): void => giveUp(abortError(signal));
      signal.addEventListener('abort', onAbort, { once: true });
      this.#forget = () => signal.removeEventListener('abort', onAbort);
    }
    if (timeoutMs > 0) {
      this.#timer = setTimeout(() => {
        const message = `the job was not done within ${timeoutMs} ms`;
        giveUp(new IocpError('ERR_IOCP_JOB_TIMEOUT', message));
      }, timeoutMs);
    }
  }

  /** True the first time: the caller is to be answered now. */
  settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    clearTimeout(this.#timer);
    this.#forget?.();
    return true;
  }
}

/** The jobs of one engine. */
export class JobPool {
  readonly #settings: JobSettings;
  readonly #onError: (error: Error) => void;
  /** What jobs on the main thread get: there nothing has to be moved. */
  readonly #engine: JobEngine;
  /** The engine's handle, once there is an engine: all workers see this word. */
  readonly #handle = new Int32Array(new SharedArrayBuffer(4));
  readonly #queue: JobQueue;
  readonly #workers: JobWorkers | undefined;
  readonly #main: JobWorker | undefined;
  readonly #entries = new Map<number, Entry>();
  /** Added while the queue was full, under `onJobOverflow: 'wait'`. */
  readonly #waiting = new Fifo<{ entry: Entry; packed: Packed }>();
  /** Jobs whose worker died, until its thread has told why. */
  readonly #dead = new Map<number, Entry[]>();
  readonly #figures = new Float64Array(FIGURES);
  /** Those that run on their caller's thread, because the queue was full. */
  readonly #callers = new Set<Entry>();
  #callersDone = 0;
  #callersFailed = 0;
  #rejected = 0;
  #started = false;
  #closing = false;
  #ended = false;
  #referenced = true;
  #hasRef = false;
  #mainBusy = false;
  #loaded: Promise<ProcessJob> | undefined;
  #quiet: (() => void) | undefined;

  constructor(
    settings: JobSettings,
    engine: EngineSettings,
    findClient: (id: number) => ClientHandle | undefined,
    onError: (error: Error) => void,
  ) {
    this.#settings = settings;
    this.#engine = { move: (result) => result, findClient };
    this.#onError = onError;
    this.#queue = new addon.JobQueue(settings.maxQueuedJobs, () => this.#onRing());
    if (typeof settings.jobs === 'function') {
      this.#main = new addon.JobWorker(this.#queue.handle, MAIN_WORKER, () => this.#onMainRing());
      this.#main.unref();
      this.#main.take(); // nothing is there yet: from now on it is roused
      return;
    }
    this.#workers = new JobWorkers(
      {
        handle: this.#queue.handle,
        module: settings.jobs,
        engine: this.#handle,
        settings: engine,
        deliver: settings.deliver,
      },
      {
        onNeed: (id, send) => this.#onNeed(id, send),
        onResult: (id, result) => this.#onPostedResult(id, result),
        onDeath: (number, cause, ready) => this.#onDeath(number, cause, ready),
        onRetired: (number, cause) => {
          this.#rejectLost(number, cause);
          this.updateRef();
        },
      },
      (number) => this.#queue.retire(number),
    );
  }

  /** There is an engine, which workers may attach to. */
  engineStarted(handle: number): void {
    Atomics.store(this.#handle, 0, handle);
  }

  /** Starts the workers that the options ask for, once. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    const { workers } = this.#settings;
    // A failure to start is told by #onDeath.
    if (workers > 0) void this.#workers?.resize(workers).catch(() => {});
  }

  /** `Iocp.addJob`, with its arguments validated. */
  add(data: unknown, request: JobRequest): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#closing) return reject(closedError('addJob'));
      if (request.signal?.aborted) return reject(abortError(request.signal));
      this.start();
      const entry = new Entry(request, resolve, reject);
      const packed = this.#pack(entry, data);
      if (!this.#enqueue(entry, packed)) this.#overflow(entry, packed);
      if (entry.settled) return;
      entry.watch((reason) => this.#giveUp(entry, reason));
      this.updateRef();
    });
  }

  /** `Iocp.setWorkers`. */
  async setWorkers(count: number): Promise<void> {
    if (this.#closing) throw closedError('setWorkers');
    if (this.#workers === undefined) {
      throw new TypeError('setWorkers needs jobs to be a module: a function runs on this thread');
    }
    this.#started = true;
    const reached = this.#workers.resize(count);
    this.updateRef();
    try {
      await reached;
    } catch (cause) {
      throw diedError('no logical worker could be started', cause as Error);
    } finally {
      this.updateRef();
    }
  }

  /**
   * No more jobs. `'drain'` runs those that wait, `'reject'` rejects them; what is not over after `graceMs` is rejected
   * and its worker ended, by {@link end}.
   */
  async close(mode: 'drain' | 'reject', graceMs: number): Promise<void> {
    this.#closing = true;
    if (mode === 'reject' || this.#workers?.target === 0) this.#rejectWaiting();
    this.updateRef();
    await this.#untilQuiet(graceMs);
    this.#rejectWaiting();
    for (const entry of [...this.#entries.values(), ...this.#callers]) {
      this.#reject(entry, closedError('addJob'));
    }
    this.#entries.clear();
  }

  /** After {@link close}. Workers that process packages have `graceMs` to be done with them. */
  async end(graceMs: number): Promise<void> {
    await this.#workers?.terminate(graceMs);
    this.#main?.destroy();
    this.#ended = true;
    this.#queue.destroy();
  }

  /** Ends the wait of a {@link close} that is under way. */
  giveUp(): void {
    this.#quiet?.();
  }

  stats(): JobStats {
    this.#queue.stats(this.#figures);
    const [depth, running, done, failed, cancelled, wait50, wait99, run50, run99] = this.#figures;
    return {
      workers: this.#workers?.target ?? 0,
      depth: (depth as number) + this.#waiting.length,
      running: (running as number) + this.#callers.size,
      done: (done as number) + this.#callersDone,
      failed: (failed as number) + this.#callersFailed,
      cancelled: cancelled as number,
      rejected: this.#rejected,
      waitUs: { p50: wait50 as number, p99: wait99 as number },
      runUs: { p50: run50 as number, p99: run99 as number },
    };
  }

  /** As `ref` and `unref` of the engine. */
  setReferenced(referenced: boolean): void {
    this.#referenced = referenced;
    this.updateRef();
  }

  /** Pending jobs keep the event loop alive, idle workers do not. */
  updateRef(): void {
    const pending = this.#entries.size + this.#waiting.length + this.#dead.size > 0;
    const wanted = this.#referenced && (pending || this.#workers?.awaited === true);
    if (wanted !== this.#hasRef) {
      this.#hasRef = wanted;
      if (wanted) this.#queue.ref();
      else this.#queue.unref();
    }
    if (!pending && this.#callers.size === 0) this.#quiet?.();
  }

  // --- into the queue -----------------------------------------------------------------------------------------

  #pack(entry: Entry, data: unknown): Packed {
    if (this.#main !== undefined) {
      entry.data = data;
      entry.resource = new AsyncResource('IOCP_JOB');
      return HELD;
    }
    const { transfer } = entry.request;
    const packed = transfer.length === 0 ? pack(data) : undefined;
    if (packed !== undefined) return packed;
    // Cloned now, so that the caller may go on with what it gave; posted to whichever worker takes the job.
    const list = transfer as ArrayBuffer[];
    const clone = structuredClone({ data, transfer: list }, { transfer: list });
    entry.data = clone.data;
    entry.transfer = clone.transfer;
    return POSTED;
  }

  /** False = full. */
  #enqueue(entry: Entry, { form, value }: Packed): boolean {
    const { priority, context } = entry.request;
    const id = this.#queue.add(form as JobForm, value, priority, context);
    if (id === 0) return false;
    if (id < 0) {
      this.#reject(entry, new IocpError('ENOMEM', 'addJob ENOMEM: not enough memory'));
      return true;
    }
    entry.id = id;
    this.#entries.set(id, entry);
    return true;
  }

  #overflow(entry: Entry, packed: Packed): void {
    const { maxQueuedJobs, onJobOverflow } = this.#settings;
    switch (onJobOverflow) {
      case 'reject':
        this.#rejected++;
        this.#reject(
          entry,
          new IocpError(
            'ERR_IOCP_JOB_QUEUE_FULL',
            `addJob: ${maxQueuedJobs} jobs wait already (maxQueuedJobs)`,
          ),
        );
        break;
      case 'wait':
        this.#waiting.push({ entry, packed });
        break;
      case 'callerRuns':
        void this.#runHere(entry, packed);
        break;
    }
  }

  /** The caller's thread runs what the queue did not take. */
  async #runHere(entry: Entry, { form, value }: Packed): Promise<void> {
    this.#callers.add(entry);
    const travels = form !== Form.held && form !== Form.posted;
    const data = travels ? unpack(form, value) : entry.data;
    const { priority, context: about } = entry.request;
    const job = new RunningJob({ id: 0, priority, waitedUs: 0, about }, data, this.#engine);
    entry.running = job;
    try {
      const { jobs } = this.#settings;
      const processJob = typeof jobs === 'function' ? jobs : await this.#load(jobs);
      const result = await processJob(job as never, this.#engine);
      this.#callersDone++;
      if (entry.settle()) entry.resolve(result);
    } catch (error) {
      this.#callersFailed++;
      this.#reject(entry, error);
    }
    this.#callers.delete(entry);
    this.updateRef();
  }

  #load(module: string): Promise<ProcessJob> {
    this.#loaded ??= import(module).then((loaded: unknown) => processJobOf(loaded, module));
    return this.#loaded;
  }

  #admitWaiting(): void {
    for (let first = this.#waiting.first; first !== undefined; first = this.#waiting.first) {
      const { entry, packed } = first;
      if (!entry.settled && !this.#enqueue(entry, packed)) return;
      this.#waiting.shift();
    }
  }

  // --- out of the queue -----------------------------------------------------------------------------------------

  readonly #onRing = (): void => {
    if (this.#takeResults() && !this.#ended) setImmediate(this.#onRing);
    this.#admitWaiting();
    this.updateRef();
  };

  /** True: there may be more. */
  #takeResults(): boolean {
    const rows = this.#queue.takeResults(RESULTS_PER_TURN);
    for (let at = 0; at < rows.length; at += RESULT_WORDS) {
      const entry = this.#entries.get(rows[at] as number);
      if (entry === undefined) continue;
      const [outcome, worker, form] = rows.slice(at + 1, at + 4) as [number, number, Form];
      this.#onResult(entry, outcome, worker, form, rows[at + 4]);
    }
    return rows.length === RESULTS_PER_TURN * RESULT_WORDS;
  }

  #onResult(entry: Entry, outcome: number, worker: number, form: Form, value: unknown): void {
    if (outcome === Outcome.workerDied) {
      this.#entries.delete(entry.id);
      // The end of its thread, which is yet to be told, says why.
      this.#dead.set(worker, [...(this.#dead.get(worker) ?? []), entry]);
      return;
    }
    if (form === Form.posted && entry.posted === undefined) {
      entry.announced = true; // the message with the result is still on its way
      return;
    }
    this.#entries.delete(entry.id);
    if (form === Form.held || !entry.settle()) return;
    if (outcome === Outcome.failed) entry.reject(unpackThrown(form, value));
    else entry.resolve(entry.posted === undefined ? unpack(form, value) : entry.posted.result);
  }

  #onPostedResult(id: number, result: unknown): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.posted = { result };
    if (!entry.announced) return;
    this.#onResult(entry, Outcome.done, 0, Form.posted, undefined);
    this.updateRef();
  }

  #onNeed(id: number, send: (data: unknown, transfer: readonly object[]) => void): void {
    const entry = this.#entries.get(id);
    // Of a job that was given up: its worker waits all the same.
    send(entry?.data, entry?.transfer ?? []);
  }

  /** A worker's thread has ended: true when it left jobs undone, which their callers are told. */
  #rejectLost(number: number, cause: Error): boolean {
    // What the worker was running is a result by now, though perhaps not taken yet.
    while (this.#takeResults());
    this.#admitWaiting();
    const lost = this.#dead.get(number) ?? [];
    this.#dead.delete(number);
    for (const entry of lost) {
      this.#reject(entry, diedError('the logical worker that ran the job died', cause));
    }
    return lost.length > 0;
  }

  #onDeath(number: number, cause: Error, ready: boolean): void {
    const lost = this.#rejectLost(number, cause);
    let told = lost || (!ready && this.#workers?.awaited === true);
    if (!ready && this.#workers?.anyReady !== true) {
      told =
        this.#rejectWaiting(() => diedError('no logical worker could be started', cause)) || told;
    }
    if (!told && !this.#closing) this.#onError(diedError('a logical worker died', cause));
    this.updateRef();
  }

  #giveUp(entry: Entry, reason: Error): void {
    this.#reject(entry, reason);
    entry.running?.abort();
    if (entry.id !== 0) {
      const answer = this.#queue.cancel(entry.id);
      // The result of a running one is still awaited, to be thrown away.
      if (answer === Cancelled.removed) this.#entries.delete(entry.id);
    }
    this.#admitWaiting();
    this.updateRef();
  }

  #reject(entry: Entry, reason: unknown): void {
    if (entry.settle()) entry.reject(reason);
  }

  /** Rejects all that no worker has begun; true when there were any. */
  #rejectWaiting(reason: () => Error = () => closedError('addJob')): boolean {
    const entries = this.#waiting.takeAll().map(({ entry }) => entry);
    for (const id of this.#queue.clear()) {
      const entry = this.#entries.get(id);
      this.#entries.delete(id);
      if (entry !== undefined) entries.push(entry);
    }
    for (const entry of entries) this.#reject(entry, reason());
    return entries.length > 0;
  }

  #untilQuiet(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.#quiet = () => {
        clearTimeout(timer);
        resolve();
      };
      this.updateRef();
    });
  }

  // --- jobs on this thread ----------------------------------------------------------------------------------------

  #onMainRing(): void {
    for (const id of this.#main!.takeCancelled()) this.#entries.get(id)?.running?.abort();
    if (!this.#mainBusy) this.#runSome();
  }

  readonly #runSome = (): void => {
    this.#mainBusy = true;
    const end = performance.now() + MAIN_TURN_MS;
    do {
      const row = this.#main!.take();
      if (row === undefined || row === null) {
        this.#mainBusy = false;
        return;
      }
      const [id, priority, waitedUs, about] = row;
      this.#runHeld({ id, priority, waitedUs, about });
    } while (performance.now() < end);
    setImmediate(this.#runSome);
  };

  #runHeld(head: JobHead): void {
    const entry = this.#entries.get(head.id) as Entry;
    const job = new RunningJob(head, entry.data, this.#engine);
    entry.running = job;
    const processJob = this.#settings.jobs as ProcessJob;
    let result: unknown;
    try {
      result = (entry.resource as AsyncResource).runInAsyncScope(
        processJob,
        undefined,
        job,
        this.#engine,
      );
    } catch (thrown) {
      this.#finishHeld(entry, true, thrown);
      return;
    }
    if (!isThenable(result)) {
      this.#finishHeld(entry, false, result);
      return;
    }
    void result.then(
      (value) => this.#finishHeld(entry, false, value),
      (thrown: unknown) => this.#finishHeld(entry, true, thrown),
    );
  }

  #finishHeld(entry: Entry, failed: boolean, result: unknown): void {
    // The queue counts it; its announcement has nothing to add.
    this.#main!.finish(entry.id, failed, Form.held, undefined);
    if (!entry.settle()) return;
    if (failed) entry.reject(result);
    else entry.resolve(result);
  }
}

function diedError(what: string, cause: Error): IocpError {
  return new IocpError('ERR_IOCP_WORKER_DIED', `${what}: ${cause.message}`, { cause });
}
