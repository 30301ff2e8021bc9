// The promise that the original could not keep with several workers and several pending reads per connection: packages
// arrive exactly in the order of sending, exactly once, whoever of the workers gets which completion.

import type { ClientContext } from 'iocp';
import { describe, expect, it } from 'vitest';

import { engine, next, PATIENCE, server } from './support.js';

const CONNECTIONS = 16;
const PACKAGES = 100_000; // on each connection
const LIMIT_MS = 60_000 * PATIENCE;

/** What a connection has sent or has seen arrive so far: its own number, and how many packages. */
interface Progress {
  connection: number;
  count: number;
}

/** The one payload that is right at this moment; it also differs from every other connection's. */
const numberOf = ({ connection, count }: Progress): number => connection * PACKAGES + count;

/** Sends every package, and waits whenever `send` says so. */
async function sendAll(context: ClientContext<Progress>, drained: () => Promise<unknown>) {
  const payload = Buffer.alloc(4);
  for (const progress = context.data; progress.count < PACKAGES; progress.count++) {
    payload.writeUInt32LE(numberOf(progress));
    if (!context.send(payload)) await drained();
  }
}

describe.each([1, 2, 4])('with ioWorkers %i', (ioWorkers) => {
  it.each([1, 4, 16])(
    `and pendingReads %i, ${PACKAGES} packages on each of ${CONNECTIONS} connections arrive in order`,
    { timeout: LIMIT_MS },
    async (pendingReads) => {
      const options = { ioWorkers, pendingReads };
      const { server: made, port } = await server<Progress>(options);
      const wrong: string[] = [];
      let finished = 0;
      const allArrived = new Promise<void>((resolve) => {
        made.on('package', (context, payload) => {
          const got = payload.readUInt32LE();
          const progress = (context.data ??= { connection: Math.floor(got / PACKAGES), count: 0 });
          if (got !== numberOf(progress) && wrong.length < 20) {
            wrong.push(`${got} instead of ${numberOf(progress)}`);
          }
          progress.count++;
          if (progress.count === PACKAGES && ++finished === CONNECTIONS) resolve();
        });
      });

      const client = engine<Progress>(options);
      const waiting = new Map<number, () => void>();
      client.on('drain', (context) => waiting.get(context.id)?.());
      const contexts = await Promise.all(
        Array.from({ length: CONNECTIONS }, (_, connection) =>
          client.connect({ port, data: { connection, count: 0 } }),
        ),
      );
      await Promise.all(
        contexts.map((context) =>
          sendAll(context, () => new Promise<void>((go) => waiting.set(context.id, go))),
        ),
      );
      await allArrived;
      expect(wrong).toEqual([]);

      // Nothing may follow the last package: the peers' ends come behind it.
      contexts.forEach((context) => context.disconnect({ graceful: true }));
      while (made.connectionCount > 0) await next(made, 'disconnect');
      expect(made.stats().packagesReceived).toBe(CONNECTIONS * PACKAGES);
    },
  );
});
