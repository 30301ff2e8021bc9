// Connecting: what works, and every way in which it does not.

import net from 'node:net';
import { once } from 'node:events';

import type { ClientContext } from 'iocp';
import { describe, expect, it } from 'vitest';

import {
  afterwards,
  engine,
  IocpError,
  next,
  RawPeer,
  server,
  turns,
  until,
  WORKERS,
} from './support.js';

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as net.AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

/** A port whose listener is full, so that a connect neither succeeds nor fails. */
async function silentPort(): Promise<number> {
  const full = engine();
  full.pauseAccept();
  const { port } = await full.listen({ host: '127.0.0.1', backlog: 1 });
  const peers = Array.from({ length: 12 }, () => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    afterwards(() => socket.destroy());
    return socket;
  });
  await once(peers[0]!, 'connect');
  // Give the others their chance: a connect on the loopback interface succeeds within a turn or not at all.
  await turns(20);
  expect(peers.some((peer) => peer.connecting)).toBe(true);
  return port;
}

describe.each(WORKERS)('connect with ioWorkers %i', (ioWorkers) => {
  it('resolves after the connection event, with a context that works', async () => {
    const { port } = await server({ ioWorkers });
    const client = engine({ ioWorkers });
    const order: string[] = [];
    client.on('context', () => order.push('context'));
    client.on('connection', () => order.push('connection'));
    const context = await client.connect({ port });
    order.push('resolved');
    expect(order).toEqual(['context', 'connection', 'resolved']);
    expect(context.connected).toBe(true);
    expect(client.findClient(context.id)).toBe(context);
  });

  it('rejects with ECONNREFUSED as Node.js spells it', async () => {
    const client = engine({ ioWorkers });
    let port = 0;
    let error: unknown;
    // Another program may have been given the port meanwhile: then another one.
    while (!(error instanceof Error)) {
      port = await closedPort();
      error = await client.connect({ port }).catch((reason: unknown) => reason);
    }
    expect(error).toBeInstanceOf(IocpError);
    expect(error).toMatchObject({
      name: 'IocpError',
      code: 'ECONNREFUSED',
      syscall: 'connect',
      address: '127.0.0.1',
      port,
      message: `connect ECONNREFUSED: connection refused 127.0.0.1:${port}`,
    });
    expect((error as NodeJS.ErrnoException).errno).toBeLessThan(0);
  });

  it('gives up after timeoutMs', async () => {
    const port = await silentPort();
    const client = engine({ ioWorkers });
    const begin = performance.now();
    const attempt = client.connect({ port, timeoutMs: 150 });
    await expect(attempt).rejects.toMatchObject({ code: 'ETIMEDOUT', syscall: 'connect' });
    expect(performance.now() - begin).toBeGreaterThan(100);
    expect(client.connectionCount).toBe(0);
  });

  it('gives up when its signal is aborted', async () => {
    const port = await silentPort();
    const controller = new AbortController();
    const client = engine({ ioWorkers });
    const attempt = client.connect({ port, signal: controller.signal });
    await turns(5);
    controller.abort(new Error('changed my mind'));
    await expect(attempt).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    await expect(attempt).rejects.toMatchObject({ cause: { message: 'changed my mind' } });
  });

  it('gives up when a time-out signal fires', async () => {
    const port = await silentPort();
    const attempt = engine({ ioWorkers }).connect({ port, signal: AbortSignal.timeout(50) });
    await expect(attempt).rejects.toMatchObject({ cause: { name: 'TimeoutError' } });
  });

  it('does not begin when the signal is aborted already', async () => {
    const { server: made, port } = await server({ ioWorkers });
    made.on('connection', () => expect.fail('nobody should come'));
    const attempt = engine({ ioWorkers }).connect({ port, signal: AbortSignal.abort() });
    await expect(attempt).rejects.toMatchObject({ name: 'AbortError' });
    await turns(5);
  });

  it('leaves no trace of a connection that an abort has overtaken', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const client = engine({ ioWorkers });
    client.on('context', () => expect.fail('it was aborted'));
    for (let round = 0; round < 20; round++) {
      const controller = new AbortController();
      const attempt = client.connect({ port, signal: controller.signal });
      attempt.catch(() => {});
      for (let turn = 0; turn < round % 3; turn++) await Promise.resolve();
      controller.abort();
      await expect(attempt).rejects.toMatchObject({ name: 'AbortError' });
    }
    await turns(20);
    await until(() => made.connectionCount === 0);
    expect(client.connectionCount).toBe(0);
  });

  it('rejects what is pending when the engine closes', async () => {
    const port = await silentPort();
    const client = engine({ ioWorkers });
    const attempt = client.connect({ port });
    const outcome = expect(attempt).rejects.toMatchObject({ code: 'ERR_IOCP_CLOSED' });
    await turns(3);
    const report = await client.close({ graceMs: 0 });
    await outcome;
    expect(report).toMatchObject({ contexts: 0, reset: 0 });
    await expect(client.connect({ port })).rejects.toMatchObject({ code: 'ERR_IOCP_CLOSED' });
  });
});

