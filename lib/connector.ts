// The steps of one connect(): resolve the name, try each address in order, within one deadline and one signal.
// A single attempt is the engine's business; deciding which to make next is all that happens here.

import type { ClientContext } from './client-context.js';
import type { EngineHost } from './engine-host.js';
import { abortError, connectErrors, IocpError, timeoutError } from './errors.js';
import type { ConnectSettings } from './options.js';
import { resolveHost } from './resolve.js';

interface Limits {
  signal: AbortSignal | undefined;
  remainingMs: number;
  onTimeout: () => Error;
}

/** Settles as `work` does, unless the time or the signal comes first. */
function within<T>(work: Promise<T>, limits: Limits): Promise<T> {
  const { signal, remainingMs, onTimeout } = limits;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortError(signal as AbortSignal));
    const late = (): void => reject(onTimeout());
    const timer = remainingMs === Infinity ? undefined : setTimeout(late, remainingMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    const forget = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    work.finally(forget).then(resolve, reject);
  });
}

/** Whether another address may succeed where this one failed. */
function mayTryNext(error: unknown): error is IocpError {
  return error instanceof IocpError && error.code !== 'ERR_IOCP_CLOSED';
}

/** Connects to the first address of the host that answers. */
export async function connectToAny<Data>(
  host: EngineHost<Data>,
  settings: ConnectSettings<Data>,
): Promise<ClientContext<Data>> {
  const { port, path, timeoutMs, localAddress, signal, data } = settings;
  const deadline = timeoutMs === 0 ? Infinity : performance.now() + timeoutMs;
  const onTimeout = (): Error => timeoutError(timeoutMs, path || settings.host, port || undefined);
  const remainingMs = (): number => deadline - performance.now();
  if (signal?.aborted) throw abortError(signal);
  const limits = { signal, remainingMs: remainingMs(), onTimeout };
  const addresses = path === '' ? await within(resolveHost(settings.host), limits) : [''];
  const failures: IocpError[] = [];
  for (const address of addresses) {
    const left = remainingMs();
    if (left <= 0) break;
    const attemptMs = left === Infinity ? 0 : Math.max(1, Math.ceil(left));
    const attempt = { address, port, path, localAddress, timeoutMs: attemptMs, signal, data };
    try {
      return await host.connect(attempt);
    } catch (error) {
      if (!mayTryNext(error)) throw error;
      failures.push(error);
    }
  }
  throw failures.length === 0 ? onTimeout() : connectErrors(failures);
}
