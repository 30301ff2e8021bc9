// The order of events, each context's single `disconnect`, and what happens when listeners throw.

import { on } from 'node:events';
import net from 'node:net';

import type { ClientContext } from 'iocp';
import { describe, expect, it } from 'vitest';

import {
  Context,
  engine,
  frame,
  gone,
  next,
  packages,
  pair,
  RawPeer,
  runFixture,
  server,
  turns,
  until,
  WORKERS,
} from './support.js';

describe.each(WORKERS)('with ioWorkers %i', (ioWorkers) => {
  it('emits context, connection, package…, disconnect, in this order', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const order: string[] = [];
    made.on('context', (context) => order.push(`context ${context.connected}`));
    made.on('connection', (context) => order.push(`connection ${context.connected}`));
    made.on('package', (_context, payload) => order.push(`package ${payload}`));
    made.on('disconnect', (context, reason) => {
      order.push(`disconnect ${context.connected} ${reason.by} ${reason.code}`);
    });
    const disconnected = next(made, 'disconnect');
    const peer = await RawPeer.connect({ port });
    peer.socket.end(Buffer.concat([frame('1'), frame('2'), frame('3')]));
    await disconnected;
    await turns(3);
    expect(order).toEqual([
      'context false',
      'connection true',
      'package 1',
      'package 2',
      'package 3',
      'disconnect false peer ERR_IOCP_PEER_CLOSED',
    ]);
  });

  it('emits disconnect exactly once, whoever ends the connection', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const ended = new Map<number, number>();
    made.on('disconnect', (context) => ended.set(context.id, (ended.get(context.id) ?? 0) + 1));
    const ways: Array<(peer: RawPeer, context: ClientContext) => void> = [
      (peer) => peer.socket.end(),
      (peer) => peer.socket.resetAndDestroy(),
      (_peer, context) => context.disconnect(),
      (_peer, context) => context.disconnect({ graceful: true }),
      (peer, context) => {
        peer.socket.end();
        context.disconnect();
      },
      (peer, context) => {
        context.disconnect({ graceful: true });
        peer.socket.resetAndDestroy();
      },
      (peer) => peer.socket.write('\xff\xff\xff\xff', 'latin1'),
    ];
    for (const way of ways) {
      const connected = next<[ClientContext]>(made, 'connection');
      const peer = await RawPeer.connect({ port });
      const [context] = await connected;
      const disconnected = gone(made, context);
      way(peer, context);
      await disconnected;
      expect(context.connected).toBe(false);
    }
    await turns(5);
    expect([...ended.values()]).toEqual(ways.map(() => 1));
    expect(made.connectionCount).toBe(0);
    expect([...made.contexts()]).toEqual([]);
  });

  it('tells by whom a connection was ended, and why', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const connect = async (): Promise<[RawPeer, ClientContext]> => {
      const connected = next<[ClientContext]>(made, 'connection');
      const peer = await RawPeer.connect({ port });
      return [peer, (await connected)[0]];
    };
    const [first, one] = await connect();
    const byPeer = gone(made, one);
    first.socket.resetAndDestroy();
    expect(await byPeer).toMatchObject({ by: 'peer', code: 'ECONNRESET' });
    const [, two] = await connect();
    const bySelf = gone(made, two);
    two.disconnect();
    expect(await bySelf).toMatchObject({ by: 'local', code: 'ERR_IOCP_DISCONNECTED' });
  });

  it('emits no package after this side has reset the connection', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const got: string[] = [];
    made.on('package', (context, payload) => {
      got.push(String(payload));
      expect(context.disconnect()).toBe(true);
      expect(context.connected).toBe(false);
      expect(context.send('too late')).toBe(false);
      expect(context.disconnect()).toBe(false);
    });
    const disconnected = next(made, 'disconnect');
    const peer = await RawPeer.connect({ port });
    await peer.write(Buffer.concat([frame('1'), frame('2'), frame('3')]));
    await disconnected;
    await turns(3);
    expect(got).toEqual(['1']);
  });

  it('delivers what was queued before a graceful disconnect, and packages until the peer ends', async () => {
    const { server: made, client, incoming, outgoing } = await pair({ ioWorkers });
    const arrived = packages(client, 500);
    const answer = packages(made, 1);
    const reason = gone(made, incoming);
    client.on('package', (context, payload) => {
      if (payload.toString() === '499') context.send('all received');
    });
    for (let number = 0; number < 500; number++) incoming.send(String(number));
    incoming.disconnect({ graceful: true });
    expect(incoming.send('refused')).toBe(false);
    expect((await arrived).map(Number)).toEqual(Array.from({ length: 500 }, (_, index) => index));
    expect((await answer).map(String)).toEqual(['all received']);
    expect(await reason).toMatchObject({ by: 'local' });
    await until(() => !outgoing.connected);
  });

  it('reports each peer that does not fit under maxConnections', async () => {
    const { server: made, port } = await server({ ioWorkers, maxConnections: 1 });
    const connected = next<[ClientContext]>(made, 'connection');
    await RawPeer.connect({ port });
    const [context] = await connected;
    const refused = next<[{ remoteAddress: string; reason: { code: string } }]>(made, 'refuse');
    const peer = new RawPeer(net.connect(port, '127.0.0.1'));
    const [refusal] = await refused;
    expect(refusal).toMatchObject({
      remoteAddress: '127.0.0.1',
      remotePort: expect.any(Number),
      remoteFamily: 'IPv4',
      reason: { code: 'ERR_IOCP_MAX_CONNECTIONS' },
    });
    await peer.when(() => peer.closed);
    expect(made.connectionCount).toBe(1);
    context.disconnect();
    await next(made, 'disconnect');
    const again = next(made, 'connection');
    await RawPeer.connect({ port });
    await again;
  });

  it('leaves the event loop its turns while more packages wait than listeners can keep up with', async () => {
    const { server: made, outgoing } = await pair({ ioWorkers }, { ioWorkers: 1 });
    const count = 12_000;
    let [received, sinceTurn, mostInTurn] = [0, 0, 0];
    made.on('package', () => {
      const end = performance.now() + 0.02;
      while (performance.now() < end);
      received++;
      sinceTurn++;
    });
    for (let index = 0; index < count; index++) outgoing.send(Buffer.alloc(1000));
    await until(() => {
      mostInTurn = Math.max(mostInTurn, sinceTurn);
      sinceTurn = 0;
      return received === count;
    });
    expect(mostInTurn).toBeLessThan(count / 3);
  });

  it('lets exceptions of listeners surface, and carries on', async () => {
    const { code, stdout, stderr } = await runFixture('throwing-listeners.mjs', [
      String(ioWorkers),
    ]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result.caught).toEqual(result.thrown);
    expect(result.thrown.length).toBeGreaterThan(30);
    expect(result.events).toEqual([
      'context',
      'connection',
      ...Array.from({ length: 30 }, (_, index) => `package ${index}`),
      'disconnect',
    ]);
    expect(result.answered).toBe(true);
  });

  it('reads on behind thousands of callbacks that throw', async () => {
    const { code, stdout, stderr } = await runFixture('throwing-callbacks.mjs', [
      String(ioWorkers),
    ]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ caught: 15_000, expected: 15_000 });
  });

  it('reads on behind thousands of packages that throw on a logical worker', async () => {
    const { port } = await server({
      ioWorkers,
      deliver: 'workers',
      jobs: new URL('fixtures/service-throws.mjs', import.meta.url),
      workers: 1,
    });
    const peer = await RawPeer.connect({ port });
    // Nothing that comes later would make the worker look again.
    const throwing = Array<Buffer>(5000).fill(frame('!'));
    await peer.write(Buffer.concat([...throwing, frame('how often?')]));
    expect(await peer.bytes(8)).toEqual(frame('5000'));
  });

  it.each([100, 1000, 40_000])(
    'outlives a listener that detaches the memory behind payloads of %i bytes',
    async (size) => {
      const { code, stdout, stderr } = await runFixture('detaching-listener.mjs', [
        String(ioWorkers),
        String(size),
      ]);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      const result = JSON.parse(stdout);
      expect(result.wrong).toBe(0);
      expect(result.detached).toBeGreaterThan(0);
      // All of it arrived, or it was said that some did not; and later packages do again.
      if (result.seen < result.sent) {
        expect(result.caught).toEqual([expect.stringContaining('were lost')]);
      }
      expect(result.revived).toBeGreaterThanOrEqual(100);
    },
  );

  it('ends the process when nobody catches the exception', async () => {
    const { code, stderr } = await runFixture('uncaught.mjs', [String(ioWorkers)]);
    expect(stderr).toContain('Error: from a listener');
    expect(code).toBe(1);
  });
});

