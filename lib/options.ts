// Validates and completes what users pass in. Every error names the option, the value and what is allowed.
// Nothing behind this file checks again, so nothing may get past it.

import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { NativeFraming, NativeOptions } from './binding.js';
import {
  abortSignal,
  bag,
  choice,
  flag,
  integer,
  MILLISECONDS_MAX,
  outOfRange,
  show,
  words,
  wrongType,
} from './checks.js';
import type { ClientContext } from './client-context.js';
import { type FileSettings, fileSettingsOf } from './file-options.js';
import type { ProcessJob } from './job.js';
import { CONNECTIONS_MAX, Overflow } from './records.js';
import type {
  AddJobOptions,
  CloseOptions,
  ConnectOptions,
  DisconnectOptions,
  Framing,
  IocpOptions,
  JobOverflowPolicy,
  KeepAliveOptions,
  ListenOptions,
  OverflowPolicy,
  SendToAllOptions,
} from './types.js';

const MIB = 1024 * 1024;
const BYTES_MAX = 2 ** 40;
const PACKAGE_BYTES_MAX = 2 ** 30;
const DELIMITER_BYTES_MAX = 255;
const FRAMING_OFFSET_MAX = 64;
const FRAMING_STRIP_MAX = 96;
const WORKERS_MAX = 256;
const QUEUED_JOBS_MAX = 2 ** 24;
const PRIORITY_MAX = 2 ** 31 - 1;
/** The default of every `graceMs`. */
export const GRACE_MS = 5000;

/** Options of an `Iocp`, validated. */
export interface Settings {
  native: NativeOptions;
  /** Packages are for logical workers. */
  deliverToWorkers: boolean;
  onOverflow: OverflowPolicy;
  signal: AbortSignal | undefined;
  captureRejections: boolean;
  /** Undefined: this engine runs no jobs. */
  jobs: JobSettings | undefined;
  /** Undefined: files mean nothing to this engine. */
  files: FileSettings | undefined;
}

/** The options about jobs, validated. */
export interface JobSettings {
  /** A module's URL, or the function itself. */
  jobs: string | ProcessJob;
  workers: number;
  maxQueuedJobs: number;
  onJobOverflow: JobOverflowPolicy;
  /** Whether the workers are given packages as well. */
  deliver: boolean;
}

/** Options of `addJob`, validated. */
export interface JobRequest {
  priority: number;
  signal: AbortSignal | undefined;
  /** 0 = no limit. */
  timeoutMs: number;
  transfer: readonly object[];
  /** The id of the connection the job is about; 0 = none. */
  context: number;
}

/** Options of `listen`, validated. */
export interface ListenSettings {
  host: string;
  /** Whether `host` is the default, which may fall back to IPv4. */
  anyHost: boolean;
  port: number;
  path: string;
  backlog: number;
  ipv6Only: boolean;
  reusePort: boolean;
}

/** Options of `connect`, validated. */
export interface ConnectSettings<Data> {
  host: string;
  port: number;
  path: string;
  timeoutMs: number;
  localAddress: string;
  signal: AbortSignal | undefined;
  data: Data | undefined;
}

const FRAMING_TYPES = ['length', 'varint', 'delimiter', 'fixed'] as const;

const NO_FRAMING: NativeFraming = {
  type: 'none',
  offset: 0,
  width: 0,
  bigEndian: false,
  adjust: 0,
  strip: -1,
  maxLength: MIB,
  delimiter: null,
};

function maxLengthOf(value: unknown): number {
  return integer('framing.maxLength', value, MIB, 1, PACKAGE_BYTES_MAX);
}

function adjustOf(value: unknown): number {
  return integer('framing.adjust', value, 0, -PACKAGE_BYTES_MAX, PACKAGE_BYTES_MAX);
}

