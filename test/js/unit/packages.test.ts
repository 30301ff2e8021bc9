// The typed packages: the bytes of the original class' peers, those of the extended transfer, and what bad bytes become.

import * as packages from 'iocp/packages';
import { describe, expect, it } from 'vitest';

import { packages as packagesOf, pair, seeded } from '../support.js';

const { read } = packages;
const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString('hex')
    .replace(/..(?=.)/g, '$& ');
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('the classic packages', () => {
  it.each([
    ['a text', packages.text('Hi'), '04 00 00 00 00 48 69 00'],
    [
      'a file to come',
      packages.fileInfo({ name: 'a.txt', size: 1000 }),
      '0b 00 00 00 01 e8 03 00 00 61 2e 74 78 74 00',
    ],
    ['start', packages.startFileTransfer(), '01 00 00 00 02'],
    ['abort', packages.abortFileTransfer(), '01 00 00 00 03'],
    ['an empty text', packages.text(''), '02 00 00 00 00 00'],
    ['a text of one byte a character', packages.text('é', 'latin1'), '03 00 00 00 00 e9 00'],
  ])('%s is on the wire what the original sends', (_, payload, wire) => {
    expect(hex(packages.frame(payload))).toBe(wire);
  });

  it.each([
    ['00 48 69 00', { kind: 'text', text: 'Hi' }],
    ['00 00', { kind: 'text', text: '' }],
    ['01 e8 03 00 00 61 2e 74 78 74 00', { kind: 'fileInfo', size: 1000, name: 'a.txt' }],
    ['01 ff ff ff ff 61 00', { kind: 'fileInfo', size: 0xffff_ffff, name: 'a' }],
    ['02', { kind: 'startFileTransfer' }],
    ['03', { kind: 'abortFileTransfer' }],
    ['', { kind: 'other', type: 255, body: Buffer.alloc(0) }],
    ['04 01 02', { kind: 'other', type: 4, body: Buffer.of(1, 2) }],
    ['ff', { kind: 'other', type: 255, body: Buffer.alloc(0) }],
  ])('reads %s', (payload, found) => {
    expect(read(bytes(payload))).toEqual(found);
  });

  it('reads the code page of an old peer when told to', () => {
    expect(read(bytes('00 e9 00'), 'latin1')).toEqual({ kind: 'text', text: 'é' });
    expect(read(bytes('00 e9 00'))).toMatchObject({
      kind: 'malformed',
      problem: 'text is not UTF-8',
    });
  });

  it.each([
    [{ size: -1, name: 'a' }, /size is -1: a classic transfer takes 0 … 2147483647 bytes/],
    [{ size: 2 ** 31, name: 'a' }, /size is 2147483648/],
    [{ size: 1.5, name: 'a' }, /size is 1.5/],
    [{ size: 1, name: '' }, /name is empty/],
    [{ size: 1, name: 'a/b' }, /has a folder in it/],
    [{ size: 1, name: 'a\\b' }, /has a folder in it/],
    [{ size: 1, name: 'a\0b' }, /name holds a NUL/],
  ])('does not announce the file %j', (file, message) => {
    expect(() => packages.fileInfo(file)).toThrow(message);
    expect(() => packages.fileInfo(file)).toThrow(RangeError);
  });

  it('does not build a text that would end early', () => {
    expect(() => packages.text('a\0b')).toThrow(/text holds a NUL/);
  });
});

