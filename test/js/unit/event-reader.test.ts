// The decoder alone, fed with slabs written by hand.

import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';

import { describe, expect, it } from 'vitest';

const require = createRequire(import.meta.url);
const { EventReader } =
  require('../../../dist/event-reader.js') as typeof import('../../../lib/event-reader.js');
const { SlabSupply } = require('../../../dist/slabs.js') as typeof import('../../../lib/slabs.js');
const { Kind } = require('../../../dist/records.js') as typeof import('../../../lib/records.js');

type Call = [name: string, ...args: unknown[]];

/** Writes records as the engine does. */
class Writer {
  at = 0;
  constructor(readonly slab: Uint8Array) {}

  record(kind: number, slot: number, body: Uint8Array, extra = 0): void {
    const words = new Uint32Array(this.slab.buffer, this.at, 4);
    words.set([kind, slot, body.length, extra]);
    this.slab.set(body, this.at + 16);
    this.at += 16 + ((body.length + 7) & ~7);
  }

  words(kind: number, slot: number, words: number[], texts: string[] = [], extra = 0): void {
    const head = Buffer.from(Uint32Array.from(words).buffer);
    this.record(
      kind,
      slot,
      Buffer.concat([head, ...texts.map((text) => Buffer.from(text))]),
      extra,
    );
  }
}

/** Behind each other, each behind four bytes that begin with its length. */
function series(texts: string[]): Buffer {
  return Buffer.concat(
    texts.flatMap((text) => [
      Buffer.from([text.length, text.length >> 8, 0xee, 0xee]),
      Buffer.from(text),
    ]),
  );
}

function setUp(throwOn?: (call: Call) => boolean) {
  const lent: Array<[lane: number, index: number, slab: Uint8Array]> = [];
  const slabs = new SlabSupply((lane, index, bytes) => {
    const slab = Buffer.alloc(bytes);
    lent.push([lane, index, slab]);
    return slab;
  });
  const calls: Call[] = [];
  const sink = new Proxy({} as Record<string, (...args: unknown[]) => void>, {
    get:
      (_target, name) =>
      (...args: unknown[]) => {
        const call: Call = [String(name), ...args];
        calls.push(call);
        if (throwOn?.(call)) throw new Error('listener');
      },
  });
  const ranges = new Int32Array(64);
  const reader = new EventReader(ranges, slabs, sink as never, 4);
  slabs.start(2, 2);
  const writer = (index: number): Writer => new Writer(lent.find((one) => one[1] === index)![2]);
  const deliver = (rows: number[][], larges?: Buffer[]): void => {
    rows.forEach((row, index) => ranges.set(row, index * 4));
    reader.take(rows.length, larges);
    ranges.fill(-1);
    reader.dispatch();
  };
  return { slabs, lent, calls, reader, writer, deliver };
}

