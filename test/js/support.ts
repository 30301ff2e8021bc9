// What the tests share: engines that are closed after each test, raw peers made of plain sockets, and child
// programs with a time limit. Everything listens on an ephemeral port of the loopback interface.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

import type { ClientContext, DisconnectReason, Iocp as IocpClass, IocpOptions } from 'iocp';
import { afterEach } from 'vitest';

// The package itself, as its users get it.
const require = createRequire(import.meta.url);
export const { Iocp, IocpError, ClientContext: Context } = require('iocp') as typeof import('iocp');

/** Every way of stepping the engine. */
export const WORKERS = [0, 1, 2, 4] as const;

const cleanups: Array<() => unknown> = [];

/** Runs `cleanup` after the current test, last registered first. */
export function afterwards(cleanup: () => unknown): void {
  cleanups.push(cleanup);
}

afterEach(async () => {
  while (cleanups.length > 0) await cleanups.pop()?.();
});

/** An engine that is closed after the test. */
export function engine<Data = unknown>(options?: IocpOptions): IocpClass<Data> {
  const made = new Iocp<Data>(options);
  afterwards(() => made.close({ graceMs: 0 }));
  return made;
}

/** A listening engine and its port. */
export async function server<Data = unknown>(options?: IocpOptions) {
  const made = engine<Data>(options);
  const { port } = await made.listen({ host: '127.0.0.1' });
  return { server: made, port };
}

/** A server and a client engine with one connection between them. */
export async function pair<Data = unknown>(options?: IocpOptions, clientOptions = options) {
  const { server: made, port } = await server<Data>(options);
  const client = engine<Data>(clientOptions);
  const accepted = next<[ClientContext<Data>]>(made, 'connection');
  const outgoing = await client.connect({ port });
  const [incoming] = await accepted;
  return { server: made, port, client, incoming, outgoing };
}

/** The arguments of the next such event. */
export function next<Arguments extends unknown[]>(
  emitter: { once(event: string, listener: (...args: Arguments) => void): unknown },
  event: string,
): Promise<Arguments> {
  return new Promise((resolve) => emitter.once(event, (...args: Arguments) => resolve(args)));
}

/** Resolves with the reason when this context disconnects. */
export function gone(owner: IocpClass, context: ClientContext): Promise<DisconnectReason> {
  return new Promise((resolve) => {
    owner.on('disconnect', function listener(which, reason) {
      if (which.id !== context.id) return;
      owner.off('disconnect', listener);
      resolve(reason);
    });
  });
}

/** Resolves with the first `count` payloads of an engine. */
export function packages(owner: IocpClass, count: number): Promise<Buffer[]> {
  return new Promise((resolve) => {
    const got: Buffer[] = [];
    if (count === 0) resolve(got);
    owner.on('package', function listener(_context, payload) {
      got.push(payload);
      if (got.length !== count) return;
      owner.off('package', listener);
      resolve(got);
    });
  });
}

/** Resolves when `condition` holds, looking again in every turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets everything that is ready in this and the following turns of the event loop happen. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** How many descriptors, or on Windows handles, this process has open. */
export function openHandles(): number {
  if (process.platform !== 'win32') return readdirSync('/dev/fd').length;
  const pid = String(process.pid);
  const counter = process.env.IOCP_HANDLE_COUNT; // a program that counts them where there is no PowerShell
  const text =
    counter === undefined
      ? execFileSync('powershell', [
          '-NoProfile',
          '-Command',
          `(Get-Process -Id ${pid}).HandleCount`,
        ])
      : execFileSync(counter, [pid]);
  return Number(text.toString());
}

/** The `'iocps'` framing, done by hand. */
export function frame(payload: Uint8Array | string): Buffer {
  const body = Buffer.from(payload as string);
  const header = Buffer.alloc(4);
  header.writeUInt32LE(body.length);
  return Buffer.concat([header, body]);
}

/** A plain socket that gathers what it receives. */
export class RawPeer {
  received: Buffer = Buffer.alloc(0);
  ended = false;
  error: NodeJS.ErrnoException | undefined;
  closed = false;
  readonly #watchers = new Set<() => void>();

  constructor(readonly socket: net.Socket) {
    const tell = () => [...this.#watchers].forEach((watcher) => watcher());
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      this.received = chunks.length === 1 ? chunk : Buffer.concat(chunks);
      chunks.splice(0, chunks.length, this.received);
      tell();
    });
    socket.on('end', () => ((this.ended = true), tell()));
    socket.on('error', (error) => ((this.error = error), tell()));
    socket.on('close', () => ((this.closed = true), tell()));
    afterwards(() => socket.destroy());
  }

  static async connect(options: net.NetConnectOpts & { port?: number; path?: string }) {
    const socket = net.connect({
      host: '127.0.0.1',
      noDelay: true,
      ...options,
    } as net.NetConnectOpts);
    const peer = new RawPeer(socket);
    await once(socket, 'connect');
    return peer;
  }

  when(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const watcher = () => {
        if (!condition()) return;
        this.#watchers.delete(watcher);
        resolve();
      };
      this.#watchers.add(watcher);
      watcher();
    });
  }

  /** The first `count` bytes received. */
  async bytes(count: number): Promise<Buffer> {
    await this.when(() => this.received.length >= count || this.closed);
    return this.received.subarray(0, count);
  }

  write(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve) => this.socket.write(bytes, () => resolve()));
  }
}

/** What a child program did. */
export interface ChildResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/**
 * What a time limit is multiplied by. It is there so that nothing hangs, not to measure: Windows takes its time to
 * start a process, Wine a second, and an emulated processor (which sets IOCP_PATIENCE) several.
 */
export const PATIENCE = Number(process.env.IOCP_PATIENCE ?? (process.platform === 'win32' ? 6 : 1));

/**
 * Runs a program of fixtures/ to its end; kills it, visibly, after `limitMs` (times {@link PATIENCE}), and with
 * SIGTERM when it asks for that by writing "kill me".
 */
export async function runFixture(
  name: string,
  args: string[] = [],
  limitMs = 10_000,
): Promise<ChildResult> {
  const file = fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
  const child = spawn(process.execPath, ['--expose-gc', file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs * PATIENCE,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
    if (stdout === 'kill me') child.kill('SIGTERM');
  });
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, stdout, stderr };
}

/** Numbers that look random and are the same in every run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that differ from one number to the next. */
export function pattern(length: number, number: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 31 + number * 17 + 5) & 255;
  return bytes;
}
