// Water marks, caps and pauses: no side can make the other grow without limit, and nothing is lost on the way.

import { once } from 'node:events';
import { setTimeout as tick } from 'node:timers/promises';

import type { ClientContext, DisconnectReason } from 'iocp';
import { describe, expect, it } from 'vitest';

import {
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

/** A context whose peer does not read. */
async function deaf(options: import('iocp').IocpOptions) {
  const { server: made, port } = await server(options);
  const connected = next<[ClientContext]>(made, 'connection');
  const peer = await RawPeer.connect({ port });
  peer.socket.pause();
  const [context] = await connected;
  return { made, context, peer };
}

/**
 * Sends until the system takes no more: the queue stays above the mark for fifty ticks of the clock, in which an I/O
 * thread would have written if it could. When it returns, a `drain` is due that was not emitted yet. (A busy system may
 * take the rest even later; then that `drain` comes although nobody reads.)
 */
async function fill(context: ClientContext, size: number, highWaterMark: number): Promise<number> {
  let count = 0;
  let goOn = true; // what the last send answered
  for (let ticks = 0; ; ticks++) {
    while (context.queuedBytes <= highWaterMark) {
      goOn = context.send(Buffer.alloc(size, count++));
      await turns(2);
      ticks = 0;
    }
    if (ticks === 50) break;
    await tick(1);
  }
  expect(goOn).toBe(false);
  return count;
}

describe.each(WORKERS)('with ioWorkers %i', (ioWorkers) => {
  it('send returns false above the high-water mark, and drain comes when the peer reads', async () => {
    const options = { ioWorkers, highWaterMark: 50_000, lowWaterMark: 10_000 };
    const { made, context, peer } = await deaf(options);
    const size = 20_000;
    const count = await fill(context, size, 50_000);
    const drained = next<[ClientContext]>(made, 'drain');
    let queuedWhenDrained = -1;
    made.once('drain', () => (queuedWhenDrained = context.queuedBytes));
    peer.socket.resume();
    expect((await drained)[0]).toBe(context);
    expect(queuedWhenDrained).toBeLessThanOrEqual(50_000);
    await peer.when(() => peer.received.length === count * (size + 4));
    await until(() => context.queuedBytes === 0);
    for (let number = 0; number < count; number++) {
      expect(peer.received[number * (size + 4) + 4]).toBe(number & 255);
    }
    expect(context.send('more')).toBe(true);
  });

  it('a look at queuedBytes emits no drain', async () => {
    const { server: made, incoming } = await pair({ ioWorkers });
    made.on('drain', () => expect.fail('nobody was told to wait'));
    for (let number = 0; number < 50; number++) {
      incoming.send(Buffer.alloc(1000));
      expect(incoming.queuedBytes).toBeLessThanOrEqual(51 * 1004);
    }
    await until(() => incoming.queuedBytes === 0);
  });

  it("overflow 'disconnect' ends the connection by a guard", async () => {
    const { made, context } = await deaf({ ioWorkers, maxQueuedBytes: 200_000 });
    const ended = gone(made, context);
    while (context.connected) {
      context.send(Buffer.alloc(50_000));
      await turns(1);
    }
    const reason: DisconnectReason = await ended;
    expect(reason).toMatchObject({ by: 'guard', code: 'ERR_IOCP_QUEUE_OVERFLOW' });
    expect(reason.message).toContain('maxQueuedBytes');
  });

  it("overflow 'drop' drops what does not fit, and only that", async () => {
    const size = 50_000;
    const options = { ioWorkers, maxQueuedBytes: 200_000, onOverflow: 'drop' } as const;
    const { made, context, peer } = await deaf(options);
    const kept: number[] = [];
    const errors: Array<string | undefined> = [];
    const answers: Array<Promise<void>> = [];
    for (let number = 0; errors.length < 3; number++) {
      const answer = (error: import('iocp').IocpError | null): void => {
        if (error === null) kept.push(number);
        else errors.push(error.code);
      };
      answers.push(
        new Promise((resolve) => {
          context.send(Buffer.alloc(size, number), (error) => (answer(error), resolve()));
        }),
      );
      expect(context.queuedBytes).toBeLessThanOrEqual(200_000);
      await turns(2);
    }
    peer.socket.resume();
    await Promise.all(answers);
    await peer.when(() => peer.received.length === kept.length * (size + 4));
    expect(kept.map((_, at) => peer.received[at * (size + 4) + 4])).toEqual(
      kept.map((one) => one & 255),
    );
    expect(new Set(errors)).toEqual(new Set(['ERR_IOCP_QUEUE_OVERFLOW']));
    expect(made.stats().javascript.droppedSends).toBe(3);
    expect(context.connected).toBe(true);
  });

  it("overflow 'throw' throws at the sender and queues nothing", async () => {
    const options = { ioWorkers, maxQueuedBytes: 200_000, onOverflow: 'throw' } as const;
    const { context } = await deaf(options);
    let thrown: unknown;
    while (thrown === undefined) {
      try {
        context.send(Buffer.alloc(50_000));
        await turns(1);
      } catch (error) {
        thrown = error;
      }
    }
    expect(thrown).toMatchObject({ code: 'ERR_IOCP_QUEUE_OVERFLOW', context: context.id });
    expect(context.queuedBytes).toBeLessThanOrEqual(200_000);
    expect(context.connected).toBe(true);
  });

  it('pause stops packages, resume goes on, and nothing is lost', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const connected = next<[ClientContext]>(made, 'connection');
    const peer = await RawPeer.connect({ port });
    const [context] = await connected;
    const got: string[] = [];
    made.on('package', (_context, payload) => {
      got.push(String(payload));
      if (got.length === 1) expect(context.pause()).toBe(true);
    });
    await peer.write(frame('0'));
    await until(() => got.length === 1);
    for (let number = 1; number < 200; number++) await peer.write(frame(String(number)));
    await turns(20);
    expect(got).toEqual(['0']);
    expect(context.resume()).toBe(true);
    await until(() => got.length === 200);
    expect(got).toEqual(Array.from({ length: 200 }, (_, number) => String(number)));
  });

  it('a pause in the middle of a burst holds back what was already read', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const connected = next<[ClientContext]>(made, 'connection');
    const peer = await RawPeer.connect({ port });
    const [context] = await connected;
    const got: string[] = [];
    made.on('package', (_context, payload) => {
      got.push(String(payload));
      if (got.length % 10 === 0) context.pause();
    });
    const burst = Array.from({ length: 95 }, (_, number) => frame(String(number)));
    await peer.write(Buffer.concat(burst));
    peer.socket.end();
    for (let pauses = 1; pauses <= 9; pauses++) {
      await until(() => got.length === pauses * 10);
      await turns(5);
      expect(got.length).toBe(pauses * 10);
      context.resume();
    }
    await gone(made, context);
    expect(got).toEqual(burst.map((_, number) => String(number)));
  });

  it('a reset stays visible while paused', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const connected = next<[ClientContext]>(made, 'connection');
    const peer = await RawPeer.connect({ port });
    const [context] = await connected;
    context.pause();
    await turns(3);
    const ended = gone(made, context);
    await peer.write(frame('unread'));
    peer.socket.resetAndDestroy();
    expect(await ended).toMatchObject({ by: 'peer' });
  });

  it('a close with nothing unread before it stays visible while paused', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const connected = next<[ClientContext]>(made, 'connection');
    const peer = await RawPeer.connect({ port });
    const [context] = await connected;
    context.pause();
    await turns(3);
    peer.socket.end();
    await until(() => context.peerEnded);
    const ended = gone(made, context);
    context.resume();
    expect(await ended).toMatchObject({ by: 'peer', code: 'ERR_IOCP_PEER_CLOSED' });
  });

  it('what came before a close is delivered when the pause ends, and then the close', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const connected = next<[ClientContext]>(made, 'connection');
    const peer = await RawPeer.connect({ port });
    const [context] = await connected;
    context.pause();
    await turns(3);
    const got = packages(made, 2);
    const ended = gone(made, context);
    peer.socket.end(Buffer.concat([frame('one'), frame('two')]));
    await once(peer.socket, 'finish');
    await turns(3);
    context.resume();
    expect((await got).map(String)).toEqual(['one', 'two']);
    expect(await ended).toMatchObject({ by: 'peer', code: 'ERR_IOCP_PEER_CLOSED' });
  });

  it('a close stays visible while paused', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const connected = next<[ClientContext]>(made, 'connection');
    const peer = await RawPeer.connect({ port });
    const [context] = await connected;
    context.pause();
    await turns(3);
    const got = packages(made, 1);
    peer.socket.end(frame('unread'));
    await until(() => context.peerEnded);
    context.resume();
    expect((await got).map(String)).toEqual(['unread']);
  });

  it('a slow listener slows the sender down: memory stays bounded and nothing is lost', async () => {
    const result = await runFixture('slow-listener.mjs', [String(ioWorkers)], 18_000);
    expect(result.stderr).toBe('');
    expect(result.code).toBe(0);
    const { received, wrong, grownMiB } = JSON.parse(result.stdout);
    expect(received).toBe(8000);
    expect(wrong).toBe(0);
    expect(grownMiB).toBeLessThan(240);
  });

  it('a paused reader slows the sender down until it resumes', async () => {
    const { server: made, client, incoming, outgoing } = await pair({ ioWorkers });
    incoming.pause();
    const count = await fill(outgoing, 60_000, 65_536);
    const arrived = packages(made, count);
    const drained = once(client, 'drain');
    incoming.resume();
    await drained;
    const firsts = (await arrived).map((payload) => payload[0]);
    expect(firsts).toEqual(Array.from({ length: count }, (_, number) => number & 255));
  });
});
