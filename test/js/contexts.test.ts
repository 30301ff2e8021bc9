// Contexts as handles: found by id, safe after their end, reached all at once.

import { inspect } from 'node:util';

import type { ClientContext, DisconnectReason } from 'iocp';
import { describe, expect, it } from 'vitest';

import {
  engine,
  frame,
  gone,
  next,
  packages,
  pair,
  RawPeer,
  server,
  turns,
  until,
  WORKERS,
} from './support.js';

describe('a context', () => {
  it('knows both addresses and when it came to be', async () => {
    const before = Date.now();
    const { port, incoming, outgoing } = await pair();
    expect(incoming.localPort).toBe(port);
    expect(incoming.localAddress).toBe('127.0.0.1');
    expect(incoming.remoteAddress).toBe('127.0.0.1');
    expect(incoming.remotePort).toBe(outgoing.localPort);
    expect(incoming.remoteFamily).toBe('IPv4');
    expect(outgoing.remotePort).toBe(port);
    expect(outgoing.connectedAt).toBeGreaterThanOrEqual(before);
    expect(outgoing.connectedAt).toBeLessThanOrEqual(Date.now());
    expect(inspect(outgoing)).toBe(`ClientContext ${outgoing.id} (connected, 127.0.0.1:${port})`);
  });

  it('tells TCP figures of its connection', async () => {
    const { outgoing, server: made } = await pair();
    const got = packages(made, 1);
    outgoing.send('x');
    await got;
    const info = outgoing.info()!;
    expect(Object.values(info).every((figure) => figure >= 0)).toBe(true);
    expect(info.rttUs).toBeGreaterThan(0);
  });

  it('does nothing once it has gone, and says so', async () => {
    const { server: made, incoming, outgoing, client } = await pair();
    const got = packages(made, 1);
    outgoing.send('12345');
    await got;
    const ended = gone(client, outgoing);
    outgoing.disconnect({ graceful: true });
    await ended;
    expect(outgoing.connected).toBe(false);
    expect(outgoing.send('x')).toBe(false);
    expect(outgoing.sendRaw('x')).toBe(false);
    expect(outgoing.sendv(['x'])).toBe(false);
    expect(outgoing.pause()).toBe(false);
    expect(outgoing.resume()).toBe(false);
    expect(outgoing.disconnect()).toBe(false);
    expect(outgoing.info()).toBeUndefined();
    expect(outgoing.queuedBytes).toBe(0);
    expect(outgoing.bytesSent).toBe(9);
    expect(outgoing.packagesSent).toBe(1);
    expect(incoming.bytesReceived).toBe(9);
    expect(client.disconnectClient(outgoing)).toBe(false);
    expect(client.disconnectClient(outgoing.id)).toBe(false);
    const error = await new Promise((resolve) => outgoing.send('x', resolve));
    expect(error).toMatchObject({
      name: 'IocpError',
      code: 'ERR_IOCP_GONE',
      context: outgoing.id,
    });
    await client.close();
    expect(outgoing.send('x')).toBe(false);
    expect(outgoing.bytesSent).toBe(9);
  });

  it('fails the callbacks of what can no longer be sent, before its disconnect event', async () => {
    const {
      server: made,
      incoming,
      client,
      outgoing,
    } = await pair({ maxQueuedBytes: 64 * 1024 * 1024 });
    outgoing.pause();
    const order: string[] = [];
    for (let index = 0; index < 20; index++) {
      incoming.send(Buffer.alloc(1024 * 1024), (error) => order.push(error?.code ?? 'written'));
    }
    made.on('disconnect', () => order.push('disconnect'));
    await turns(2);
    const ended = gone(made, incoming);
    incoming.disconnect();
    await ended;
    expect(order.length).toBe(21);
    expect(order.at(-1)).toBe('disconnect');
    expect(order.at(-2)).toBe('ERR_IOCP_GONE');
    await client.close({ graceMs: 0 });
  });

  it('is found by its id until its disconnect', async () => {
    const { server: made, incoming, client, outgoing } = await pair();
    expect(made.findClient(incoming.id)).toBe(incoming);
    expect(client.findClient(outgoing.id)).toBe(outgoing);
    expect(made.findClient(incoming.id + 2 ** 21)).toBeUndefined();
    for (const id of [-1, 0.5, NaN, Infinity, 2 ** 60]) expect(made.findClient(id)).toBeUndefined();
    const ended = gone(made, incoming);
    incoming.disconnect();
    await ended;
    expect(made.findClient(incoming.id)).toBeUndefined();
  });

  it.each(WORKERS)('has an id that is never used again (ioWorkers %i)', async (ioWorkers) => {
    const { server: made, port } = await server({ ioWorkers, maxConnections: 4 });
    const ids = new Set<number>();
    for (let round = 0; round < 50; round++) {
      const connected = next<[ClientContext]>(made, 'connection');
      const peer = await RawPeer.connect({ port });
      const [context] = await connected;
      expect(Number.isSafeInteger(context.id)).toBe(true);
      ids.add(context.id);
      const ended = gone(made, context);
      peer.socket.destroy();
      await ended;
    }
    expect(ids.size).toBe(50);
  });

  it('carries the data that was given to connect, already in the context event', async () => {
    const { port } = await server();
    const client = engine<{ name: string }>();
    const seen: unknown[] = [];
    client.on('context', (context) => seen.push(context.data));
    const context = await client.connect({ port, data: { name: 'me' } });
    expect(context.data).toEqual({ name: 'me' });
    expect(seen).toEqual([{ name: 'me' }]);
  });
});

