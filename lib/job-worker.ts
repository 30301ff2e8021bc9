// The program of a logical worker: takes jobs from the native queue, one at a time, runs the user's module on them and
// gives the results back. Runs in a worker_thread of its own; connections are
// worker-engine.ts.

import { parentPort, workerData } from 'node:worker_threads';

import { addon, type JobForm } from './binding.js';
import {
  isThenable,
  type JobEngine,
  type JobHead,
  Moved,
  type ProcessJob,
  processJobOf,
  RunningJob,
  type ServiceModule,
  serviceOf,
} from './job.js';
import { Form, pack, type Packed, packThrown, POSTED, unpack } from './job-values.js';
import {
  decideEntry,
  Entry,
  type FromWorker,
  type ToWorker,
  type WorkerStart,
} from './job-workers.js';
import { WorkerEngine } from './worker-engine.js';

/** After so many jobs that ended at once the thread's event loop gets its turn. */
const JOBS_PER_TURN = 64;

// Not destructured whole: a `module` of our own would hide CommonJS' one.
const start = workerData as WorkerStart;
const port = parentPort!;
const tell = (message: FromWorker, transfer: readonly object[] = []): void =>
  port.postMessage(message, transfer as never);

/** This thread's end of the engine, when it is first needed and there is one. */
let ofEngine: WorkerEngine | undefined;

const engine: JobEngine = {
  move: (result, transfer) => new Moved(result, transfer) as never,
  findClient: (id) => engineEnd()?.find(id),
};

/** What the user's module does with packages; without `deliver: 'workers'`, nothing. */
let service: ServiceModule = { processPackage: () => {} };

function engineEnd(): WorkerEngine | undefined {
  const handle = Atomics.load(start.engine, 0);
  if (handle === 0) return undefined;
  ofEngine ??= new WorkerEngine(handle, start.number, start.settings, service, engine);
  return ofEngine;
}

class LogicalWorker {
  readonly #processJob: ProcessJob;
  readonly #native = new addon.JobWorker(start.handle, start.number, () => this.#onRing());
  #busy = false;
  #serves = false;
  #retired = false;
  #running: RunningJob | undefined;
  /** A job that waits for its posted data. */
  #awaited: (JobHead & { aborted: boolean }) | undefined;

  constructor(processJob: ProcessJob) {
    this.#processJob = processJob;
    port.on('message', (message: ToWorker) => this.#onMessage(message));
    port.unref();
  }

  start(): void {
    tell({ kind: 'ready' });
    this.#work();
  }

  #onRing(): void {
    for (const id of this.#native.takeCancelled()) {
      if (this.#running?.id === id) this.#running.abort();
      if (this.#awaited?.id === id) this.#awaited.aborted = true;
    }
    if (!this.#busy) this.#work();
  }

  readonly #work = (): void => {
    this.#busy = true;
    for (let jobs = 0; jobs < JOBS_PER_TURN; jobs++) {
      const row = this.#native.take();
      if (row === undefined) {
        this.#busy = false;
        return;
      }
      if (row === null) {
        this.#retire();
        return;
      }
      const [id, priority, waitedUs, about, form, value] = row;
      const head = { id, priority, waitedUs, about };
      if (form === Form.posted) {
        this.#awaited = { ...head, aborted: false };
        port.ref();
        tell({ kind: 'need', id });
        return;
      }
      const job = new RunningJob(head, unpack(form, value), engine);
      if (!this.#run(job)) return;
    }
    setImmediate(this.#work);
  };

  /** No more jobs; connections go to other workers first. */
  #retire(): void {
    this.#retired = true;
    // Ends this thread only.
    if (this.#serves) ofEngine!.retire(() => process.exit());
    else process.exit();
  }

  #onMessage(message: ToWorker): void {
    if (message.kind === 'data') {
      this.#onPosted(message.id, message.data);
    } else if (start.deliver && !this.#retired) {
      this.#serves = true;
      engineEnd()?.serve();
      tell({ kind: 'serving' });
    }
  }

  #onPosted(id: number, data: unknown): void {
    const awaited = this.#awaited;
    if (awaited?.id !== id) return;
    this.#awaited = undefined;
    port.unref();
    const job = new RunningJob(awaited, data, engine);
    if (awaited.aborted) job.abort();
    if (this.#run(job)) this.#work();
  }

  /** False = it goes on by itself and calls #work when it is over. */
  #run(job: RunningJob): boolean {
    this.#running = job;
    let result: unknown;
    try {
      result = this.#processJob(job as never, engine);
    } catch (thrown) {
      this.#fail(job, thrown);
      return true;
    }
    if (!isThenable(result)) {
      this.#done(job, result);
      return true;
    }
    void result
      .then(
        (value) => this.#done(job, value),
        (thrown: unknown) => this.#fail(job, thrown),
      )
      .then(this.#work);
    return false;
  }

  #done(job: RunningJob, result: unknown): void {
    try {
      const packed = this.#pack(job, result);
      this.#finish(job, false, packed);
    } catch (uncloneable) {
      this.#fail(job, uncloneable);
    }
  }

  #pack(job: RunningJob, result: unknown): Packed {
    const packed = result instanceof Moved ? undefined : pack(result);
    if (packed !== undefined) return packed;
    const { value, transfer } = result instanceof Moved ? result : new Moved(result, []);
    tell({ kind: 'result', id: job.id, result: value }, transfer);
    return POSTED;
  }

  #fail(job: RunningJob, thrown: unknown): void {
    this.#finish(job, true, packThrown(thrown));
  }

  #finish(job: RunningJob, failed: boolean, packed: Packed): void {
    this.#running = undefined;
    const { form, value } = packed;
    if (this.#native.finish(job.id, failed, form as JobForm, value)) return;
    // Out of memory for the result, most likely: its caller must hear of it all the same.
    const reason = packThrown(new Error('there was not enough memory for the result'));
    this.#native.finish(job.id, true, reason.form as JobForm, reason.value);
  }
}

async function main(): Promise<void> {
  // A real import() also in CommonJS output, so that modules of either kind load.
  const loaded: unknown = await import(start.module);
  if (start.deliver) service = serviceOf(loaded, start.module);
  const processJob = processJobOf(loaded, start.module, start.deliver);
  if (!decideEntry(start.entry, Entry.entered)) return; // it is being ended
  new LogicalWorker(processJob).start();
}

void main();