function lengthFraming(value: unknown): NativeFraming {
  const names = ['type', 'offset', 'width', 'endian', 'adjust', 'strip', 'maxLength'];
  const given = bag('framing', value, names);
  const { width } = given;
  if (typeof width !== 'number') wrongType('framing.width', width, 'one of 1, 2, 3, 4, 8');
  if (![1, 2, 3, 4, 8].includes(width)) {
    outOfRange('framing.width', width, 'one of 1, 2, 3, 4, 8');
  }
  const offset = integer('framing.offset', given.offset, 0, 0, FRAMING_OFFSET_MAX);
  const strip = integer('framing.strip', given.strip, offset + width, 0, FRAMING_STRIP_MAX);
  checkKept('framing.strip', strip, offset, strip >= offset + width);
  return {
    ...NO_FRAMING,
    type: 'length',
    offset,
    width,
    bigEndian: choice('framing.endian', given.endian, 'le', ['le', 'be']) === 'be',
    adjust: adjustOf(given.adjust),
    strip: strip === offset + width ? -1 : strip,
    maxLength: maxLengthOf(given.maxLength),
  };
}

/** A header that is cut in the middle of its length field could never be sent back. */
function checkKept(name: string, strip: number, offset: number, whole: boolean): void {
  if (strip <= offset || whole) return;
  outOfRange(name, strip, `at most framing.offset (${offset}) or at least the whole header`);
}

function varintFraming(value: unknown): NativeFraming {
  const given = bag('framing', value, ['type', 'offset', 'adjust', 'strip', 'maxLength']);
  const offset = integer('framing.offset', given.offset, 0, 0, FRAMING_OFFSET_MAX);
  return {
    ...NO_FRAMING,
    type: 'varint',
    offset,
    adjust: adjustOf(given.adjust),
    strip: integer('framing.strip', given.strip, -1, 0, offset),
    maxLength: maxLengthOf(given.maxLength),
  };
}

function delimiterFraming(value: unknown): NativeFraming {
  const given = bag('framing', value, ['type', 'delimiter', 'strip', 'maxLength']);
  const raw = given.delimiter;
  if (typeof raw !== 'string' && !(raw instanceof Uint8Array)) {
    wrongType('framing.delimiter', raw, 'a string or a Uint8Array');
  }
  const delimiter = typeof raw === 'string' ? Buffer.from(raw, 'utf8') : Buffer.from(raw);
  if (delimiter.length === 0 || delimiter.length > DELIMITER_BYTES_MAX) {
    outOfRange('framing.delimiter', raw, `1 to ${DELIMITER_BYTES_MAX} bytes long`);
  }
  return {
    ...NO_FRAMING,
    type: 'delimiter',
    delimiter,
    strip: flag('framing.strip', given.strip, true) ? 1 : 0,
    maxLength: maxLengthOf(given.maxLength),
  };
}

function fixedFraming(value: unknown): NativeFraming {
  const { length } = bag('framing', value, ['type', 'length']);
  if (length === undefined) {
    wrongType('framing.length', length, `an integer from 1 to ${PACKAGE_BYTES_MAX}`);
  }
  const bytes = integer('framing.length', length, 0, 1, PACKAGE_BYTES_MAX);
  return { ...NO_FRAMING, type: 'fixed', maxLength: bytes };
}

function framingOf(value: Framing | undefined): NativeFraming {
  if (value === undefined || value === 'iocps') {
    return { ...NO_FRAMING, type: 'length', width: 4 };
  }
  if (value === 'none') return NO_FRAMING;
  const names = FRAMING_TYPES.map((type) => `'${type}'`).join(', ');
  const allowed = `'iocps', 'none' or an object whose type is one of ${names}`;
  if (typeof value === 'string') outOfRange('framing', value, allowed);
  if (typeof value !== 'object' || value === null) wrongType('framing', value, allowed);
  const type = (value as { type?: unknown }).type as (typeof FRAMING_TYPES)[number];
  switch (type) {
    case 'length':
      return lengthFraming(value);
    case 'varint':
      return varintFraming(value);
    case 'delimiter':
      return delimiterFraming(value);
    case 'fixed':
      return fixedFraming(value);
    default:
      return outOfRange('framing.type', type, `one of ${names}`);
  }
}

