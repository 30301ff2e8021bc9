// Every option is checked when the engine is made; errors name the option, the value and what is allowed.

import { describe, expect, it } from 'vitest';

import { engine, Iocp } from './support.js';

const TYPE = TypeError;
const RANGE = RangeError;
const MAX = 2 ** 31 - 1;

type Row = [options: Record<string, unknown>, kind: ErrorConstructor, parts: string[]];

const BAD: Row[] = [
  [{ ioWorkers: 257 }, RANGE, ['ioWorkers', '257', "'auto' or an integer from 0 to 256"]],
  [{ ioWorkers: 'many' }, TYPE, ['ioWorkers', "'many'", "'auto'"]],
  [{ ioWorkers: 1.5 }, RANGE, ['ioWorkers', '1.5']],
  [{ maxConnections: 0 }, RANGE, ['maxConnections', 'from 1 to 2097152', '0']],
  [{ maxConnections: 2 ** 21 + 1 }, RANGE, ['maxConnections', '2097153']],
  [{ maxConnections: '5' }, TYPE, ['maxConnections', "'5'"]],
  [{ maxFreeBuffers: -2 }, RANGE, ['maxFreeBuffers', 'from -1', '-2']],
  [{ maxFreeContexts: NaN }, RANGE, ['maxFreeContexts', 'NaN']],
  [{ orderedSend: 1 }, TYPE, ['orderedSend', 'true or false', '1']],
  [{ orderedRead: null }, TYPE, ['orderedRead', 'true or false', 'null']],
  [{ orderedRead: false, pendingReads: 2 }, RANGE, ['orderedRead', 'pendingReads 2', 'order']],
  [{ pendingReads: 0 }, RANGE, ['pendingReads', 'from 1 to 64', '0']],
  [{ pendingReads: 65 }, RANGE, ['pendingReads', '65']],
  [{ zeroByteReads: 'yes' }, TYPE, ['zeroByteReads', "'yes'"]],
  [{ noDelay: 0 }, TYPE, ['noDelay', '0']],
  [{ keepAlive: 5 }, TYPE, ['keepAlive', 'true, false or an object', '5']],
  [{ keepAlive: null }, TYPE, ['keepAlive', 'null']],
  [{ keepAlive: { delay: 5 } }, TYPE, ['keepAlive.delay', 'initialDelayMs']],
  [{ keepAlive: { intervalMs: 0 } }, RANGE, ['keepAlive.intervalMs', `from 1 to ${MAX}`]],
  [{ keepAlive: { count: 128 } }, RANGE, ['keepAlive.count', 'from 1 to 127']],
  [{ userTimeoutMs: -1 }, RANGE, ['userTimeoutMs', '-1']],
  [{ userTimeoutMs: 2 ** 31 }, RANGE, ['userTimeoutMs', '2147483648']],
  [{ highWaterMark: 0 }, RANGE, ['highWaterMark', '0']],
  [{ highWaterMark: 10, lowWaterMark: 11 }, RANGE, ['lowWaterMark', 'highWaterMark (10)', '11']],
  [{ maxQueuedBytes: 5, highWaterMark: 6 }, RANGE, ['highWaterMark', 'maxQueuedBytes (5)', '6']],
  [{ maxQueuedBytes: Infinity }, RANGE, ['maxQueuedBytes', 'Infinity']],
  [{ onOverflow: 'explode' }, RANGE, ['onOverflow', "'disconnect', 'drop', 'throw'", 'explode']],
  [{ onOverflow: 1 }, TYPE, ['onOverflow', '1']],
  [{ signal: {} }, TYPE, ['signal', 'AbortSignal']],
  [{ captureRejections: 'no' }, TYPE, ['captureRejections', "'no'"]],
  [{ framing: 'http' }, RANGE, ['framing', "'iocps'", "'http'"]],
  [{ framing: 5 }, TYPE, ['framing', '5']],
  [{ framing: null }, TYPE, ['framing', 'null']],
  [{ framing: {} }, RANGE, ['framing.type', 'undefined']],
  [{ framing: { type: 'length' } }, TYPE, ['framing.width', 'one of 1, 2, 3, 4, 8']],
  [{ framing: { type: 'length', width: 5 } }, RANGE, ['framing.width', '5']],
  [{ framing: { type: 'length', width: 4, offset: 65 } }, RANGE, ['framing.offset', '64', '65']],
  [{ framing: { type: 'length', width: 4, endian: 'me' } }, RANGE, ['framing.endian', "'me'"]],
  [
    { framing: { type: 'length', width: 4, strip: 2 } },
    RANGE,
    ['framing.strip', 'offset (0)', '2'],
  ],
  [{ framing: { type: 'length', width: 4, strip: 97 } }, RANGE, ['framing.strip', '97']],
  [{ framing: { type: 'length', width: 4, adjust: 0.5 } }, RANGE, ['framing.adjust', '0.5']],
  [{ framing: { type: 'length', width: 4, maxLength: 0 } }, RANGE, ['framing.maxLength', '0']],
  [{ framing: { type: 'length', width: 4, length: 1 } }, TYPE, ['framing.length', 'maxLength']],
  [{ framing: { type: 'varint', width: 4 } }, TYPE, ['framing.width', 'offset']],
  [{ framing: { type: 'varint', strip: 1 } }, RANGE, ['framing.strip', 'from 0 to 0', '1']],
  [{ framing: { type: 'delimiter' } }, TYPE, ['framing.delimiter', 'a string or a Uint8Array']],
  [{ framing: { type: 'delimiter', delimiter: '' } }, RANGE, ['framing.delimiter', '1 to 255']],
  [{ framing: { type: 'delimiter', delimiter: 'a'.repeat(256) } }, RANGE, ['framing.delimiter']],
  [{ framing: { type: 'delimiter', delimiter: 'a', strip: 1 } }, TYPE, ['framing.strip', 'true']],
  [{ framing: { type: 'fixed' } }, TYPE, ['framing.length', 'undefined']],
  [{ framing: { type: 'fixed', length: 0 } }, RANGE, ['framing.length', '0']],
];

