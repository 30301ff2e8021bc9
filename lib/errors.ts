// The only place that builds errors: from the engine's status numbers, and for conditions of our own.
// Never throws by itself and never looks at sockets.

import { constants } from 'node:os';

/** The addon's tables, in the form `lib/binding.ts` loads them. */
interface StatusTables {
  readonly statuses: ReadonlyArray<readonly [code: string, message: string]>;
  readonly syscalls: readonly string[];
}

/** What an {@link IocpError} can tell beside its code and message. */
export interface IocpErrorDetails {
  /** The failed system call, such as `connect` or `listen`. */
  syscall?: string | undefined;
  /** The id of the context it concerns. */
  context?: number | undefined;
  /** The address or path it concerns. */
  address?: string | undefined;
  /** The port it concerns. */
  port?: number | undefined;
  /** The error behind this one. */
  cause?: unknown;
}

/**
 * Every operating error of this package.
 *
 * `code` is `ERR_IOCP_*` for the engine's own conditions and the system's name otherwise (`ECONNRESET`,
 * `EADDRINUSE`, …, the same names on every platform). Wrong arguments are `TypeError` or `RangeError`
 * instead.
 */
export class IocpError extends Error {
  /** `ERR_IOCP_*`, or the name of the system's error. */
  readonly code: string;
  /** The system's error number, negative as everywhere in Node.js; absent for `ERR_IOCP_*`. */
  declare readonly errno?: number;
  /** The failed system call. */
  declare readonly syscall?: string;
  /** The id of the context it concerns. */
  declare readonly context?: number;
  /** The address or path it concerns. */
  declare readonly address?: string;
  /** The port it concerns. */
  declare readonly port?: number;

  constructor(code: string, message: string, details: IocpErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    const { syscall, context, address, port } = details;
    const errno = (constants.errno as Record<string, number>)[code];
    Object.assign(this, {
      ...(errno === undefined ? {} : { errno: -errno }),
      ...(syscall ? { syscall } : {}),
      ...(context === undefined ? {} : { context }),
      ...(address === undefined ? {} : { address }),
      ...(port === undefined ? {} : { port }),
    });
  }
}

Object.defineProperty(IocpError.prototype, 'name', {
  value: 'IocpError',
  writable: true,
  configurable: true,
});

/** `127.0.0.1:80`, `[::1]:80` or a path. */
function endpoint(address: string, port: number | undefined): string {
  if (port === undefined) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The code of a status number. */
export function statusCode(tables: StatusTables, status: number): string {
  return tables.statuses[status]?.[0] ?? 'UNKNOWN';
}

/** The English fragment that belongs to a status number. */
export function statusMessage(tables: StatusTables, status: number): string {
  return tables.statuses[status]?.[1] ?? `unknown status ${status}`;
}

/** The name of a system call, or undefined when none is known. */
export function syscallName(tables: StatusTables, syscall: number): string | undefined {
  return tables.syscalls[syscall] || undefined;
}

/** Turns a status into an error worded as Node.js does: `connect ECONNREFUSED: connection refused 127.0.0.1:80`. */
export function errorFromStatus(
  tables: StatusTables,
  status: number,
  details: IocpErrorDetails = {},
): IocpError {
  const code = statusCode(tables, status);
  const message = statusMessage(tables, status);
  const start = details.syscall ? `${details.syscall} ${code}` : code;
  const where = details.address === undefined ? '' : ` ${endpoint(details.address, details.port)}`;
  return new IocpError(code, `${start}: ${message}${where}`, details);
}

/** The context has gone: nothing can be sent to it any more. */
export function goneError(context: number): IocpError {
  return new IocpError('ERR_IOCP_GONE', `the context ${context} is gone`, { context });
}

/** The engine was closed before, or while, the call was made. */
export function closedError(action: string): IocpError {
  return new IocpError('ERR_IOCP_CLOSED', `${action}: the engine is closed`);
}

/** One context's queue would grow past its limit. */
export function overflowError(
  context: number,
  queued: number,
  size: number,
  limit: number,
): IocpError {
  const message =
    `${queued} bytes are queued for context ${context}: ` +
    `${size} more would exceed maxQueuedBytes (${limit})`;
  return new IocpError('ERR_IOCP_QUEUE_OVERFLOW', message, { context });
}

/** `connect` did not finish in time. */
export function timeoutError(timeoutMs: number, address: string, port?: number): IocpError {
  const message = `connect ETIMEDOUT: no connection within ${timeoutMs} ms to ${endpoint(address, port)}`;
  return new IocpError('ETIMEDOUT', message, { syscall: 'connect', address, port });
}

/** A host name could not be resolved. */
export function lookupError(host: string, cause: unknown): IocpError {
  const code = (cause as { code?: string }).code ?? 'ENOTFOUND';
  const details = { syscall: 'getaddrinfo', address: host, cause };
  return new IocpError(code, `getaddrinfo ${code} ${host}`, details);
}

/** Several addresses of one host were tried and all failed: the last failure, naming the others. */
export function connectErrors(failures: readonly IocpError[]): IocpError {
  const last = failures.at(-1) as IocpError;
  if (failures.length === 1) return last;
  const others = failures
    .slice(0, -1)
    .map((one) => `${one.code} ${endpoint(one.address ?? '', one.port)}`);
  const { syscall, address, port } = last;
  const cause = new AggregateError(failures, 'every address failed');
  const details = { syscall, address, port, cause };
  return new IocpError(last.code, `${last.message} (before: ${others.join(', ')})`, details);
}

/** What Node.js rejects with when an `AbortSignal` fires. */
export function abortError(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason });
  return Object.defineProperties(error, {
    name: { value: 'AbortError', configurable: true, writable: true },
    code: { value: 'ABORT_ERR', configurable: true, writable: true, enumerable: true },
  });
}