describe('the packages of the extended transfer', () => {
  const offer = {
    id: 3,
    size: 2n ** 33n,
    modifiedMs: 1_700_000_000_123n,
    check: 'crc32c',
    name: 'größe.bin',
  } as const;

  it.each<[string, Buffer, packages.Package]>([
    ['an offer', packages.fileOffer(offer), { kind: 'fileOffer', ...offer }],
    [
      'an offer without a check',
      packages.fileOffer({ ...offer, check: 'none' }),
      { kind: 'fileOffer', ...offer, check: 'none' },
    ],
    ['yes', packages.fileAccept(3, 2n ** 40n), { kind: 'fileAccept', id: 3, offset: 2n ** 40n }],
    [
      'no',
      packages.fileRefuse(7, 5, 'too many'),
      { kind: 'fileRefuse', id: 7, code: 5, reason: 'too many' },
    ],
    [
      'no, without a word',
      packages.fileRefuse(7, 1),
      { kind: 'fileRefuse', id: 7, code: 1, reason: '' },
    ],
    [
      'a chunk',
      packages.fileChunk(9, Buffer.of(1, 2, 3)),
      { kind: 'fileChunk', id: 9, bytes: Buffer.of(1, 2, 3) },
    ],
    ['the end', packages.fileEnd(9, 0xe306_9283), { kind: 'fileEnd', id: 9, check: 0xe306_9283 }],
    ['the answer', packages.fileAck(9, 0), { kind: 'fileAck', id: 9, code: 0 }],
    [
      'giving up',
      packages.fileAbort(0xffff_ffff, 11, 'ü'),
      { kind: 'fileAbort', id: 0xffff_ffff, code: 11, reason: 'ü' },
    ],
    [
      'credit',
      packages.fileCredit(9, 1_048_576n),
      { kind: 'fileCredit', id: 9, bytes: 1_048_576n },
    ],
  ])('%s comes back as it was', (_, payload, found) => {
    expect(read(payload)).toEqual(found);
  });

  it('has the layout that is written down', () => {
    expect(hex(packages.fileOffer({ ...offer, name: 'a' }))).toBe(
      '10 03 00 00 00 00 00 00 00 02 00 00 00 7b 68 e5 cf 8b 01 00 00 01 61',
    );
    expect(hex(packages.fileRefuse(1, 258, 'no'))).toBe('12 01 00 00 00 02 01 6e 6f');
    expect(hex(packages.fileCredit(1, 1n))).toBe('17 01 00 00 00 01 00 00 00 00 00 00 00');
  });

  it.each([
    [() => packages.fileAccept(0, 0n), /id is 0: it may be 1 … 4294967295/],
    [() => packages.fileAccept(2 ** 32, 0n), /id is 4294967296/],
    [() => packages.fileAccept(1, -1n), /offset is -1/],
    [() => packages.fileCredit(1, 2n ** 64n), /bytes is 18446744073709551616/],
    [() => packages.fileEnd(1, -1), /check is -1: it may be 0 … 4294967295/],
    [() => packages.fileAck(1, 65_536), /code is 65536: it may be 0 … 65535/],
    [
      () => packages.fileOffer({ ...offer, check: 'md5' as 'none' }),
      /check is md5: it may be none, crc32c/,
    ],
  ])('refuses to build what cannot be said (%#)', (build, message) => {
    expect(build).toThrow(message);
    expect(build).toThrow(RangeError);
  });
});

describe('bytes that are not what their type says', () => {
  it.each([
    ['00', 'text does not end with a NUL'],
    ['00 48 69', 'text does not end with a NUL'],
    ['00 48 00 69 00', '2 bytes follow the NUL that ends text'],
    ['01 e8 03 00', 'size takes 4 bytes and 3 are left'],
    ['01 e8 03 00 00', 'name does not end with a NUL'],
    ['01 e8 03 00 00 00', 'name is empty'],
    ['01 e8 03 00 00 ff fe 00', 'name is not UTF-8'],
    ['02 00', '1 bytes follow the last field'],
    ['03 00 00', '2 bytes follow the last field'],
    ['10 01 00 00 00', 'size takes 8 bytes and 0 are left'],
    ['10 00 00 00 00 00', 'the id 0 is not one'],
    [`10 01 00 00 00 ${'00 '.repeat(16)} 02 61`, 'the check kind 2 is not known'],
    [`10 01 00 00 00 ${'00 '.repeat(16)} 01`, 'name is empty'],
    [`10 01 00 00 00 ${'00 '.repeat(16)} 01 c0 80`, 'name is not UTF-8'],
    ['11 01 00 00 00 01', 'offset takes 8 bytes and 1 are left'],
    ['12 01 00 00 00 01', 'code takes 2 bytes and 1 are left'],
    ['13 01 00', 'id takes 4 bytes and 2 are left'],
    ['14 01 00 00 00 01 02 03 04 05', '1 bytes follow the last field'],
    ['15 01 00 00 00 01 02 03', '1 bytes follow the last field'],
    ['16 01 00 00 00 01 02 ff', 'reason is not UTF-8'],
    ['17 01 00 00 00 00 00 00 00', 'bytes takes 8 bytes and 4 are left'],
  ])('%s is malformed: %s', (payload, problem) => {
    const wire = bytes(payload);
    expect(read(wire)).toEqual({ kind: 'malformed', type: wire[0], problem });
  });

  it('never throws, whatever comes', () => {
    const next = seeded(1);
    const random = (below: number): number => Math.floor(next() * below);
    const kinds = new Set<string>();
    for (let round = 0; round < 20_000; round++) {
      const payload = Buffer.from(Array.from({ length: random(40) }, () => random(256)));
      if (payload.length > 0) payload[0] = random(26);
      kinds.add(read(payload).kind);
    }
    expect(kinds).toContain('malformed');
    expect(kinds).toContain('other');
    expect(kinds.size).toBeGreaterThan(8);
  });
});

it('typed packages travel as ordinary ones', async () => {
  const { server, outgoing } = await pair();
  const received = packagesOf(server, 2);
  outgoing.send(packages.text('Hi'));
  outgoing.send(packages.startFileTransfer());
  expect((await received).map((one) => read(one).kind)).toEqual(['text', 'startFileTransfer']);
});
