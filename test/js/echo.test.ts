// What every user relies on: each package arrives whole, once, in order, and unchanged, however the stream was
// cut, and however the engine is stepped.

import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MessageChannel } from 'node:worker_threads';

import type { ClientContext } from 'iocp';
import { describe, expect, it } from 'vitest';

import {
  engine,
  frame,
  next,
  packages,
  pair,
  pattern,
  RawPeer,
  seeded,
  server,
  until,
  WORKERS,
} from './support.js';

const SIZES = [
  0, 1, 2, 7, 8, 9, 100, 1023, 4096, 16_383, 16_384, 16_385, 49_152, 49_153, 65_536, 1_048_576,
];

/** Runs a full collection, which a test may not do by itself, and frees what it found. */
function collectGarbage(): void {
  const bun = (globalThis as { Bun?: { gc(force: boolean): void } }).Bun;
  if (bun !== undefined) return bun.gc(true);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // V8 frees the memory of Buffers on a thread of its own, later; a collection waits for the one before.
  collect();
  collect();
}

const digest = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex');

describe.each(WORKERS)('with ioWorkers %i', (ioWorkers) => {
  it('echoes packages of every size from engine to engine', async () => {
    const { server: echo, client, outgoing } = await pair({ ioWorkers });
    echo.on('package', (context, payload) => context.send(payload));
    const sent = SIZES.map((size, index) => pattern(size, index));
    const answers = packages(client, sent.length);
    for (const payload of sent) outgoing.send(payload);
    const got = await answers;
    expect(got.map((payload) => payload.length)).toEqual(SIZES);
    expect(got.map(digest)).toEqual(sent.map(digest));
  });

  it.each([
    'iocps',
    { type: 'varint' },
    { type: 'delimiter', delimiter: '\n' },
    { type: 'length', width: 2, offset: 3, endian: 'be' },
  ] as const)('answers one package at a time, or two, of changing lengths: %j', async (framing) => {
    const random = seeded(4321 + ioWorkers);
    const { server: echo, client, outgoing } = await pair({ ioWorkers, framing });
    echo.on('package', (context, payload) => context.send(payload));
    const wrong: number[] = [];
    for (let round = 0; round < 300; round++) {
      const size = random() < 0.7 ? 3000 : Math.floor(random() * 18_000);
      const sent = Array.from({ length: random() < 0.9 ? 1 : 2 }, (_, index) =>
        pattern(size + index, round).map((byte) => (byte === 10 ? 11 : byte)),
      );
      const answers = packages(client, sent.length);
      for (const payload of sent) outgoing.send(payload);
      const got = await answers;
      if (!sent.every((payload, index) => got[index]!.equals(payload))) wrong.push(round);
    }
    expect(wrong).toEqual([]);
  });

  it('puts packages together from randomly cut segments', async () => {
    const random = seeded(1234 + ioWorkers);
    const { server: made, port } = await server({ ioWorkers });
    const sent = Array.from({ length: 300 }, (_, index) => {
      const size = random() < 0.1 ? random() * 100_000 : random() * 300;
      return pattern(Math.floor(size), index);
    });
    const arrived = packages(made, sent.length);
    const peer = await RawPeer.connect({ port });
    const stream = Buffer.concat(sent.map(frame));
    for (let at = 0; at < stream.length;) {
      const length = 1 + Math.floor(random() ** 3 * 20_000);
      await peer.write(stream.subarray(at, at + length));
      at += length;
    }
    expect((await arrived).map(digest)).toEqual(sent.map(digest));
  });

  it('puts packages together from single bytes', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const sent = ['', 'a', 'bc', 'hello world', ''];
    const arrived = packages(made, sent.length);
    const peer = await RawPeer.connect({ port });
    for (const byte of Buffer.concat(sent.map(frame))) await peer.write(Uint8Array.of(byte));
    expect((await arrived).map(String)).toEqual(sent);
  });

  it.each([1, 4, 16])('keeps the order exactly with pendingReads %i', async (pendingReads) => {
    const { server: made, outgoing } = await pair({ ioWorkers, pendingReads });
    const count = 20_000;
    const arrived = packages(made, count);
    const payload = Buffer.alloc(40);
    for (let number = 0; number < count; number++) {
      payload.writeUInt32LE(number);
      outgoing.send(payload);
    }
    const numbers = (await arrived).map((one) => one.readUInt32LE());
    expect(numbers).toEqual(Array.from({ length: count }, (_, number) => number));
  });

  it('keeps the order of small, large, raw and text sends, and answers their callbacks', async () => {
    const { server: made, outgoing } = await pair({ ioWorkers });
    const answered: number[] = [];
    const arrived = packages(made, 40);
    const done = new Promise<void>((resolve) => {
      for (let number = 0; number < 40; number++) {
        const body = `${number}:`.padEnd([3, 30, 20_000, 300][number % 4]!, 'é');
        const callback = (error: Error | null): void => {
          expect(error).toBeNull();
          if (answered.push(number) === 40) resolve();
        };
        if (number % 5 === 4) outgoing.sendRaw(frame(body), callback);
        else if (number % 5 === 3) {
          outgoing.sendv([body.slice(0, 2), Buffer.from(body.slice(2))], callback);
        } else outgoing.send(number % 2 ? Buffer.from(body) : body, callback);
      }
    });
    const numbers = (await arrived).map((payload) => Number(payload.toString().split(':')[0]));
    expect(numbers).toEqual(Array.from({ length: 40 }, (_, number) => number));
    await done;
    expect(answered).toEqual(numbers);
  });

  it('leaves payloads unchanged for as long as they are kept', async () => {
    const { server: made, outgoing } = await pair({ ioWorkers });
    const count = 5_000;
    const kept: Buffer[] = [];
    const digests: string[] = [];
    const all = new Promise<void>((resolve) => {
      made.on('package', (_context, payload) => {
        kept.push(payload);
        digests.push(digest(payload));
        if (kept.length === count) resolve();
      });
    });
    for (let number = 0; number < count; number++) outgoing.send(pattern(number % 700, number));
    await all;
    // More traffic and collections in between: memory of kept payloads must not be filled again.
    const more = packages(made, count);
    for (let number = 0; number < count; number++) outgoing.send(pattern(500, number + 7));
    globalThis.gc?.();
    await more;
    globalThis.gc?.();
    expect(kept.slice(0, count).map(digest)).toEqual(digests.slice(0, count));
    expect(digest(kept[699]!)).toBe(digest(pattern(699, 699)));
  });

  it('serves many connections at the same time without mixing them up', async () => {
    const { server: made, port } = await server({ ioWorkers });
    made.on('package', (context, payload) => context.send(payload));
    const client = engine<number>({ ioWorkers });
    const peers = 40;
    const rounds = 50;
    const seen = new Array<number>(peers).fill(0);
    const wrong: string[] = [];
    const finished = new Promise<void>((resolve) => {
      let done = 0;
      client.on('package', (context, payload) => {
        const expected = `${context.data}/${seen[context.data]!++}`;
        if (payload.toString() !== expected) wrong.push(`${payload} instead of ${expected}`);
        if (seen[context.data] === rounds && ++done === peers) resolve();
      });
    });
    const contexts = await Promise.all(
      Array.from({ length: peers }, (_, data) => client.connect({ port, data })),
    );
    for (let round = 0; round < rounds; round++) {
      for (const context of contexts) context.send(`${context.data}/${round}`);
    }
    await finished;
    expect(wrong).toEqual([]);
    expect(made.connectionCount).toBe(peers);
  });

  it('lets the caller reuse an array as soon as send returns', async () => {
    const { server: made, outgoing } = await pair({ ioWorkers });
    const arrived = packages(made, 200);
    const small = Buffer.alloc(50);
    const large = Buffer.alloc(50_000);
    for (let number = 0; number < 100; number++) {
      outgoing.send(small.fill(number));
      outgoing.send(large.fill(number + 100));
    }
    small.fill(255);
    large.fill(255);
    const wrong = (await arrived).filter((payload, index) => {
      const value = (index >> 1) + (index % 2) * 100;
      return !payload.every((byte) => byte === value);
    });
    expect(wrong.length).toBe(0);
  });

  it('leaves large payloads that are kept as they came, whatever comes after them', async () => {
    const { server: made, outgoing } = await pair({ ioWorkers });
    const sizes = Array.from({ length: 150 }, (_, number) => 16_385 + ((number * 7919) % 120_000));
    const arrived = packages(made, sizes.length);
    sizes.forEach((size, number) => outgoing.send(pattern(size, number)));
    const kept = await arrived;
    const garbage = packages(made, 150);
    for (let number = 0; number < 150; number++) outgoing.send(Buffer.alloc(60_000, 255));
    await garbage;
    const wrong = kept.filter((payload, number) => {
      payload[0]! ^= 1; // theirs to write to
      payload[0]! ^= 1;
      return !payload.equals(pattern(sizes[number]!, number));
    });
    expect(wrong.length).toBe(0);
    expect(kept.every((payload) => Object.getPrototypeOf(payload) === Buffer.prototype)).toBe(true);
  });

  it('leaves the few large payloads that are kept, while the memory of the others is used again', async () => {
    const { server: made, outgoing } = await pair({ ioWorkers });
    const kept: Array<{ payload: Buffer; size: number; number: number }> = [];
    for (let round = 0; round < 12; round++) {
      const arrived = packages(made, 60);
      const sizes = Array.from({ length: 60 }, (_, index) => 16_385 + ((index * 7919) % 110_000));
      sizes.forEach((size, index) => outgoing.send(pattern(size, round * 60 + index)));
      (await arrived).forEach((payload, index) => {
        const number = round * 60 + index;
        if (number % 13 === 0) kept.push({ payload, size: sizes[index]!, number });
      });
      collectGarbage();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const wrong = () =>
      kept.filter(({ payload, size, number }) => !payload.equals(pattern(size, number))).length;
    expect(kept.length).toBe(Math.ceil((12 * 60) / 13));
    expect(wrong()).toBe(0);
    await made.close();
    collectGarbage();
    expect(wrong()).toBe(0);
  });

  it.each([100, 40_000])(
    'goes on when a listener transfers the memory behind payloads of %i bytes',
    async (size) => {
      const { server: made, outgoing } = await pair({ ioWorkers });
      const { port1, port2 } = new MessageChannel();
      const seen: boolean[] = [];
      made.on('package', (_context, payload) => {
        seen.push(payload.equals(pattern(size, seen.length)));
        try {
          // It may be refused or ignored, or be done where the memory is this payload's alone.
          port1.postMessage(payload, [payload.buffer as ArrayBuffer]);
        } catch (error) {
          expect((error as Error).name).toBe('DataCloneError');
        }
      });
      for (let number = 0; number < 200; number++) outgoing.send(pattern(size, number));
      await until(() => seen.length === 200);
      port1.close();
      port2.close();
      expect(seen.every(Boolean)).toBe(true);
    },
  );

  it('gives back the memory of large packages whose peers ended in the middle of them', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const ended: string[] = [];
    made.on('disconnect', (_context, reason) => ended.push(String(reason.code)));
    const half = frame(Buffer.alloc(100_000)).subarray(0, 30_000);
    const hold = async (peers: number) => {
      const before = ended.length;
      await Promise.all(
        Array.from({ length: peers }, async () => {
          const peer = await RawPeer.connect({ port });
          // The header alone first, so that the rest is received in its place.
          peer.socket.write(half.subarray(0, 10));
          await new Promise((resolve) => setTimeout(resolve, 5));
          await new Promise((resolve) => peer.socket.write(half.subarray(10), resolve));
          peer.socket.end();
        }),
      );
      await until(() => ended.length === before + peers);
      collectGarbage();
      return process.memoryUsage().arrayBuffers;
    };
    await hold(20);
    const first = await hold(100);
    const second = await hold(100);
    expect(new Set(ended)).toEqual(new Set(['ERR_IOCP_PACKAGE_INCOMPLETE']));
    expect(second - first).toBeLessThan(100 * 100_000 * 0.2);
  });

  it('answers a peer that half-closes right after its request', async () => {
    const { server: made, port } = await server({ ioWorkers });
    made.on('package', async (context: ClientContext, payload) => {
      await Promise.resolve();
      context.send(`re: ${payload}`);
    });
    const peer = await RawPeer.connect({ port });
    peer.socket.end(frame('question'));
    await peer.when(() => peer.closed);
    expect(peer.received).toEqual(frame('re: question'));
    expect(peer.error).toBeUndefined();
  });

  it('counts bytes and packages on both sides', async () => {
    const { server: made, outgoing, incoming } = await pair({ ioWorkers });
    const arrived = packages(made, 2);
    outgoing.send('12345');
    const written = new Promise((resolve) => outgoing.send('1', resolve));
    await arrived;
    await written;
    expect(incoming.bytesReceived).toBe(14);
    expect(incoming.packagesReceived).toBe(2);
    expect(outgoing.bytesSent).toBe(14);
    expect(outgoing.packagesSent).toBe(2);
    expect(outgoing.queuedBytes).toBe(0);
    const disconnected = next(made, 'disconnect');
    outgoing.disconnect({ graceful: true });
    await disconnected;
    expect(incoming.bytesReceived).toBe(14);
    expect(incoming.packagesReceived).toBe(2);
  });
});
