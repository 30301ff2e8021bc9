// Every framing on the wire, byte by byte, with peers that know nothing of the engine.

import type { Framing } from 'iocp';
import { describe, expect, it } from 'vitest';

import { gone, next, packages, RawPeer, server, WORKERS } from './support.js';

interface Case {
  name: string;
  framing: Framing;
  /** What listeners get and what is sent. */
  payloads: string[];
  /** The same on the wire. */
  wire: string;
}

const CASES: Case[] = [
  {
    name: 'iocps',
    framing: 'iocps',
    payloads: ['abc', ''],
    wire: '\x03\x00\x00\x00abc\x00\x00\x00\x00',
  },
  {
    name: 'a big-endian length of one byte',
    framing: { type: 'length', width: 1, endian: 'be' },
    payloads: ['abc', '', 'd'],
    wire: '\x03abc\x00\x01d',
  },
  {
    name: 'a big-endian length of two bytes',
    framing: { type: 'length', width: 2, endian: 'be' },
    payloads: ['abc', ''],
    wire: '\x00\x03abc\x00\x00',
  },
  {
    name: 'a length of three bytes',
    framing: { type: 'length', width: 3 },
    payloads: ['abc'],
    wire: '\x03\x00\x00abc',
  },
  {
    name: 'a big-endian length of eight bytes',
    framing: { type: 'length', width: 8, endian: 'be' },
    payloads: ['abc', 'd'],
    wire: '\x00\x00\x00\x00\x00\x00\x00\x03abc\x00\x00\x00\x00\x00\x00\x00\x01d',
  },
  {
    name: 'a length that counts its header',
    framing: { type: 'length', width: 4, endian: 'be', adjust: -4 },
    payloads: ['abc', ''],
    wire: '\x00\x00\x00\x07abc\x00\x00\x00\x04',
  },
  {
    name: 'a length behind other bytes',
    framing: { type: 'length', offset: 2, width: 1 },
    payloads: ['abc'],
    wire: '\x00\x00\x03abc',
  },
  {
    name: 'a header that is kept',
    framing: { type: 'length', offset: 1, width: 2, endian: 'be', strip: 0 },
    payloads: ['T\x00\x03abc', 'U\x00\x00'],
    wire: 'T\x00\x03abcU\x00\x00',
  },
  {
    name: 'a length with a header behind it',
    framing: { type: 'length', width: 2, endian: 'be', adjust: 1 },
    payloads: ['Tabc', 'U'],
    wire: '\x00\x03Tabc\x00\x00U',
  },
  {
    name: 'a varint',
    framing: { type: 'varint' },
    payloads: ['abc', '', 'x'.repeat(300)],
    wire: `\x03abc\x00\xac\x02${'x'.repeat(300)}`,
  },
  {
    name: 'MQTT',
    framing: { type: 'varint', offset: 1, strip: 0 },
    payloads: ['\x30\x03abc', '\xc0\x00'],
    wire: '\x30\x03abc\xc0\x00',
  },
  {
    name: 'lines',
    framing: { type: 'delimiter', delimiter: '\n' },
    payloads: ['first', '', 'third'],
    wire: 'first\n\nthird\n',
  },
  {
    name: 'lines that keep their end',
    framing: { type: 'delimiter', delimiter: Buffer.from('\r\n'), strip: false },
    payloads: ['first\r\n', '\r\n'],
    wire: 'first\r\n\r\n',
  },
  {
    name: 'a longer delimiter',
    framing: { type: 'delimiter', delimiter: '--end--' },
    payloads: ['--en', 'a--end-b', ''],
    wire: '--en--end--a--end-b--end----end--',
  },
  {
    name: 'a fixed length',
    framing: { type: 'fixed', length: 3 },
    payloads: ['abc', 'def'],
    wire: 'abcdef',
  },
];

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

describe.each(CASES)('$name', ({ framing, payloads, wire }) => {
  it.each(WORKERS)('is cut from the stream (ioWorkers %i)', async (ioWorkers) => {
    const { server: made, port } = await server({ framing, ioWorkers });
    const peer = await RawPeer.connect({ port });
    const whole = packages(made, payloads.length);
    await peer.write(bytes(wire));
    expect((await whole).map((payload) => payload.toString('latin1'))).toEqual(payloads);
    const cut = packages(made, payloads.length);
    for (const byte of bytes(wire)) await peer.write(Uint8Array.of(byte));
    expect((await cut).map((payload) => payload.toString('latin1'))).toEqual(payloads);
  });

  it('is put on the wire', async () => {
    const { server: made, port } = await server({ framing });
    made.on('connection', (context) => {
      for (const payload of payloads) context.send(bytes(payload));
      context.sendv([bytes(payloads[0]!.slice(0, 1)), bytes(payloads[0]!.slice(1))]);
      context.sendRaw('raw');
    });
    const peer = await RawPeer.connect({ port });
    const first = Buffer.concat([bytes(wire)]);
    const received = (await peer.bytes(first.length)).toString('latin1');
    expect(received).toBe(wire);
    await peer.when(() => peer.received.toString('latin1').endsWith('raw'));
  });
});