describe.each(WORKERS)('sendToAll with ioWorkers %i', (ioWorkers) => {
  async function crowd(count: number) {
    const { server: made, port } = await server<number>({ ioWorkers });
    const peers: RawPeer[] = [];
    const contexts: Array<ClientContext<number>> = [];
    for (let index = 0; index < count; index++) {
      const connected = next<[ClientContext<number>]>(made, 'connection');
      peers.push(await RawPeer.connect({ port }));
      const [context] = await connected;
      context.data = index;
      contexts.push(context);
    }
    return { made, peers, contexts };
  }

  it('reaches everybody, framed, behind what was sent to them before', async () => {
    const { made, peers, contexts } = await crowd(5);
    for (const context of contexts) context.send(`to ${context.data}`);
    expect(made.sendToAll('to all')).toBe(5);
    for (const [index, peer] of peers.entries()) {
      const expected = `\x04\0\0\0to ${index}\x06\0\0\0to all`;
      expect((await peer.bytes(expected.length)).toString('latin1')).toBe(expected);
    }
  });

  it('leaves out whom except and filter name', async () => {
    const { made, peers, contexts } = await crowd(6);
    expect(made.sendToAll('1', { except: contexts[0] })).toBe(5);
    expect(made.sendToAll('2', { except: contexts[1]!.id })).toBe(5);
    expect(made.sendToAll('3', { except: [contexts[2]!, contexts[3]!.id] })).toBe(4);
    expect(made.sendToAll('4', { filter: (context) => context.data % 2 === 0 })).toBe(3);
    expect(made.sendToAll('5', { filter: () => false })).toBe(0);
    expect(made.sendToAll('.')).toBe(6);
    const expected = ['234.', '13.', '124.', '12.', '1234.', '123.'];
    for (const [index, peer] of peers.entries()) {
      await peer.when(() => peer.received.toString('latin1').endsWith('.'));
      const texts = peer.received.toString('latin1').replaceAll('\x01\0\0\0', '');
      expect(texts).toBe(expected[index]);
    }
  });

  it('leaves in one write per connection when it is called several times in a turn', async () => {
    const { made, peers } = await crowd(5);
    const before = made.stats().port.writes;
    for (let index = 0; index < 4; index++) expect(made.sendToAll(`${index}`)).toBe(5);
    for (const peer of peers) {
      const received = (await peer.bytes(20)).toString('latin1');
      expect(received.replaceAll('\x01\0\0\0', '')).toBe('0123');
    }
    // An I/O thread counts a write once its call has returned: the peer may have read the bytes by then.
    const writes = () => made.stats().port.writes - before;
    await until(() => writes() >= 5);
    // With I/O threads the first may be on its way before the second call.
    expect(writes()).toBeLessThanOrEqual(made.stats().ioWorkers === 0 ? 5 : 20);
  });

  it('carries large payloads to all', async () => {
    const { made, peers } = await crowd(3);
    const payload = Buffer.alloc(900_000, 'abcdefg');
    expect(made.sendToAll(payload)).toBe(3);
    for (const peer of peers) {
      expect((await peer.bytes(payload.length + 4)).subarray(4).equals(payload)).toBe(true);
    }
  });

  it('skips contexts that are on their way out, and disconnectAll ends the rest', async () => {
    const { made, contexts, peers } = await crowd(4);
    contexts[0]!.disconnect();
    contexts[1]!.disconnect({ graceful: true });
    expect(made.sendToAll('x')).toBe(2);
    expect(made.disconnectAll({ graceful: true })).toBe(3);
    for (const peer of peers) peer.socket.end();
    while (made.connectionCount > 0) await next(made, 'disconnect');
    expect(made.disconnectAll()).toBe(0);
    expect(made.sendToAll('x')).toBe(0);
  });
});

