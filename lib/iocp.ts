// The public class: the life of an engine, from the options to the close report.
// What happens on connections is engine-host.ts; nothing here touches bytes.

import { EventEmitter } from 'node:events';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';

import { addon } from './binding.js';
import { ClientContext } from './client-context.js';
import { connectToAny } from './connector.js';
import { EngineHost } from './engine-host.js';
import { closedError, IocpError } from './errors.js';
import { JobPool } from './job-pool.js';
import {
  type ListenSettings,
  readAddJobOptions,
  readCloseOptions,
  readConnectOptions,
  readDisconnectOptions,
  readListenOptions,
  readOptions,
  readSendToAllOptions,
  type Settings,
  workersOf,
} from './options.js';
import { CONNECTIONS_MAX } from './records.js';
import { resolveHost } from './resolve.js';
import { buildStats, NO_JOBS } from './stats.js';
import type {
  AddJobOptions,
  Addresses,
  CloseOptions,
  CloseReport,
  ConnectOptions,
  DisconnectOptions,
  IocpEvents,
  IocpOptions,
  IocpStats,
  ListenOptions,
  SendToAllOptions,
} from './types.js';

/** What the system says when it has no IPv6. */
const NO_IPV6 = ['EAFNOSUPPORT', 'EADDRNOTAVAIL'];

function noStats(): Omit<IocpStats, 'jobs'> {
  const zeros = new Float64Array(addon.statNames.length);
  return buildStats(addon.statNames, zeros, { flushes: 0, slabs: 0, droppedSends: 0 });
}

/**
 * A TCP engine: listens on any number of addresses and holds any number of outgoing connections at the same
 * time. Events are described in {@link IocpEvents}, options in {@link IocpOptions}.
 *
 * The event loop is kept alive while it listens, connects, closes or has contexts, unless {@link unref} was
 * called. An `Iocp` that never listened or connected holds nothing and need not be closed.
 *
 * @example
 * ```ts
 * const server = new Iocp();
 * server.on('package', (client, payload) => client.send(payload));
 * const { port } = await server.listen({ host: '127.0.0.1' });
 * ```
 */