describe('an engine as an EventEmitter', () => {
  it('can be iterated with events.on', async () => {
    const { server: made, outgoing } = await pair();
    for (const text of ['a', 'b', 'c']) outgoing.send(text);
    const got: string[] = [];
    for await (const [context, payload] of on(made, 'package')) {
      expect(context).toBeInstanceOf(Context);
      if (got.push(String(payload)) === 3) break;
    }
    expect(got).toEqual(['a', 'b', 'c']);
  });

  it('honours captureRejections', async () => {
    const { server: made, outgoing } = await pair({ captureRejections: true });
    const failed = next<[Error]>(made, 'error');
    made.on('package', async () => {
      throw new Error('rejected');
    });
    outgoing.send('x');
    expect((await failed)[0].message).toBe('rejected');
  });

  it('delivers packages received together with the connection after the connection event', async () => {
    const { port } = await server();
    const other = engine();
    const { port: second } = await other.listen({ host: '127.0.0.1' });
    expect(second).not.toBe(port);
    const order: string[] = [];
    other.on('connection', () => order.push('connection'));
    other.on('package', () => order.push('package'));
    const got = packages(other, 1);
    const client = engine();
    const context = await client.connect({ port: second });
    context.send('x');
    await got;
    expect(order).toEqual(['connection', 'package']);
  });
});
