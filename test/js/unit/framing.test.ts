// The arithmetic of outgoing packages.

import { createRequire } from 'node:module';

import { describe, expect, it } from 'vitest';

const require = createRequire(import.meta.url);
const { OutgoingFraming, varintBytes } =
  require('../../../dist/framing.js') as typeof import('../../../lib/framing.js');
const { readOptions } =
  require('../../../dist/options.js') as typeof import('../../../lib/options.js');

type Framing = import('iocp').Framing;

function size(framing: Framing, payload: Buffer | number): number {
  const outgoing = new OutgoingFraming(readOptions({ framing }).native.framing);
  const bytes = typeof payload === 'number' ? Buffer.alloc(payload) : payload;
  return outgoing.framedSize(bytes.length, bytes);
}

const text = (value: string): Buffer => Buffer.from(value, 'latin1');

describe('the framed size', () => {
  it.each<[string, Framing, Buffer | number, number]>([
    ['no framing', 'none', 10, 10],
    ['iocps', 'iocps', 0, 4],
    ['iocps', 'iocps', 10, 14],
    ['the widest length', { type: 'length', width: 8, offset: 2 }, 10, 20],
    ['a byte that counts itself', { type: 'length', width: 1, adjust: -1 }, 254, 255],
    ['a kept header', { type: 'length', width: 2, endian: 'be', strip: 0 }, text('\x00\x03abc'), 5],
    ['a half kept header', { type: 'length', width: 1, offset: 2, strip: 1 }, text('T\x03abc'), 6],
    ['more stripped than the header', { type: 'length', width: 1, strip: 3 }, 5, 8],
    ['a short varint', { type: 'varint' }, 127, 128],
    ['a longer varint', { type: 'varint' }, 128, 130],
    ['a kept varint', { type: 'varint', offset: 1, strip: 0 }, text('T\x03abc'), 5],
    ['a delimiter', { type: 'delimiter', delimiter: '\r\n' }, text('abc\r'), 6],
    ['a kept delimiter', { type: 'delimiter', delimiter: '\n', strip: false }, text('abc\n'), 4],
    ['a fixed length', { type: 'fixed', length: 7 }, 7, 7],
  ])('counts %s (%#)', (_name, framing, payload, expected) => {
    expect(size(framing, payload)).toBe(expected);
  });

  it.each<[Framing, Buffer | number, RegExp]>([
    ['iocps', 1024 * 1024 + 1, /1048577 bytes exceeds framing.maxLength \(1048576 bytes\)/],
    [{ type: 'length', width: 1 }, 256, /length 256: a field of framing.width 1 holds at most 255/],
    [{ type: 'length', width: 4, adjust: 8 }, 7, /length -1: framing.adjust is 8/],
    [{ type: 'length', width: 2, strip: 0 }, 1, /must begin with its own header.*no whole header/],
    [
      { type: 'length', width: 2, strip: 0 },
      text('\x04\x00abc'),
      /package of 5 bytes and announces 6/,
    ],
    [{ type: 'varint', maxLength: 5 }, 6, /6 bytes exceeds framing.maxLength \(5 bytes\)/],
    [{ type: 'varint', adjust: 4 }, 3, /length -1/],
    [{ type: 'fixed', length: 7 }, 8, /8 bytes does not fit: framing.length is 7 bytes/],
    [{ type: 'delimiter', delimiter: '\n' }, text('a\nb'), /contains the delimiter "\\n"/],
    [{ type: 'delimiter', delimiter: 'aba' }, text('xab'), /contains the delimiter/],
    [{ type: 'delimiter', delimiter: '\n', maxLength: 2 }, text('abc'), /maxLength \(2 bytes\)/],
    [{ type: 'delimiter', delimiter: '\n', strip: false }, text('\n\n'), /contains the delimiter/],
  ])('refuses what it cannot express (%#)', (framing, payload, message) => {
    expect(() => size(framing, payload)).toThrow(message);
    expect(() => size(framing, payload)).toThrow(RangeError);
  });

  it('knows the length of varints', () => {
    expect([0, 127, 128, 16383, 16384, 2 ** 28 - 1, 2 ** 28, 2 ** 35].map(varintBytes)).toEqual([
      1, 1, 2, 2, 3, 4, 5, 6,
    ]);
  });
});
