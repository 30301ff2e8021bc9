// The outgoing batch alone: its layout, and when it is flushed.

import { createRequire } from 'node:module';

import { describe, expect, it } from 'vitest';

const require = createRequire(import.meta.url);
const { OutputBatch, BATCH_BYTES, BATCHED_PAYLOAD_MAX } =
  require('../../../dist/output-batch.js') as typeof import('../../../lib/output-batch.js');

interface Sent {
  slot: number;
  generation: number;
  flags: number;
  payload: Buffer;
}

/** Reads a flushed batch as the engine does. */
function decode(bytes: Buffer, used: number): Sent[] {
  const sent: Sent[] = [];
  for (let at = 0; at < used;) {
    const length = bytes.readUInt32LE(at + 8);
    sent.push({
      slot: bytes.readUInt32LE(at),
      generation: bytes.readUInt32LE(at + 4),
      flags: bytes.readUInt32LE(at + 12),
      payload: Buffer.from(bytes.subarray(at + 16, at + 16 + length)),
    });
    at += 16 + ((length + 3) & ~3);
  }
  return sent;
}

/** The payloads of a series, each behind `room` bytes that begin with its length. */
function payloadsOf(series: Sent, room: number): Buffer[] {
  expect(series.flags).toBe(4);
  const payloads: Buffer[] = [];
  for (let at = 0; at < series.payload.length;) {
    const length = series.payload.readUInt16LE(at);
    payloads.push(series.payload.subarray(at + room, at + room + length));
    at += room + length;
  }
  return payloads;
}

function setUp(room = 0) {
  const flushed: Sent[][] = [];
  const more: boolean[] = [];
  const batch = new OutputBatch(
    (used, moreFollows) => {
      flushed.push(decode(batch.bytes, used));
      more.push(moreFollows);
    },
    room,
    1000,
  );
  return { batch, flushed, more };
}

describe('the output batch', () => {
  it('lays records out with their header, payload and padding', () => {
    const { batch, flushed } = setUp();
    batch.append(1, 2, Buffer.from('abc'), 0);
    batch.append(2 ** 21 - 1, 2 ** 32 - 1, Buffer.alloc(0), 0xffffff02);
    batch.append(3, 4, Buffer.from('12345678'), 1);
    expect(batch.used).toBe(16 + 4 + 16 + 16 + 8);
    batch.flush();
    expect(flushed).toEqual([
      [
        { slot: 1, generation: 2, flags: 0, payload: Buffer.from('abc') },
        { slot: 2 ** 21 - 1, generation: 2 ** 32 - 1, flags: 0xffffff02, payload: Buffer.alloc(0) },
        { slot: 3, generation: 4, flags: 1, payload: Buffer.from('12345678') },
      ],
    ]);
  });

  it('makes no call when there is nothing to flush', () => {
    const { batch, flushed } = setUp();
    batch.flush();
    batch.append(1, 1, Buffer.from('x'), 0);
    batch.flush();
    batch.flush();
    expect(flushed.length).toBe(1);
    expect(batch.flushes).toBe(1);
  });

  it('has broadcasts go out with the next flush, in the order of the calls', () => {
    const { batch, flushed, more } = setUp();
    batch.append(1, 1, Buffer.from('before'), 0);
    batch.beforeBroadcast(400);
    batch.beforeBroadcast(600);
    batch.flush();
    expect(flushed.map((sent) => sent.length)).toEqual([1, 0]);
    expect(more).toEqual([true, false]);
    batch.flush();
    expect(more.length).toBe(2);
  });

  it('flushes before a broadcast with which too much would wait', () => {
    const { batch, more } = setUp();
    batch.beforeBroadcast(600);
    expect(more).toEqual([]);
    batch.beforeBroadcast(401);
    expect(more).toEqual([false]);
    batch.beforeBroadcast(5000);
    expect(more).toEqual([false, false]);
  });

  it('flushes by itself when a record does not fit any more, and loses nothing', () => {
    const { batch, flushed } = setUp();
    const count = Math.ceil((BATCH_BYTES / BATCHED_PAYLOAD_MAX) * 2.5);
    for (let index = 0; index < count; index++) {
      batch.append(index, 0, Buffer.alloc(BATCHED_PAYLOAD_MAX, index), 0);
    }
    batch.flush();
    const all = flushed.flat();
    expect(flushed.length).toBeGreaterThanOrEqual(3);
    expect(all.map((one) => one.slot)).toEqual(Array.from({ length: count }, (_, index) => index));
    expect(all.every((one) => one.payload.every((byte) => byte === (one.slot & 255)))).toBe(true);
  });

  it.each([
    '',
    'short',
    'exactly twenty-four chars',
    'é',
    'a€b',
    '😀 emoji',
    'x'.repeat(5000),
    'ü'.repeat(5000),
  ])('writes text as UTF-8 (%#)', (text) => {
    const { batch, flushed } = setUp();
    const length = batch.stage(5, 6, text, true);
    expect(length).toBe(Buffer.byteLength(text));
    batch.adopt(5, 6, length, 1);
    batch.append(7, 8, Buffer.from('behind'), 0);
    batch.flush();
    expect(flushed[0]!.map((one) => one.payload.toString())).toEqual([text, 'behind']);
  });

  it('forgets staged text that is not adopted', () => {
    const { batch, flushed } = setUp();
    batch.stage(1, 1, 'never mind', false);
    batch.append(1, 1, Buffer.from('x'), 0);
    batch.flush();
    expect(flushed[0]!.map((one) => one.payload.toString())).toEqual(['x']);
  });
});

