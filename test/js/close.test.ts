// Closing an engine: nothing queued is lost within the grace period, and the report tells what happened.

import type { CloseReport, ClientContext } from 'iocp';
import { describe, expect, it } from 'vitest';

import {
  engine,
  frame,
  Iocp,
  next,
  packages,
  pair,
  RawPeer,
  server,
  turns,
  until,
  WORKERS,
} from './support.js';

describe.each(WORKERS)('close with ioWorkers %i', (ioWorkers) => {
  it('sends what is queued, then ends, and reports it', async () => {
    const { server: made, client, incoming, outgoing } = await pair({ ioWorkers });
    const arrived = packages(client, 2001);
    for (let number = 0; number < 2000; number++) incoming.send(String(number));
    incoming.send(Buffer.alloc(1_000_000, 1));
    const closed = next<[CloseReport]>(made, 'close');
    const disconnected = next<[ClientContext]>(made, 'disconnect');
    const report = await made.close();
    expect(report).toMatchObject({ contexts: 1, drained: 1, reset: 0 });
    expect(report.durationMs).toBeGreaterThan(0);
    expect((await arrived).length).toBe(2001);
    expect((await closed)[0]).toEqual(report);
    expect((await disconnected)[0]).toBe(incoming);
    await until(() => !outgoing.connected);
  });

  it('resets, after the grace period, the peers that neither read nor close', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const peers = [await RawPeer.connect({ port }), await RawPeer.connect({ port })];
    await until(() => made.connectionCount === 2);
    peers[0]!.socket.pause();
    const polite = peers[1]!;
    polite.socket.on('end', () => polite.socket.end());
    for (const context of made.contexts()) context.send(Buffer.alloc(1_000_000));
    peers[0]!.socket.allowHalfOpen = true;
    const begin = performance.now();
    const report = await made.close({ graceMs: 300 });
    expect(report).toMatchObject({ contexts: 2, drained: 1, reset: 1 });
    expect(performance.now() - begin).toBeGreaterThan(250);
    expect(made.connectionCount).toBe(0);
  });

  it('resets everybody at once with graceMs 0', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const peer = await RawPeer.connect({ port });
    peer.socket.allowHalfOpen = true;
    await until(() => made.connectionCount === 1);
    const report = await made.close({ graceMs: 0 });
    expect(report.contexts).toBe(1);
    await peer.when(() => peer.closed || peer.ended);
  });

  it('refuses new peers and new sends meanwhile', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const peer = await RawPeer.connect({ port });
    peer.socket.allowHalfOpen = true;
    await until(() => made.connectionCount === 1);
    const [context] = [...made.contexts()];
    const closing = made.close({ graceMs: 10_000 });
    expect(context!.send('too late')).toBe(false);
    expect(made.sendToAll('too late')).toBe(0);
    await expect(made.listen({ host: '127.0.0.1' })).rejects.toMatchObject({
      code: 'ERR_IOCP_CLOSED',
    });
    await expect(made.connect({ port })).rejects.toMatchObject({ code: 'ERR_IOCP_CLOSED' });
    await peer.when(() => peer.ended);
    const late = new RawPeer((await import('node:net')).connect(port, '127.0.0.1'));
    await late.when(() => late.closed);
    const got = packages(made, 1);
    await peer.write(frame('packages still arrive'));
    expect((await got).map(String)).toEqual(['packages still arrive']);
    peer.socket.end();
    expect(await closing).toMatchObject({ contexts: 1, drained: 1, reset: 0 });
    expect(peer.received.length).toBe(0);
  });

  it('is idempotent, and a second call may cut the first one short', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const peer = await RawPeer.connect({ port });
    peer.socket.allowHalfOpen = true;
    await until(() => made.connectionCount === 1);
    let closes = 0;
    made.on('close', () => closes++);
    const first = made.close({ graceMs: 60_000 });
    await peer.when(() => peer.ended);
    const second = made.close();
    const third = made.close({ graceMs: 0 });
    const reports = await Promise.all([first, second, third, made[Symbol.asyncDispose]()]);
    expect(reports[0]).toMatchObject({ contexts: 1, drained: 0, reset: 1 });
    expect(reports[1]).toBe(reports[0]);
    expect(reports[2]).toBe(reports[0]);
    await turns(3);
    expect(closes).toBe(1);
  });

  it('can be asked for inside a listener', async () => {
    const { server: made, outgoing } = await pair({ ioWorkers });
    const report = new Promise<CloseReport>((resolve) => {
      made.on('package', () => resolve(made.close()));
    });
    outgoing.send('close!');
    expect(await report).toMatchObject({ contexts: 1, drained: 1 });
  });

  it('gives the address free', async () => {
    const { server: made, port } = await server({ ioWorkers });
    await made.close();
    const again = engine({ ioWorkers });
    await again.listen({ port, host: '127.0.0.1' });
  });
});

describe('close', () => {
  it('of an unused engine reports nothing', async () => {
    const made = new Iocp();
    const closed = next<[CloseReport]>(made, 'close');
    const report = await made.close();
    expect(report).toMatchObject({ contexts: 0, drained: 0, reset: 0 });
    expect((await closed)[0]).toBe(report);
    await expect(made.listen()).rejects.toMatchObject({ code: 'ERR_IOCP_CLOSED' });
  });

  it('follows from aborting the signal', async () => {
    const controller = new AbortController();
    const { server: made, port } = await server({ signal: controller.signal });
    const peer = await RawPeer.connect({ port });
    await until(() => made.connectionCount === 1);
    const closed = next<[CloseReport]>(made, 'close');
    controller.abort();
    expect((await closed)[0]).toMatchObject({ contexts: 1 });
    await peer.when(() => peer.closed);
  });

  it('follows at once from a signal that is aborted already', async () => {
    const made = new Iocp({ signal: AbortSignal.abort() });
    const closed = next<[CloseReport]>(made, 'close');
    await expect(made.listen()).rejects.toMatchObject({ code: 'ERR_IOCP_CLOSED' });
    expect((await closed)[0]).toMatchObject({ contexts: 0 });
  });

  it('is what asyncDispose does', async () => {
    const { server: made, port } = await server();
    await RawPeer.connect({ port });
    await made[Symbol.asyncDispose]();
    await expect(made.listen()).rejects.toMatchObject({ code: 'ERR_IOCP_CLOSED' });
  });

  it('leaves the last figures readable', async () => {
    const { server: made, outgoing } = await pair();
    const got = packages(made, 1);
    outgoing.send('x');
    await got;
    await made.close();
    expect(JSON.stringify(made.stats())).toMatch(/[1-9]/);
    expect(made.addresses().bound).toEqual([]);
  });
});