export class Iocp<Data = unknown> extends EventEmitter<IocpEvents<Data>> {
  readonly #settings: Settings;
  #host: EngineHost<Data> | undefined;
  #referenced = true;
  #acceptPaused = false;
  #closing: Promise<CloseReport> | undefined;
  #hurried = false;
  #finalStats: Omit<IocpStats, 'jobs'> | undefined;
  #jobs: JobPool | undefined;
  #finalJobStats = NO_JOBS;
  readonly #onAbort = (): void => {
    void this.close({ graceMs: 0 });
  };

  /** @throws TypeError or RangeError that names the option, its value and what is allowed. */
  constructor(options?: IocpOptions) {
    const settings = readOptions(options);
    super({ captureRejections: settings.captureRejections });
    this.#settings = settings;
    settings.signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (settings.signal?.aborted) this.#onAbort();
  }

  /**
   * Binds and listens; may be called more than once. Emits `listening`.
   *
   * @returns The bound address. For a `path` it is `{ address: path, family: 'local', port: 0 }`.
   * @throws TypeError and RangeError for wrong options; IocpError `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, …;
   *   `ERR_IOCP_CLOSED`.
   */
  async listen(options?: ListenOptions): Promise<AddressInfo> {
    const settings = readListenOptions(options);
    const addresses = settings.path === '' ? await resolveHost(settings.host) : [''];
    const host = this.#open('listen');
    const address = this.#listenOn(host, settings, addresses[0] as string);
    this.emit('listening', address);
    return address;
  }

  /**
   * Connects; every address of a host name is tried in order. Resolves after the `connection` event.
   *
   * @throws TypeError and RangeError for wrong options; IocpError `ECONNREFUSED`, `ETIMEDOUT`, `ENOTFOUND`, …;
   *   `ERR_IOCP_CLOSED`; an `AbortError` when `signal` was aborted.
   */
  async connect(options: ConnectOptions<Data>): Promise<ClientContext<Data>> {
    const settings = readConnectOptions(options);
    const host = this.#open('connect');
    host.connecting++;
    host.updateRef();
    try {
      return await connectToAny(host, settings);
    } finally {
      host.connecting--;
      host.updateRef();
    }
  }

  /**
   * Stops accepting, lets the jobs and the files that are on their way end, sends what is queued, half-closes, waits up
   * to `graceMs` for the peers, and resets those that are left. Emits `close`. Idempotent: later calls get the same
   * report, and one with `graceMs: 0` resets at once what an earlier one is still waiting for.
   */
  async close(options?: CloseOptions): Promise<CloseReport> {
    const { graceMs, jobs } = readCloseOptions(options);
    if (this.#closing === undefined) {
      this.#settings.signal?.removeEventListener('abort', this.#onAbort);
      this.#closing = this.#shutDown(graceMs, jobs);
    } else if (graceMs === 0) {
      this.#hurried = true;
      this.#jobs?.giveUp();
      this.#host?.reset();
    }
    return this.#closing;
  }

  /** The same as {@link close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Leaves new peers waiting in the system's backlog. Before the first `listen` it holds from the first peer on;
   * later, with I/O threads, peers that are being accepted at this moment still come.
   */
  pauseAccept(): void {
    this.#acceptPaused = true;
    this.#host?.pauseAccept();
  }

  /** Accepts again. */
  resumeAccept(): void {
    this.#acceptPaused = false;
    this.#host?.resumeAccept();
  }

  /** Contexts whose `disconnect` was not emitted yet. */
  get connectionCount(): number {
    return this.#host?.count ?? 0;
  }

  /** Iterates over the live contexts. */
  contexts(): IterableIterator<ClientContext<Data>> {
    return this.#host?.contexts() ?? [].values();
  }

  /** The live context with this id. An id is never reused, so a stale one finds nothing. */
  findClient(id: number): ClientContext<Data> | undefined {
    const context = this.#host?.at(id % CONNECTIONS_MAX);
    return context?.id === id ? context : undefined;
  }

  /** The addresses listened on, and the host's own ones. */
  addresses(): Addresses {
    const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    return { bound: this.#host?.bound() ?? [], host: interfaces.map((one) => one.address) };
  }

  /**
   * Sends one package to all contexts, or to those that the options leave. It is framed once, and its bytes are
   * shared by all queues. What several calls of one turn of the event loop send leaves together, in one write per
   * connection.
   *
   * @returns The number of contexts it was queued for.
   * @throws RangeError when the framing cannot express the payload.
   */
  sendToAll(payload: Uint8Array | string, options?: SendToAllOptions<Data>): number {
    const { except, filter } = readSendToAllOptions(options);
    const host = this.#host;
    if (host === undefined) return 0;
    const one = typeof except === 'object' && Symbol.iterator in except ? except : [except];
    const excluded = new Set(Array.from(one, (it) => (typeof it === 'object' ? it.id : it)));
    const chosen = Array.from(host.contexts()).filter(
      (context) => !excluded.has(context.id) && (filter === undefined || filter(context)),
    );
    return host.sender.sendToAll(chosen, payload);
  }

  /** Ends one connection, see {@link ClientContext.disconnect}. False = it has gone already. */
  disconnectClient(client: ClientContext<Data> | number, options?: DisconnectOptions): boolean {
    readDisconnectOptions(options);
    const context = typeof client === 'number' ? this.findClient(client) : client;
    return context?.disconnect(options) ?? false;
  }

  /** Ends every connection; returns how many. */
  disconnectAll(options?: DisconnectOptions): number {
    readDisconnectOptions(options);
    return Array.from(this.contexts()).filter((context) => context.disconnect(options)).length;
  }

  /**
   * Has a job run by what the option `jobs` names: on a logical worker, or by a function on this thread. Jobs run by
   * priority, and in order within one. Data and result are copied as structured clone does (a `Buffer` stays one).
   *
   * @returns What `processJob` returned.
   * @throws What `processJob` threw; `ERR_IOCP_WORKER_DIED` when the thread that ran it ended,
   *   `ERR_IOCP_JOB_QUEUE_FULL`, `ERR_IOCP_JOB_TIMEOUT`, `ERR_IOCP_CLOSED`; an `AbortError` when `signal` was aborted;
   *   a `DataCloneError` for data that cannot be copied; TypeError and RangeError for wrong options.
   */
  async addJob(data: unknown, options?: AddJobOptions): Promise<unknown> {
    // Once the engine is closed, that is what is wrong.
    const owns = (value: unknown): value is ClientContext =>
      value instanceof ClientContext && (this.#host?.owns(value) ?? this.#closing !== undefined);
    const request = readAddJobOptions(options, owns);
    return this.#serving('addJob').add(data, request);
  }

  /**
   * Sets the number of logical workers, at any time. Resolves when exactly so many run; those that are too many end
   * after the job they are at. With 0, jobs wait.
   *
   * @throws RangeError for a number that is not 0…256; TypeError when `jobs` is a function; `ERR_IOCP_WORKER_DIED`
   *   when a worker cannot be started; `ERR_IOCP_CLOSED`.
   */
  async setWorkers(count: number): Promise<void> {
    const workers = workersOf('setWorkers', count);
    await this.#serving('setWorkers').setWorkers(workers);
  }

  /** The engine's figures; cheap enough to be asked for every 500 ms. */
  stats(): IocpStats {
    const engine = this.#host?.stats() ?? this.#finalStats ?? noStats();
    return { ...engine, jobs: this.#jobs?.stats() ?? this.#finalJobStats };
  }

  /** Keeps the event loop alive while there is something to wait for: the default. */
  ref(): this {
    return this.#setReferenced(true);
  }

  /** Lets the process exit although the engine is in use. */
  unref(): this {
    return this.#setReferenced(false);
  }

  #setReferenced(referenced: boolean): this {
    this.#referenced = referenced;
    this.#host?.ref(referenced);
    this.#jobs?.setReferenced(referenced);
    return this;
  }

  /** The pool of jobs, with the engine whose packages its workers process. */
  #serving(action: string): JobPool {
    const pool = this.#pool(action);
    if (this.#settings.deliverToWorkers) this.#open(action);
    return pool;
  }

  /** The pool of jobs, made if need be. */
  #pool(action: string): JobPool {
    const { jobs } = this.#settings;
    if (jobs === undefined) throw new TypeError(`${action} needs the option jobs`);
    if (this.#closing !== undefined) throw closedError(action);
    if (this.#jobs === undefined) {
      const { framing, highWaterMark, maxQueuedBytes } = this.#settings.native;
      this.#jobs = new JobPool(
        jobs,
        { framing, highWaterMark, maxQueuedBytes, onOverflow: this.#settings.onOverflow },
        (id) => this.findClient(id),
        (error) => this.emit('error', error),
      );
      this.#jobs.setReferenced(this.#referenced);
    }
    return this.#jobs;
  }

  /** The running engine, started if need be. */
  #open(action: string): EngineHost<Data> {
    if (this.#closing !== undefined) throw closedError(action);
    if (this.#host === undefined) {
      this.#host = new EngineHost(this.#settings, this, (ended, reset) =>
        this.#onEngineClosed(ended, reset),
      );
      this.#host.ref(this.#referenced);
      if (this.#acceptPaused) this.#host.pauseAccept();
      if (this.#settings.jobs !== undefined) {
        const pool = this.#pool(action);
        pool.engineStarted(this.#host.handle);
        pool.start();
      }
    }
    return this.#host;
  }

  #listenOn(host: EngineHost<Data>, settings: ListenSettings, address: string): AddressInfo {
    try {
      return host.listen(settings, address);
    } catch (error) {
      const noIpv6 = error instanceof IocpError && NO_IPV6.includes(error.code);
      if (!noIpv6 || !settings.anyHost || settings.ipv6Only) throw error;
      return host.listen(settings, '0.0.0.0');
    }
  }

  #onEngineClosed: (ended: number, reset: number) => void = () => {};

  async #shutDown(graceMs: number, jobs: 'drain' | 'reject'): Promise<CloseReport> {
    const begin = performance.now();
    if (this.#jobs !== undefined) {
      this.#host?.pauseAccept();
      await this.#jobs.close(jobs, graceMs);
      // Workers that process packages do so until the last connection has ended.
      if (!this.#settings.deliverToWorkers) await this.#endJobs(0);
    }
    const leftMs = (): number => {
      const left = this.#hurried ? 0 : graceMs - (performance.now() - begin);
      return Math.max(0, Math.round(left));
    };
    if (graceMs > 0 && this.#host?.hasTransfers) await this.#host.endTransfers(leftMs());
    const [ended, reset] = await this.#endEngine(leftMs());
    await this.#endJobs(leftMs());
    const host = this.#host;
    this.#finalStats = host?.stats();
    this.#host = undefined;
    host?.destroy();
    const durationMs = performance.now() - begin;
    const report: CloseReport = { contexts: ended + reset, drained: ended, reset, durationMs };
    setImmediate(() => this.emit('close', report));
    return report;
  }

  async #endJobs(graceMs: number): Promise<void> {
    const jobs = this.#jobs;
    if (jobs === undefined) return;
    await jobs.end(graceMs);
    this.#finalJobStats = jobs.stats();
    this.#jobs = undefined;
  }

  /** Resolves outside of the engine's own call, so that it may be destroyed. */
  #endEngine(graceMs: number): Promise<[ended: number, reset: number]> {
    return new Promise((resolve) => {
      const host = this.#host;
      if (host === undefined) {
        setImmediate(resolve, [0, 0]);
        return;
      }
      this.#onEngineClosed = (ended, reset) => setImmediate(resolve, [ended, reset]);
      host.close(graceMs);
    });
  }
}