/** Names that other versions may know: they must never be ignored in silence. */
const UNKNOWN = [
  'idleTimeoutMs',
  'packageTimeoutMs',
  'maxConnectionsPerAddress',
  'filetransfer',
  'banOnProtocolError',
  'iowrokers',
];

describe('the options of an engine', () => {
  it.each(BAD)('refuses %o', (options, kind, parts) => {
    const make = () => new Iocp(options as never);
    expect(make).toThrow(kind);
    for (const part of parts) expect(make).toThrow(part);
  });

  it.each(UNKNOWN)('refuses the unknown option %s and lists the known ones', (name) => {
    const make = () => new Iocp({ [name]: 1 } as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(`options.${name} is not an option; the options are ioWorkers,`);
    expect(make).toThrow('captureRejections');
  });

  it.each([null, 5, 'x', []])('refuses %o in place of an options object', (value) => {
    expect(() => new Iocp(value as never)).toThrow(TypeError);
  });

  it.each([
    {},
    { ioWorkers: 'auto', maxConnections: 1, maxFreeBuffers: -1, maxFreeContexts: 0 },
    { orderedSend: false, orderedRead: false, pendingReads: 1 },
    { keepAlive: false },
    { keepAlive: true },
    { keepAlive: { count: 1 } },
    { highWaterMark: 1, maxQueuedBytes: 1 },
    { maxQueuedBytes: 100 },
    { framing: { type: 'varint', offset: 1 } },
    { framing: { type: 'delimiter', delimiter: new Uint8Array([0]) } },
    { ioWorkers: undefined, framing: undefined, signal: undefined },
  ])('accepts %o', (options) => {
    expect(() => new Iocp(options as never)).not.toThrow();
  });
});

describe('the options of calls', () => {
  it.each<[Record<string, unknown>, ErrorConstructor, string]>([
    [{ port: 65_536 }, RANGE, 'listen.port must be an integer from 0 to 65535, not 65536'],
    [{ port: '80' }, TYPE, "listen.port must be an integer from 0 to 65535, not '80'"],
    [{ host: '' }, RANGE, 'listen.host'],
    [{ path: 'a\0b' }, RANGE, 'listen.path'],
    [{ path: '/x', port: 5 }, TYPE, 'excludes listen.port'],
    [{ backlog: 0 }, RANGE, 'listen.backlog'],
    [{ ipv6Only: 1 }, TYPE, 'listen.ipv6Only'],
    [{ reusePort: 'y' }, TYPE, 'listen.reusePort'],
    [{ exclusive: 'y' }, TYPE, 'listen.exclusive'],
    [{ ports: 1 }, TYPE, 'listen.ports is not an option'],
  ])('listen refuses %o', async (options, kind, part) => {
    const attempt = engine().listen(options as never);
    await expect(attempt).rejects.toThrow(kind);
    await expect(attempt).rejects.toThrow(part);
  });

  it.each<[Record<string, unknown> | undefined, ErrorConstructor, string]>([
    [undefined, TYPE, 'connect.port'],
    [{}, TYPE, 'connect.port'],
    [{ port: 0 }, RANGE, 'connect.port must be an integer from 1 to 65535, not 0'],
    [{ port: 1, host: 5 }, TYPE, 'connect.host'],
    [{ port: 1, path: '/x' }, TYPE, 'excludes connect.port'],
    [{ port: 1, timeoutMs: -1 }, RANGE, 'connect.timeoutMs'],
    [{ port: 1, signal: 1 }, TYPE, 'connect.signal'],
    [{ port: 1, localAddress: 1 }, TYPE, 'connect.localAddress'],
    [{ port: 1, reconnect: true }, TYPE, 'connect.reconnect is not an option'],
  ])('connect refuses %o', async (options, kind, part) => {
    const attempt = engine().connect(options as never);
    await expect(attempt).rejects.toThrow(kind);
    await expect(attempt).rejects.toThrow(part);
  });

  it('close, disconnect and sendToAll refuse wrong ones too', async () => {
    const iocp = engine();
    await expect(iocp.close({ graceMs: -1 })).rejects.toThrow('close.graceMs');
    await expect(iocp.close({ grace: 1 } as never)).rejects.toThrow('close.grace is not');
    expect(() => iocp.disconnectAll({ graceful: 1 } as never)).toThrow('disconnect.graceful');
    expect(() => iocp.disconnectClient(1, { force: true } as never)).toThrow('disconnect.force');
    expect(() => iocp.sendToAll('x', { filter: 1 } as never)).toThrow('sendToAll.filter');
  });
});