function keepAliveOf(value: boolean | KeepAliveOptions | undefined): Required<KeepAliveOptions> {
  if (typeof value !== 'boolean' && value !== undefined && typeof value !== 'object') {
    wrongType('keepAlive', value, 'true, false or an object');
  }
  const names = ['initialDelayMs', 'intervalMs', 'count'];
  const given = bag('keepAlive', typeof value === 'boolean' ? undefined : value, names);
  const milliseconds = (name: string, fallback: number): number =>
    integer(`keepAlive.${name}`, given[name], fallback, 1, MILLISECONDS_MAX);
  return {
    initialDelayMs: milliseconds('initialDelayMs', 60_000),
    intervalMs: milliseconds('intervalMs', 20_000),
    count: integer('keepAlive.count', given.count, 3, 1, 127),
  };
}

/** Water marks and the cap; a mark that was not given yields to the one that was. */
function marksOf(given: IocpOptions): {
  highWaterMark: number;
  lowWaterMark: number;
  maxQueuedBytes: number;
} {
  const maxQueuedBytes = integer('maxQueuedBytes', given.maxQueuedBytes, 16 * MIB, 1, BYTES_MAX);
  const usualHigh = Math.min(65_536, maxQueuedBytes);
  const highWaterMark = integer('highWaterMark', given.highWaterMark, usualHigh, 1, BYTES_MAX);
  if (highWaterMark > maxQueuedBytes) {
    outOfRange('highWaterMark', highWaterMark, `at most maxQueuedBytes (${maxQueuedBytes})`);
  }
  const usualLow = Math.min(32_768, Math.floor(highWaterMark / 2));
  const lowWaterMark = integer('lowWaterMark', given.lowWaterMark, usualLow, 0, BYTES_MAX);
  if (lowWaterMark > highWaterMark) {
    outOfRange('lowWaterMark', lowWaterMark, `at most highWaterMark (${highWaterMark})`);
  }
  return { highWaterMark, lowWaterMark, maxQueuedBytes };
}

function checkOrder(given: IocpOptions, pendingReads: number): void {
  flag('orderedSend', given.orderedSend, true);
  if (!flag('orderedRead', given.orderedRead, true) && pendingReads > 1) {
    throw new RangeError(
      `orderedRead: false cannot be combined with pendingReads ${pendingReads}: packages are cut from one ` +
        'stream of bytes, so reads that finish out of order must be put in order again',
    );
  }
}

const IOCP_OPTIONS = [
  'ioWorkers',
  'maxConnections',
  'maxFreeBuffers',
  'maxFreeContexts',
  'orderedSend',
  'orderedRead',
  'pendingReads',
  'zeroByteReads',
  'framing',
  'noDelay',
  'keepAlive',
  'userTimeoutMs',
  'highWaterMark',
  'lowWaterMark',
  'maxQueuedBytes',
  'onOverflow',
  'workers',
  'jobs',
  'deliver',
  'maxQueuedJobs',
  'onJobOverflow',
  'fileTransfer',
  'signal',
  'captureRejections',
] as const satisfies ReadonlyArray<keyof IocpOptions>;

/** What `'auto'` is to native code. */
const AUTO_IO_WORKERS = -1;

function ioWorkersOf(value: unknown): number {
  const allowed = "'auto' or an integer from 0 to 256";
  if (value === undefined || value === 'auto') return AUTO_IO_WORKERS;
  if (typeof value !== 'number') wrongType('ioWorkers', value, allowed);
  if (!Number.isInteger(value) || value < 0 || value > 256) {
    outOfRange('ioWorkers', value, allowed);
  }
  return value;
}

/** Whether packages are for logical workers. */
function deliverOf(given: IocpOptions): boolean {
  const deliver = choice('deliver', given.deliver, 'main', ['main', 'workers']);
  if (deliver === 'main') return false;
  if (typeof given.jobs === 'string' || (given.jobs as unknown) instanceof URL) return true;
  throw new TypeError("deliver 'workers' needs jobs to be a module: a path or a URL");
}

/** The URL of the module that `jobs` names. */
function moduleOf(value: string | URL): string {
  if (value instanceof URL) return value.href;
  words('jobs', value, '');
  return /^(file|data|node):/.test(value) ? value : pathToFileURL(resolve(value)).href;
}

