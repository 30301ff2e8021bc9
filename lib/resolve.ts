// Host names to addresses, by node:dns. Numeric hosts pass through untouched; nothing is cached here.

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

import { lookupError } from './errors.js';

/** Every address of `host`, in the order the system prefers them. Rejects with an IocpError. */
export async function resolveHost(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    const found = await lookup(host, { all: true, verbatim: true });
    return found.map((one) => one.address);
  } catch (cause) {
    throw lookupError(host, cause);
  }
}
