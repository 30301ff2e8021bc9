// What the completion port really does, by its own counters: they show that connections wait with nothing locked, that
// many packages leave with one write, and that one wait brings many completions. The claims hold of every port.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { afterwards, engine, packages, pair, pattern, server, until } from './support.js';

describe('stats().port', () => {
  it('counts each accepted and each connected socket once', async () => {
    const { server: made, port } = await server();
    const client = engine();
    await Promise.all(Array.from({ length: 30 }, () => client.connect({ port })));
    await until(() => made.connectionCount === 30);
    expect(made.stats().port).toMatchObject({ accepts: 30, connects: 0 });
    expect(client.stats().port).toMatchObject({ accepts: 0, connects: 30 });
  });

  it('shows that idle connections wait with a zero-byte read each, and read nothing', async () => {
    const { server: made, port } = await server();
    const client = engine();
    await Promise.all(Array.from({ length: 50 }, () => client.connect({ port })));
    await until(() => made.stats().port.zeroByteReads === 50);
    expect(made.stats().port).toMatchObject({ reads: 0, emptyReads: 0 });
    expect(made.stats().readBuffers.inUse).toBe(0);
  });

  it('shows no zero-byte read when they are switched off: buffers wait instead', async () => {
    const { server: made, outgoing } = await pair({ zeroByteReads: false, pendingReads: 4 });
    await until(() => made.stats().readBuffers.inUse === 4);
    const arrived = packages(made, 100);
    for (let number = 0; number < 100; number++) outgoing.send(`${number}`);
    await arrived;
    const { port } = made.stats();
    expect(port.zeroByteReads).toBe(0);
    expect(port.reads).toBeGreaterThan(0);
  });

  it('shows several buffers pending on a busy connection, and none when it has been idle', async () => {
    const { server: made, outgoing } = await pair({ pendingReads: 4 });
    let most = 0;
    let stop = false;
    made.on('package', () => (most = Math.max(most, made.stats().readBuffers.inUse)));
    const sending = (async () => {
      while (!stop) {
        for (let number = 0; number < 100; number++) outgoing.send(Buffer.alloc(500));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await until(() => most === 4);
    stop = true;
    await sending;
    await until(() => made.stats().readBuffers.inUse === 0 && made.stats().port.zeroByteReads > 0);
  });

  it('shows that the packages of one turn leave with few writes', async () => {
    const { server: made, client, outgoing } = await pair();
    const before = client.stats().port.writes;
    const arrived = packages(made, 2000);
    for (let number = 0; number < 2000; number++) outgoing.send(`${number}`);
    await arrived;
    // An I/O thread counts a write once its call has returned: the peer may have read the bytes by then.
    const writes = () => client.stats().port.writes - before;
    await until(() => writes() > 0);
    expect(writes()).toBeLessThan(2000 / 20);
  });

  it('shows that under load a wait brings more than one completion', async () => {
    const { server: made, port } = await server({ ioWorkers: 1 });
    made.on('package', (context, payload) => context.send(payload));
    const client = engine({ ioWorkers: 1 });
    const contexts = await Promise.all(Array.from({ length: 64 }, () => client.connect({ port })));
    const before = made.stats().port;
    for (let round = 0; round < 50; round++) {
      const answers = packages(client, contexts.length);
      for (const context of contexts) context.send(`round ${round}`);
      await answers;
    }
    const after = made.stats().port;
    const waits = after.waits - before.waits;
    expect((after.completions - before.completions) / waits).toBeGreaterThan(1);
  });

  it('shows that an echo costs few calls', async () => {
    const { server: made, client, outgoing } = await pair({ ioWorkers: 1 });
    made.on('package', (context, payload) => context.send(payload));
    const before = made.stats().port;
    const rounds = 200;
    for (let round = 0; round < rounds; round++) {
      const answer = packages(client, 1);
      outgoing.send('ping');
      await answer;
    }
    const after = made.stats().port;
    const each = (name: keyof typeof after) => (after[name] - before[name]) / rounds;
    expect(each('writes')).toBeLessThanOrEqual(1.1);
    expect(each('reads') + each('emptyReads')).toBeLessThanOrEqual(1.1);
    expect(each('zeroByteReads')).toBeLessThanOrEqual(1.1);
  });

  it.each([
    ['extended', 4], // chunks, and a head of 9 bytes with each
    ['classic', 0],
  ] as const)(
    'shows that a file leaves by transmits, heads included, by the %s protocol',
    async (protocol, heads) => {
      const root = mkdtempSync(join(tmpdir(), 'iocp-counters-'));
      afterwards(() => rmSync(root, { recursive: true, force: true }));
      const directory = join(root, 'in');
      mkdirSync(directory);
      const file = join(root, 'file');
      const size = 1_000_000;
      writeFileSync(file, pattern(size, 1));
      const fileTransfer = { directory, protocol, autoAccept: true };
      const { client, outgoing } = await pair({ fileTransfer });
      await outgoing.sendFile(file);
      const expected = size + 9 * heads;
      await until(() => client.stats().port.transmitBytes >= expected);
      const { transmits, transmitBytes, writes } = client.stats().port;
      expect(transmitBytes).toBe(expected);
      expect(transmits).toBeGreaterThanOrEqual(Math.max(1, heads));
      // The offer, the end, and no more.
      expect(writes).toBeLessThanOrEqual(3);
    },
  );
});
