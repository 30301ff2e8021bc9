// The promises of the water marks and the cap, with an engine that only counts.

import { createRequire } from 'node:module';

import { describe, expect, it } from 'vitest';

const require = createRequire(import.meta.url);
const { Sender } = require('../../../dist/sender.js') as typeof import('../../../lib/sender.js');
const { BATCHED_PAYLOAD_MAX, OutputBatch } =
  require('../../../dist/output-batch.js') as typeof import('../../../lib/output-batch.js');
const { OutgoingFraming } =
  require('../../../dist/framing.js') as typeof import('../../../lib/framing.js');
const { ClientContext, Phase } =
  require('../../../dist/client-context.js') as typeof import('../../../lib/client-context.js');

/** Queues what it is given and never writes any of it, unless told. */
class CountingEngine {
  queuedBytes = 0;
  questions = 0;
  calls: string[] = [];
  constructor(readonly headerBytes: number) {}

  flushed(bytes: Buffer, used: number): void {
    this.calls.push('flush');
    for (let at = 0; at < used;) {
      const length = bytes.readUInt32LE(at + 8);
      // A series brings the room for its headers along.
      this.queuedBytes += length + ((bytes[at + 12]! & 5) === 0 ? this.headerBytes : 0);
      at += 16 + ((length + 3) & ~3);
    }
  }

  sendLarge(_slot: number, _generation: number, payload: Uint8Array): number {
    this.calls.push('sendLarge');
    this.queuedBytes += payload.length + this.headerBytes;
    return 0;
  }

  queued(): number {
    this.questions++;
    return this.queuedBytes;
  }

  finish(): void {
    this.calls.push('finish');
  }

  disconnect(): boolean {
    this.calls.push('disconnect');
    return true;
  }

  contextStats(_slot: number, _generation: number, out: Float64Array): boolean {
    out[4] = this.queuedBytes;
    return true;
  }
}

const BIRTH = { slot: 5, generation: 1, remoteAddress: '127.0.0.1', remotePort: 1 };
const LOCAL_END = { address: '127.0.0.1', port: 2, family: 4 };

function setUp(limits: { onOverflow?: 'drop' | 'throw' | 'disconnect' } = {}) {
  const engine = new CountingEngine(4);
  const batch = new OutputBatch((used) => engine.flushed(batch.bytes, used), 4, 1000);
  const framing = new OutgoingFraming({
    type: 'length',
    offset: 0,
    width: 4,
    bigEndian: false,
    adjust: 0,
    strip: -1,
    maxLength: 1024 * 1024,
    delimiter: null,
  });
  const tables = { statuses: [['OK', 'success'] as const], syscalls: [''] };
  const sender = new Sender(
    engine as never,
    batch,
    framing,
    { highWaterMark: 1000, maxQueuedBytes: 5000, onOverflow: 'drop', ...limits },
    tables,
  );
  const link = {
    engine: engine as never,
    sender,
    figures: new Float64Array(8),
    epoch: 0,
    local: undefined,
    files: undefined,
    release: () => undefined,
  };
  const context = ClientContext.create(link, BIRTH, LOCAL_END, 0, undefined);
  context.phase = Phase.open;
  return { engine, batch, sender, context };
}

