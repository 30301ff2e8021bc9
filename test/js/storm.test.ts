// Many connections that come and go quickly: afterwards nothing may be left of them.

import { describe, expect, it } from 'vitest';

import {
  engine,
  frame,
  Iocp,
  openHandles,
  RawPeer,
  server,
  turns,
  until,
  WORKERS,
} from './support.js';

const PEERS = 500;
const ROUNDS = 3;
// Windows' threads own events that are freed some time after the threads: fewer than one per peer or engine of a test,
// which is what a leak would cost.
const COMING_AND_GOING = process.platform === 'win32' ? 8 : 0;

/** Has whatever is opened only once opened: the loop's own handles, threads, the first socket's. */
async function warmUp(ioWorkers: number): Promise<void> {
  const { port } = await server({ ioWorkers: 0 });
  const made = new Iocp({ ioWorkers });
  await made.connect({ port });
  await made.close();
}

describe.each(WORKERS)('with ioWorkers %i', (ioWorkers) => {
  it('a storm of peers leaves no context and no descriptor behind', async () => {
    await warmUp(ioWorkers);
    const before = openHandles();
    const made = new Iocp({ ioWorkers });
    const { port } = await made.listen({ host: '127.0.0.1' });
    made.on('package', (context, payload) => context.send(payload));
    let connections = 0;
    let disconnects = 0;
    made.on('connection', () => connections++);
    made.on('disconnect', () => disconnects++);
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(Array.from({ length: PEERS }, (_, index) => visit(port, index)));
      await until(() => made.connectionCount === 0);
    }
    expect(connections).toBe(PEERS * ROUNDS);
    expect(disconnects).toBe(PEERS * ROUNDS);
    expect(made.stats()).toMatchObject({ connections: 0, contexts: { live: 0 } });
    await made.close();
    await until(() => openHandles() <= before + COMING_AND_GOING);
  });

  it('many engines one after the other leave no descriptor behind', async () => {
    await warmUp(ioWorkers);
    const before = openHandles();
    for (let round = 0; round < 30; round++) {
      const made = new Iocp({ ioWorkers });
      const { port } = await made.listen({ host: '127.0.0.1' });
      const context = await made.connect({ port });
      context.send('x');
      await made.close({ graceMs: round % 2 === 0 ? 0 : 2000 });
    }
    await until(() => openHandles() <= before + COMING_AND_GOING);
  });

  it('outgoing connections come and go as well', async () => {
    const { server: made, port } = await server({ ioWorkers });
    const client = engine({ ioWorkers });
    for (let round = 0; round < ROUNDS; round++) {
      const contexts = await Promise.all(
        Array.from({ length: 100 }, () => client.connect({ port })),
      );
      expect(client.connectionCount).toBe(100);
      contexts.forEach((context, index) => context.disconnect({ graceful: index % 2 === 0 }));
      await until(() => client.connectionCount === 0 && made.connectionCount === 0);
    }
    await turns(2);
  });
});

/** One short visit; how it ends depends on its number. */
async function visit(port: number, index: number): Promise<void> {
  const peer = await RawPeer.connect({ port });
  const message = frame(`visitor ${index}`);
  peer.socket.write(message);
  await peer.bytes(message.length);
  expect(peer.received).toEqual(message);
  if (index % 3 === 0) peer.socket.end();
  else if (index % 3 === 1) peer.socket.resetAndDestroy();
  else peer.socket.destroy();
  await peer.when(() => peer.closed);
}