// Without a listener that wants to hear of connections there is no context until somebody looks.
describe.each(WORKERS)('a connection that nobody has seen (ioWorkers %i)', (ioWorkers) => {
  const unseen = async (count: number) => {
    const { server: made, port } = await server({ ioWorkers });
    const peers: RawPeer[] = [];
    for (let index = 0; index < count; index++) peers.push(await RawPeer.connect({ port }));
    await until(() => made.connectionCount === count);
    return { made, port, peers, ports: peers.map((peer) => peer.socket.localPort).sort() };
  };

  it('has the context that it would have had, and only one', async () => {
    const before = Date.now();
    const { made, port, ports } = await unseen(3);
    const after = Date.now();
    await turns(20);
    const contexts = [...made.contexts()];
    expect(contexts.map((context) => context.remotePort).sort()).toEqual(ports);
    for (const context of contexts) {
      expect(context).toMatchObject({
        connected: true,
        data: undefined,
        remoteAddress: '127.0.0.1',
        remoteFamily: 'IPv4',
        localAddress: '127.0.0.1',
        localPort: port,
        packagesReceived: 0,
        peerEnded: false,
      });
      expect(context.connectedAt).toBeGreaterThanOrEqual(before - 1);
      expect(context.connectedAt).toBeLessThanOrEqual(after + 1);
      expect(made.findClient(context.id)).toBe(context);
    }
    expect([...made.contexts()]).toEqual(contexts);
    expect(made.connectionCount).toBe(3);
  });

  it('is found by its id, which is not that of another engine or time', async () => {
    const { made } = await unseen(1);
    const other = 2 ** 21; // the next generation of slot 0
    expect(made.findClient(other * 2)).toBeUndefined();
    const context = made.findClient(other)!;
    expect(context.id).toBe(other);
    expect([...made.contexts()]).toEqual([context]);
  });

  it('is seen by its first package', async () => {
    const { made, peers } = await unseen(3);
    const arrived = next<[ClientContext, Buffer]>(made, 'package');
    await peers[1]!.write(frame('hello'));
    const [context, payload] = await arrived;
    expect(String(payload)).toBe('hello');
    expect(context.remotePort).toBe(peers[1]!.socket.localPort);
    expect(context.packagesReceived).toBe(1);
    expect(context.send('and you')).toBe(true);
    expect(await peers[1]!.bytes(11)).toEqual(frame('and you'));
    expect(made.findClient(context.id)).toBe(context);
  });

  it('is seen by its disconnect, if somebody listens to that', async () => {
    const { made, peers } = await unseen(2);
    const ended = next<[ClientContext, DisconnectReason]>(made, 'disconnect');
    const { localPort } = peers[1]!.socket;
    peers[1]!.socket.resetAndDestroy();
    const [context, reason] = await ended;
    expect(context.remotePort).toBe(localPort);
    expect(context.connected).toBe(false);
    expect(reason.by).toBe('peer');
    expect(made.connectionCount).toBe(1);
  });

  it('goes unseen, and what follows it in its place is not taken for it', async () => {
    const { made, port, peers } = await unseen(3);
    peers.forEach((peer) => peer.socket.resetAndDestroy());
    await until(() => made.connectionCount === 0);
    expect([...made.contexts()]).toEqual([]);
    const later = [await RawPeer.connect({ port }), await RawPeer.connect({ port })];
    await until(() => made.connectionCount === 2);
    const contexts = [...made.contexts()];
    expect(contexts.map((context) => context.remotePort).sort()).toEqual(
      later.map((peer) => peer.socket.localPort).sort(),
    );
  });

  it('is answered when its peer ends it, as any other', async () => {
    const { made, peers } = await unseen(2);
    peers[0]!.socket.end();
    await peers[0]!.when(() => peers[0]!.ended && peers[0]!.closed);
    await until(() => made.connectionCount === 1);
    expect([...made.contexts()][0]!.remotePort).toBe(peers[1]!.socket.localPort);
  });

  it('is reached by sendToAll, and ended by disconnectAll and close', async () => {
    const { made, peers } = await unseen(4);
    expect(made.sendToAll('all')).toBe(4);
    for (const peer of peers) expect(await peer.bytes(7)).toEqual(frame('all'));
    expect(made.disconnectAll()).toBe(4);
    await until(() => made.connectionCount === 0);

    const { made: closing, peers: left } = await unseen(2);
    const report = closing.close({ graceMs: 2000 });
    left.forEach((peer) => peer.socket.end());
    expect(await report).toMatchObject({ contexts: 2, drained: 2, reset: 0 });
  });
});

describe('an unused engine', () => {
  it('has no contexts and sends to nobody', () => {
    const made = engine();
    expect(made.connectionCount).toBe(0);
    expect([...made.contexts()]).toEqual([]);
    expect(made.findClient(1)).toBeUndefined();
    expect(made.sendToAll('x')).toBe(0);
    expect(made.disconnectAll()).toBe(0);
    expect(made.disconnectClient(5)).toBe(false);
    made.pauseAccept();
    made.resumeAccept();
    made.ref().unref();
  });
});