function jobsOf(given: IocpOptions, deliver: boolean): JobSettings | undefined {
  const { jobs } = given;
  const allowed = 'a path, a URL or a function';
  if (jobs === undefined) {
    for (const name of ['workers', 'maxQueuedJobs', 'onJobOverflow'] as const) {
      if (given[name] === undefined || given[name] === 0) continue;
      throw new TypeError(`${name} ${show(given[name])} needs jobs to be ${allowed}`);
    }
    return undefined;
  }
  if (typeof jobs !== 'string' && typeof jobs !== 'function' && !(jobs instanceof URL)) {
    wrongType('jobs', jobs, allowed);
  }
  const workers = workersOf('workers', given.workers ?? 0);
  if (typeof jobs === 'function' && workers > 0) {
    throw new TypeError(
      `workers ${workers} needs jobs to be a module: a function runs on this thread`,
    );
  }
  return {
    jobs: typeof jobs === 'function' ? (jobs as ProcessJob) : moduleOf(jobs),
    workers,
    maxQueuedJobs: integer('maxQueuedJobs', given.maxQueuedJobs, 65_536, 1, QUEUED_JOBS_MAX),
    onJobOverflow: choice('onJobOverflow', given.onJobOverflow, 'reject', [
      'reject',
      'wait',
      'callerRuns',
    ]),
    deliver,
  };
}

/** Validates a number of logical workers. */
export function workersOf(name: string, value: unknown): number {
  if (value === undefined) wrongType(name, value, `an integer from 0 to ${WORKERS_MAX}`);
  return integer(name, value, 0, 0, WORKERS_MAX);
}

/** Validates the options of `addJob`. `owns`: whether a value is a context of the engine, live or not. */
export function readAddJobOptions(
  options: AddJobOptions | undefined,
  owns: (context: unknown) => context is ClientContext,
): JobRequest {
  const given = bag('addJob', options, ['priority', 'signal', 'timeoutMs', 'transfer', 'context']);
  const { transfer = [] } = given;
  if (!Array.isArray(transfer)) wrongType('addJob.transfer', transfer, 'an array');
  const { context } = given;
  if (context !== undefined && !owns(context)) {
    wrongType('addJob.context', context, 'a ClientContext of this engine');
  }
  return {
    priority: integer('addJob.priority', given.priority, 0, -PRIORITY_MAX, PRIORITY_MAX),
    signal: abortSignal('addJob.signal', given.signal),
    timeoutMs: integer('addJob.timeoutMs', given.timeoutMs, 0, 0, MILLISECONDS_MAX),
    transfer,
    context: context?.id ?? 0,
  };
}

/** Validates the options of an `Iocp`. */
export function readOptions(options: IocpOptions | undefined): Settings {
  const given = bag('options', options, IOCP_OPTIONS) as IocpOptions;
  const pendingReads = integer('pendingReads', given.pendingReads, 1, 1, 64);
  checkOrder(given, pendingReads);
  const keepAlive = keepAliveOf(given.keepAlive);
  const onOverflow = choice('onOverflow', given.onOverflow, 'disconnect', [
    'disconnect',
    'drop',
    'throw',
  ]);
  const deliverToWorkers = deliverOf(given);
  const ioWorkers = ioWorkersOf(given.ioWorkers);
  const framing = framingOf(given.framing);
  const files = fileSettingsOf(given.fileTransfer, framing);
  if (files !== undefined && deliverToWorkers) {
    throw new TypeError("fileTransfer needs deliver 'main': its packages are read on this thread");
  }
  const native: NativeOptions = {
    // This thread has nothing to do with packages then, and is left in peace.
    ioWorkers: deliverToWorkers && ioWorkers === AUTO_IO_WORKERS ? 1 : ioWorkers,
    processors: availableParallelism(),
    maxConnections: integer('maxConnections', given.maxConnections, 10_000, 1, CONNECTIONS_MAX),
    maxFreeBuffers: integer('maxFreeBuffers', given.maxFreeBuffers, 1024, -1, 2 ** 24),
    maxFreeContexts: integer('maxFreeContexts', given.maxFreeContexts, 1024, -1, CONNECTIONS_MAX),
    pendingReads,
    zeroByteReads: flag('zeroByteReads', given.zeroByteReads, true),
    framing,
    fileTransfer: files !== undefined,
    noDelay: flag('noDelay', given.noDelay, true),
    keepAlive: given.keepAlive !== false,
    keepAliveInitialDelayMs: keepAlive.initialDelayMs,
    keepAliveIntervalMs: keepAlive.intervalMs,
    keepAliveCount: keepAlive.count,
    userTimeoutMs: integer('userTimeoutMs', given.userTimeoutMs, 0, 0, MILLISECONDS_MAX),
    ...marksOf(given),
    onOverflow: Overflow[onOverflow],
    deliverToWorkers,
  };
  const signal = abortSignal('signal', given.signal);
  const captureRejections = flag('captureRejections', given.captureRejections, false);
  const jobs = jobsOf(given, deliverToWorkers);
  return { native, deliverToWorkers, onOverflow, signal, captureRejections, jobs, files };
}