describe('no framing', () => {
  it('delivers the bytes as they come', async () => {
    const { server: made, port } = await server({ framing: 'none' });
    let text = '';
    made.on('package', (context, payload) => {
      text += payload;
      context.send(payload);
    });
    const peer = await RawPeer.connect({ port });
    await peer.write('hello ');
    await peer.write('world');
    expect((await peer.bytes(11)).toString()).toBe('hello world');
    expect(text).toBe('hello world');
  });

  it('has nothing to do for a payload without bytes', async () => {
    const { server: made, port } = await server({ framing: 'none' });
    made.on('connection', (context) => {
      context.send('', () => context.send('called back'));
    });
    const peer = await RawPeer.connect({ port });
    expect((await peer.bytes(11)).toString()).toBe('called back');
  });
});

const ILLEGAL: Array<
  [name: string, framing: Framing, wire: string, code: string, parts: string[]]
> = [
  [
    'an HTTP request',
    'iocps',
    'GET / HTTP/1.1\r\n',
    'ERR_IOCP_PACKAGE_TOO_LARGE',
    ['542393671', '1048576', '47 45 54 20', '"GET "', 'HTTP?'],
  ],
  [
    'some other text',
    'iocps',
    'EHLO example\r\n',
    'ERR_IOCP_PACKAGE_TOO_LARGE',
    ['45 48 4C 4F', '"EHLO"'],
  ],
  [
    'garbage',
    'iocps',
    '\xff\xff\xff\xff\xff',
    'ERR_IOCP_PACKAGE_TOO_LARGE',
    ['4294967295', 'FF FF FF FF'],
  ],
  [
    'one byte too many',
    { type: 'length', width: 2, maxLength: 10 },
    '\x0b\x00',
    'ERR_IOCP_PACKAGE_TOO_LARGE',
    ['11', '10'],
  ],
  [
    'a negative length',
    { type: 'length', width: 2, adjust: -4 },
    '\x03\x00',
    'ERR_IOCP_PACKAGE_TOO_LARGE',
    ['-1'],
  ],
  [
    'an endless varint',
    { type: 'varint' },
    '\xff'.repeat(11),
    'ERR_IOCP_PACKAGE_TOO_LARGE',
    ['FF FF'],
  ],
  [
    'a huge 64-bit length',
    { type: 'length', width: 8 },
    '\xff'.repeat(8),
    'ERR_IOCP_PACKAGE_TOO_LARGE',
    ['FF FF'],
  ],
  [
    'a line without end',
    { type: 'delimiter', delimiter: '\n', maxLength: 8 },
    'x'.repeat(10),
    'ERR_IOCP_PACKAGE_TOO_LARGE',
    ['8'],
  ],
];

describe.each(WORKERS)('a peer that breaks the framing (ioWorkers %i)', (ioWorkers) => {
  it.each(ILLEGAL)(
    'is disconnected for %s, and nobody else is',
    async (_name, framing, wire, code, parts) => {
      const { server: made, port } = await server({ framing, ioWorkers });
      made.on('error', (error) => expect.fail(`not the engine's error: ${error}`));
      const bystander = await RawPeer.connect({ port });
      await until(made, 1);
      const peer = await RawPeer.connect({ port });
      const disconnected = next<[unknown, import('iocp').DisconnectReason]>(made, 'disconnect');
      await peer.write(bytes(wire));
      const [, reason] = await disconnected;
      expect(reason).toMatchObject({ code, by: 'guard' });
      for (const part of parts) expect(reason.message).toContain(part);
      await peer.when(() => peer.closed);
      expect(made.connectionCount).toBe(1);
      expect(bystander.closed).toBe(false);
    },
  );

  it.each([
    ['half a header', '\x03\x00'],
    ['a header without its package', '\x03\x00\x00\x00'],
    ['half a package', '\x03\x00\x00\x00ab'],
  ])('is told apart when it closes after %s', async (_name, wire) => {
    const { server: made, port } = await server({ ioWorkers });
    const got = packages(made, 1);
    const peer = await RawPeer.connect({ port });
    const disconnected = next<[unknown, import('iocp').DisconnectReason]>(made, 'disconnect');
    peer.socket.end(Buffer.concat([bytes('\x01\x00\x00\x00x'), bytes(wire)]));
    const [, reason] = await disconnected;
    expect(reason.code).toBe('ERR_IOCP_PACKAGE_INCOMPLETE');
    expect((await got).map(String)).toEqual(['x']);
  });

  it('does not keep its good packages from being delivered first', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const order: string[] = [];
    made.on('package', (_context, payload) => order.push(String(payload)));
    const connected = next<[import('iocp').ClientContext]>(made, 'connection');
    const peer = await RawPeer.connect({ port });
    const [context] = await connected;
    const ended = gone(made, context);
    await peer.write(
      Buffer.concat([
        bytes('\x01\x00\x00\x00a'),
        bytes('\x01\x00\x00\x00b'),
        bytes('\xff'.repeat(9)),
      ]),
    );
    expect((await ended).code).toBe('ERR_IOCP_PACKAGE_TOO_LARGE');
    expect(order).toEqual(['a', 'b']);
  });
});

/** Resolves when an engine has that many contexts. */
async function until(made: import('iocp').Iocp, count: number): Promise<void> {
  while (made.connectionCount < count) await next(made, 'connection');
}