describe('the event reader', () => {
  it('lends every lane its slabs under indices of their own', () => {
    const { lent } = setUp();
    expect(lent.map(([lane, index]) => [lane, index])).toEqual([
      [0, 0],
      [1, 1],
      [0, 2],
      [1, 3],
    ]);
  });

  it('hands out payloads as true Buffers over the slab, of any length', () => {
    const { calls, writer, deliver } = setUp();
    const out = writer(0);
    for (const text of ['', 'a', 'eight by', 'nine byte']) {
      out.record(Kind.package, 7, Buffer.from(text));
    }
    deliver([[0, 0, out.at, 0]]);
    expect(calls.map(([name, slot, payload]) => [name, slot, String(payload)])).toEqual([
      ['onPackage', 7, ''],
      ['onPackage', 7, 'a'],
      ['onPackage', 7, 'eight by'],
      ['onPackage', 7, 'nine byte'],
    ]);
    const payload = calls[3]![2] as Buffer;
    expect(Buffer.isBuffer(payload)).toBe(true);
    expect(Object.getPrototypeOf(payload)).toBe(Buffer.prototype);
    expect(payload.buffer).toBe(out.slab.buffer);
  });

  it('hands out the packages of a series, between other records', () => {
    const { calls, writer, deliver } = setUp();
    const out = writer(0);
    out.record(Kind.package, 1, Buffer.from('before'));
    out.record(Kind.series, 2, series(['one', '', 'x'.repeat(300), 'last']));
    out.record(Kind.series, 3, series(['alone']));
    out.record(Kind.package, 1, Buffer.from('behind'));
    deliver([[0, 0, out.at, 0]]);
    expect(calls.map(([name, slot, payload]) => [name, slot, String(payload)])).toEqual([
      ['onPackage', 1, 'before'],
      ...['one', '', 'x'.repeat(300), 'last'].map((text) => ['onPackage', 2, text]),
      ['onPackage', 3, 'alone'],
      ['onPackage', 1, 'behind'],
    ]);
    const payload = calls[3]![2] as Buffer;
    expect(Object.getPrototypeOf(payload)).toBe(Buffer.prototype);
    expect(payload.buffer).toBe(out.slab.buffer);
  });

  it('goes on within a series after a listener threw', () => {
    let count = 0;
    const { calls, reader, writer, deliver } = setUp(() => ++count % 3 !== 0);
    const out = writer(0);
    const texts = Array.from({ length: 20 }, (_, index) => String(index));
    out.record(Kind.series, 1, series(texts.slice(0, 12)));
    out.record(Kind.series, 1, series(texts.slice(12)));
    expect(() => deliver([[0, 0, out.at, 0]])).toThrow('listener');
    for (let turn = 0; turn < 20; turn++) {
      try {
        reader.dispatch();
        break;
      } catch (error) {
        expect((error as Error).message).toBe('listener');
      }
    }
    expect(calls.map(([, , payload]) => String(payload))).toEqual(texts);
  });

  it('says so when a listener has detached the slab, and reads the next one', () => {
    setFlagsFromString('--allow-natives-syntax');
    const detach = new Function('memory', '%ArrayBufferDetach(memory)') as (it: unknown) => void;
    for (const kind of [Kind.package, Kind.series]) {
      const { calls, reader, writer, deliver } = setUp(([, slot, payload]) => {
        if (slot === 1) detach((payload as Buffer).buffer);
        return false;
      });
      const out = writer(0);
      const more = writer(2);
      out.record(kind, 1, kind === Kind.series ? series(['taken', 'lost']) : Buffer.from('taken'));
      out.record(Kind.package, 3, Buffer.from('lost'));
      more.record(Kind.package, 4, Buffer.from('still there'));
      const rows = [
        [0, 0, out.at, 0],
        [2, 0, more.at, 0],
      ];
      expect(() => deliver(rows)).toThrow(/packages were lost/);
      // A series and the row it is in are two places to go on from.
      if (kind === Kind.series) expect(() => reader.dispatch()).toThrow(/packages were lost/);
      reader.dispatch();
      expect(calls.map(([, slot]) => slot)).toEqual([1, 4]);
    }
  });

  it('takes large payloads in their order from beside the slabs', () => {
    const { calls, writer, deliver } = setUp();
    const out = writer(0);
    const larges = [Buffer.from('first'), Buffer.from('..second.')];
    out.words(Kind.large, 1, [0, 0]);
    out.record(Kind.package, 2, Buffer.from('between'));
    out.words(Kind.large, 1, [6, 2]);
    deliver([[0, 0, out.at, 0]], larges);
    expect(calls.map(([, slot, payload]) => [slot, String(payload)])).toEqual([
      [1, 'first'],
      [2, 'between'],
      [1, 'second'],
    ]);
    expect(calls[0]![2]).toBe(larges[0]);
    const part = calls[2]![2] as Buffer;
    expect(Object.getPrototypeOf(part)).toBe(Buffer.prototype);
    expect(part.buffer).toBe(larges[1]!.buffer);
  });

  it('replaces a used-up slab before the first of its records is dispatched', () => {
    let lentWhenCalled = 0;
    const { slabs, calls, lent, writer, deliver } = setUp(() => {
      lentWhenCalled = slabs.lent;
      return false;
    });
    const out = writer(1);
    out.record(Kind.package, 3, Buffer.from('kept'));
    deliver([[1, 0, out.at, 1]]);
    expect(lentWhenCalled).toBe(5);
    expect(lent[4]!.slice(0, 2)).toEqual([1, 1]);
    expect(lent[4]![2].buffer).not.toBe(out.slab.buffer);
    expect(String(calls[0]![2])).toBe('kept');
  });

  it('goes on with the next record after a listener threw, losing and repeating none', () => {
    let count = 0;
    const { calls, reader, writer, deliver } = setUp(() => ++count % 2 === 1);
    const out = writer(0);
    const more = writer(2);
    for (let index = 0; index < 5; index++) out.record(Kind.package, index, Buffer.from([index]));
    out.words(Kind.large, 5, [0, 0]);
    more.record(Kind.package, 6, Buffer.from([6]));
    const rows = [
      [0, 0, out.at, 1],
      [2, 0, more.at, 0],
    ];
    expect(() => deliver(rows, [Buffer.from([5])])).toThrow('listener');
    for (let left = 0; left < 3; left++) expect(() => reader.dispatch()).toThrow('listener');
    reader.dispatch();
    expect(calls.map(([, slot, payload]) => [slot, (payload as Buffer)[0]])).toEqual(
      [0, 1, 2, 3, 4, 5, 6].map((number) => [number, number]),
    );
  });

  it('decodes every kind of record', () => {
    const { calls, writer, deliver } = setUp();
    const out = writer(0);
    out.words(Kind.connected, 9, [3, 0, 1, 5000, 80, 6, 3, 9], ['::1', '127.0.0.1']);
    out.words(Kind.ended, 9, []);
    out.words(Kind.drain, 9, [], [], 1234);
    out.words(Kind.written, 9, [], [], 0xabcdef);
    out.words(Kind.disconnected, 9, [1, 2, 3, 4, 1, 5, 0, 6, 0, 7, 0, 5], ['hello']);
    out.words(Kind.refused, 0, [11, 6000, 4, 8], ['10.0.0.1']);
    out.words(Kind.connectFailed, 0, [12, 4], [], 77);
    out.words(Kind.listenerFailed, 0, [13, 1], [], 2);
    out.words(Kind.closed, 0, [8, 9]);
    deliver([[0, 0, out.at, 0]]);
    const connected = {
      slot: 9,
      generation: 3,
      token: 0,
      listener: 1,
      family: 6,
      remoteAddress: '::1',
      remotePort: 5000,
      localAddress: '127.0.0.1',
      localPort: 80,
    };
    const disconnected = {
      slot: 9,
      by: 1,
      status: 2,
      syscall: 3,
      bytesReceived: 2 ** 32 + 4,
      bytesSent: 5,
      packagesReceived: 6,
      packagesSent: 7,
      message: 'hello',
    };
    const refused = { status: 11, family: 4, remoteAddress: '10.0.0.1', remotePort: 6000 };
    expect(calls).toEqual([
      ['onConnected', connected],
      ['onEnded', 9],
      ['onDrain', 9, 1234],
      ['onWritten', 9, 0xabcdef],
      ['onDisconnected', disconnected],
      ['onRefused', refused],
      ['onConnectFailed', 77, 12, 4],
      ['onListenerFailed', 2, 13, 1],
      ['onClosed', 8, 9],
    ]);
  });

  it('reads addresses that are like the last one, begin like it, or have nothing in common with it', () => {
    const { calls, writer, deliver } = setUp((call) => {
      if (call[0] === 'onConnected') call[1] = { ...(call[1] as object) }; // the reader fills it again
      return false;
    });
    const out = writer(0);
    const pairs = [
      ['127.0.0.1', '::1'],
      ['127.0.0.1', '::1'],
      ['127.0.0.12', '::'],
      ['127.0.0.1', '::1'],
      ['', '/run/a socket'],
      ['/run/é', '/run/a socket'],
      ['10.0.0.9', ''],
    ] as const;
    for (const pair of pairs) {
      const [remote, local] = pair.map((text) => Buffer.byteLength(text)) as [number, number];
      out.words(Kind.connected, 1, [1, 0, 1, 2, 3, 4, remote, local], [...pair]);
    }
    deliver([[0, 0, out.at, 0]]);
    const got = calls.map(
      ([, record]) => record as { remoteAddress: string; localAddress: string },
    );
    expect(got.map((record) => [record.remoteAddress, record.localAddress])).toEqual(pairs);
  });

  it('says so when a record is of no known kind', () => {
    const { writer, deliver } = setUp();
    const out = writer(0);
    out.words(99, 0, []);
    expect(() => deliver([[0, 0, out.at, 0]])).toThrow('unknown kind 99');
  });
});