/** Validates the options of `listen`. */
export function readListenOptions(options: ListenOptions | undefined): ListenSettings {
  const names = ['port', 'host', 'path', 'backlog', 'ipv6Only', 'reusePort', 'exclusive'];
  const given = bag('listen', options, names) as ListenOptions;
  if (given.path !== undefined && (given.port !== undefined || given.host !== undefined)) {
    throw new TypeError(`listen.path ${show(given.path)} excludes listen.port and listen.host`);
  }
  flag('listen.exclusive', given.exclusive, false);
  return {
    host: words('listen.host', given.host, '::'),
    anyHost: given.host === undefined,
    port: integer('listen.port', given.port, 0, 0, 65_535),
    path: words('listen.path', given.path, ''),
    backlog: integer('listen.backlog', given.backlog, 511, 1, MILLISECONDS_MAX),
    ipv6Only: flag('listen.ipv6Only', given.ipv6Only, false),
    reusePort: flag('listen.reusePort', given.reusePort, false),
  };
}

/** Validates the options of `connect`. */
export function readConnectOptions<Data>(
  options: ConnectOptions<Data> | undefined,
): ConnectSettings<Data> {
  const names = ['port', 'host', 'path', 'timeoutMs', 'localAddress', 'signal', 'data'];
  const given = bag('connect', options, names) as ConnectOptions<Data>;
  if (given.path === undefined && given.port === undefined) {
    throw new TypeError(
      'connect.port must be an integer from 1 to 65535, or connect.path be given',
    );
  }
  if (given.path !== undefined && (given.port !== undefined || given.host !== undefined)) {
    throw new TypeError(`connect.path ${show(given.path)} excludes connect.port and connect.host`);
  }
  return {
    host: words('connect.host', given.host, '127.0.0.1'),
    port: integer('connect.port', given.port, 0, 1, 65_535),
    path: words('connect.path', given.path, ''),
    timeoutMs: integer('connect.timeoutMs', given.timeoutMs, 10_000, 0, MILLISECONDS_MAX),
    localAddress: words('connect.localAddress', given.localAddress, ''),
    signal: abortSignal('connect.signal', given.signal),
    data: given.data,
  };
}

/** Validates the options of `close`. */
export function readCloseOptions(options: CloseOptions | undefined): Required<CloseOptions> {
  const given = bag('close', options, ['graceMs', 'jobs']) as CloseOptions;
  return {
    graceMs: integer('close.graceMs', given.graceMs, GRACE_MS, 0, MILLISECONDS_MAX),
    jobs: choice('close.jobs', given.jobs, 'drain', ['drain', 'reject']),
  };
}

/** Validates the options of `disconnect` and its kin. */
export function readDisconnectOptions(
  options: DisconnectOptions | undefined,
): Required<DisconnectOptions> {
  const given = bag('disconnect', options, ['graceful', 'graceMs']) as DisconnectOptions;
  return {
    graceful: flag('disconnect.graceful', given.graceful, false),
    graceMs: integer('disconnect.graceMs', given.graceMs, GRACE_MS, 0, MILLISECONDS_MAX),
  };
}

/** Validates the options of `sendToAll`. */
export function readSendToAllOptions<Data>(
  options: SendToAllOptions<Data> | undefined,
): SendToAllOptions<Data> {
  const given = bag('sendToAll', options, ['except', 'filter']) as SendToAllOptions<Data>;
  if (given.filter !== undefined && typeof given.filter !== 'function') {
    wrongType('sendToAll.filter', given.filter, 'a function');
  }
  return given;
}