describe('series in the output batch', () => {
  it.each([2, 4, 9])(
    'has packages of one context behind each other, with %i bytes before each',
    (room) => {
      const { batch, flushed } = setUp(room);
      const texts = ['abc', '', 'x'.repeat(300), 'é', 'last'];
      batch.append(1, 2, Buffer.from(texts[0]!), 0);
      batch.append(1, 2, Buffer.from(texts[1]!), 0);
      batch.adopt(1, 2, batch.stage(1, 2, texts[2]!, false), 0);
      batch.adopt(1, 2, batch.stage(1, 2, texts[3]!, false), 0);
      batch.append(1, 2, Buffer.from(texts[4]!), 0);
      expect(batch.used % 4).toBe(0);
      batch.flush();
      const [series, ...others] = flushed[0]!;
      expect(others).toEqual([]);
      expect(series).toMatchObject({ slot: 1, generation: 2 });
      expect(payloadsOf(series!, room).map(String)).toEqual(texts);
    },
  );

  it('ends a series at another context, another generation, a flag and a flush', () => {
    const { batch, flushed } = setUp(4);
    const send = (slot: number, generation: number, text: string, flags = 0): void =>
      batch.append(slot, generation, Buffer.from(text), flags);
    send(1, 1, 'a');
    send(1, 1, 'b');
    send(2, 1, 'c');
    send(1, 1, 'd');
    send(1, 2, 'e');
    send(1, 2, 'raw', 1);
    send(1, 2, 'f');
    batch.flush();
    send(1, 2, 'g');
    batch.flush();
    const seen = flushed.map((batchOf) =>
      batchOf.map(({ flags, ...one }) => {
        const payloads = flags === 4 ? payloadsOf({ flags, ...one }, 4) : [one.payload];
        return [one.slot, one.generation, payloads.map(String).join()];
      }),
    );
    expect(seen).toEqual([
      [
        [1, 1, 'a,b'],
        [2, 1, 'c'],
        [1, 1, 'd'],
        [1, 2, 'e'],
        [1, 2, 'raw'],
        [1, 2, 'f'],
      ],
      [[1, 2, 'g']],
    ]);
  });

  it('goes on in a new one when the batch is full, and loses nothing', () => {
    const { batch, flushed } = setUp(4);
    const payloads = Array.from({ length: 3000 }, (_, index) => Buffer.alloc(index % 1000, index));
    for (const payload of payloads) batch.append(9, 9, payload, 0);
    batch.adopt(9, 9, batch.stage(9, 9, 'x'.repeat(5000), false), 0);
    batch.flush();
    expect(flushed.length).toBeGreaterThan(5);
    const seen = flushed.flat().flatMap((series) => payloadsOf(series, 4));
    expect(seen).toEqual([...payloads, Buffer.alloc(5000, 'x')]);
  });
});