describe('connect', () => {
  it('resolves names, and tries every address', async () => {
    const { port } = await server();
    const context = await engine().connect({ port, host: 'localhost' });
    expect(context.remotePort).toBe(port);
  });

  it('names every address it tried', async () => {
    const port = await closedPort();
    const attempt = engine().connect({ port, host: 'localhost' });
    await expect(attempt).rejects.toMatchObject({ code: 'ECONNREFUSED', port });
  });

  it('rejects with the error of the name resolution', async () => {
    const attempt = engine().connect({ port: 80, host: 'does-not-exist.invalid' });
    await expect(attempt).rejects.toBeInstanceOf(IocpError);
    await expect(attempt).rejects.toMatchObject({
      syscall: 'getaddrinfo',
      code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/),
    });
  });

  it('connects from the local address it is given', async () => {
    const { server: made, port } = await server();
    const connected = next<[ClientContext]>(made, 'connection');
    const context = await engine().connect({ port, localAddress: '127.0.0.3' });
    expect(context.localAddress).toBe('127.0.0.3');
    expect((await connected)[0].remoteAddress).toBe('127.0.0.3');
  });

  it.each([
    ['192.0.2.77', 'EADDRNOTAVAIL'],
    ['not-an-address', 'EINVAL'],
  ])('rejects the local address %s with %s', async (localAddress, code) => {
    const { port } = await server();
    const attempt = engine().connect({ port, localAddress });
    await expect(attempt).rejects.toMatchObject({ code });
  });

  it('rejects with the max of connections reached', async () => {
    const { port } = await server();
    const client = engine({ maxConnections: 1 });
    const context = await client.connect({ port });
    const attempt = client.connect({ port });
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_IOCP_MAX_CONNECTIONS' });
    context.disconnect();
    await next(client, 'disconnect');
    await client.connect({ port });
  });

  it('connects to plain servers as well', async () => {
    const plain = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    afterwards(() => plain.close());
    await once(plain, 'listening');
    const client = engine({ framing: 'none' });
    const context = await client.connect({ port: (plain.address() as net.AddressInfo).port });
    const answer = next<[unknown, Buffer]>(client, 'package');
    context.send('echo');
    expect(String((await answer)[1])).toBe('echo');
  });

  it('serves both ends at once', async () => {
    const both = engine();
    const { port } = await both.listen({ host: '127.0.0.1' });
    const contexts = [await both.connect({ port }), await both.connect({ port })];
    await until(() => both.connectionCount === 4);
    const got: string[] = [];
    both.on('package', (_context, payload) => got.push(String(payload)));
    for (const context of contexts) context.send('hello');
    await until(() => got.length === 2);
    const peer = await RawPeer.connect({ port });
    await until(() => both.connectionCount === 5);
    peer.socket.destroy();
    await until(() => both.connectionCount === 4);
  });
});