describe('the sender', () => {
  it('makes no native call while the bound is below the high-water mark', () => {
    const { engine, context } = setUp();
    for (let index = 0; index < 10; index++) expect(context.send(Buffer.alloc(96))).toBe(true);
    expect(engine.calls).toEqual([]);
    expect(engine.questions).toBe(0);
  });

  it('asks once when the bound passes the mark, and not again until the drain', () => {
    const { engine, sender, context } = setUp();
    for (let index = 0; index < 10; index++) context.send(Buffer.alloc(96));
    expect(context.send('one more')).toBe(false);
    expect(engine.questions).toBe(1);
    expect(context.send('and more')).toBe(false);
    expect(engine.questions).toBe(1);
    engine.queuedBytes = 0;
    sender.flush();
    expect(sender.drained(context)).toBe(true);
    expect(context.send('again')).toBe(true);
  });

  it('believes the exact figure when the bound was too high', () => {
    const { engine, sender, context } = setUp();
    for (let index = 0; index < 10; index++) context.send(Buffer.alloc(96));
    sender.flush();
    engine.queuedBytes = 0;
    expect(context.send(Buffer.alloc(96))).toBe(true);
    expect(engine.questions).toBe(1);
  });

  it('does not report a drain that later sends have undone', () => {
    const { engine, sender, context } = setUp();
    context.send(Buffer.alloc(2000));
    engine.queuedBytes = 0;
    context.send(Buffer.alloc(2000));
    expect(sender.drained(context)).toBe(false);
    engine.queuedBytes = 0;
    expect(sender.drained(context)).toBe(true);
  });

  it('drops what would exceed the cap, and tells the callback', async () => {
    const { engine, sender, context } = setUp({ onOverflow: 'drop' });
    context.send(Buffer.alloc(4000));
    const error = await new Promise((resolve) => {
      expect(context.send(Buffer.alloc(1000), resolve)).toBe(false);
    });
    expect(error).toMatchObject({ code: 'ERR_IOCP_QUEUE_OVERFLOW', context: context.id });
    expect(String(error)).toContain('maxQueuedBytes (5000)');
    expect(sender.dropped).toBe(1);
    expect(engine.queuedBytes).toBe(4004);
  });

  it('throws, and queues nothing, with the policy that says so', () => {
    const { engine, sender, context } = setUp({ onOverflow: 'throw' });
    context.send(Buffer.alloc(4000));
    expect(() => context.send('x'.repeat(1000))).toThrow(/maxQueuedBytes \(5000\)/);
    sender.flush();
    expect(engine.queuedBytes).toBe(4004);
  });

  it('leaves the disconnecting to the engine with that policy', () => {
    const { engine, sender, context } = setUp({ onOverflow: 'disconnect' });
    context.send(Buffer.alloc(4000));
    expect(context.send(Buffer.alloc(1000))).toBe(false);
    sender.flush();
    expect(engine.queuedBytes).toBe(4004 + 1004);
  });

  it('keeps the order between batched and large payloads', () => {
    const { engine, context } = setUp({ onOverflow: 'disconnect' });
    context.send('small');
    context.send(Buffer.alloc(BATCHED_PAYLOAD_MAX + 1));
    context.send('behind');
    expect(engine.calls.filter((call) => call !== 'finish')).toEqual(['flush', 'sendLarge']);
  });

  it('answers callbacks by token, in order', async () => {
    const { sender, context } = setUp();
    const order: string[] = [];
    context.send('a', () => order.push('a'));
    context.send('b', () => order.push('b'));
    context.sendRaw('', () => order.push('nothing'));
    context.send('c', () => order.push('c'));
    const [first, second, , last] = context.waiting!.map((one) => one.token);
    sender.written(context, first!);
    sender.written(context, second!);
    await new Promise((resolve) => process.nextTick(resolve));
    sender.written(context, last!);
    expect(order).toEqual(['a', 'b', 'nothing', 'c']);
  });

  it('refuses payloads that are no bytes', () => {
    const { context } = setUp();
    expect(() => context.send(5 as never)).toThrow(TypeError);
    expect(() => context.send(new ArrayBuffer(4) as never)).toThrow(TypeError);
    expect(() => context.send('a', 'b' as never)).toThrow(TypeError);
    expect(() => context.sendv(['a', 5 as never])).toThrow(TypeError);
    expect(() => context.sendv('a' as never)).toThrow(TypeError);
  });

  it('does nothing for a context that is not open', async () => {
    const { engine, sender, context } = setUp();
    for (const phase of [Phase.fresh, Phase.ending, Phase.aborted, Phase.gone]) {
      context.phase = phase;
      expect(context.send('x')).toBe(false);
      const error = await new Promise((resolve) => context.send('x', resolve));
      expect(error).toMatchObject({ code: 'ERR_IOCP_GONE', context: context.id });
    }
    sender.flush();
    expect(engine.queuedBytes).toBe(0);
  });

  it('answers the end of the peer only after replies from promise continuations', async () => {
    const { engine, sender, context } = setUp();
    sender.delivering = true;
    sender.finishSoon(context);
    sender.delivering = false;
    await Promise.resolve()
      .then(() => {})
      .then(() => context.send('reply'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(engine.calls).toEqual(['flush', 'finish']);
    expect(engine.queuedBytes).toBe(9);
  });

  it('flushes before it disconnects', () => {
    const { engine, context } = setUp();
    context.send('last words');
    expect(context.disconnect({ graceful: true })).toBe(true);
    expect(engine.calls).toEqual(['flush', 'disconnect']);
    expect(context.connected).toBe(true);
    expect(context.disconnect()).toBe(true);
    expect(context.connected).toBe(false);
    expect(context.disconnect()).toBe(false);
  });
});
