// `ioWorkers: 'auto'`: an I/O thread takes over while the JavaScript thread is busy with its own work, the JavaScript
// thread takes over again when it has time, and no package is lost, repeated or out of order on the way.

import { availableParallelism } from 'node:os';

import type { ClientContext } from 'iocp';
import { describe, expect, it } from 'vitest';

import { engine, runFixture, server, turns, until } from './support.js';

/** With one processor a thread would only take turns with the one it is to relieve. */
const THREADS = availableParallelism() > 1 ? 1 : 0;
const CONNECTIONS = 8;
const OUTSTANDING = 4;

/** Keeps the thread busy, as a listener does that has something to compute. */
function burn(microseconds: number): void {
  const end = performance.now() + microseconds / 1000;
  while (performance.now() < end);
}

/** Where the event loop cannot watch the port, one thread does the I/O for good. */
const THREADS_ONLY = process.platform === 'win32' || 'bun' in process.versions;

/** Like `until`, but the event loop sleeps meanwhile. */
async function idling(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** An echo server whose listener costs time, and clients that number their packages and check the echoes. */
class Load {
  cost = 0;
  running = true;
  received = 0;
  sent = 0;
  readonly wrong: string[] = [];
  readonly #next = new Map<number, { sent: number; received: number }>();

  async start() {
    const { server: echo, port } = await server({ ioWorkers: 'auto' });
    echo.on('package', (context, payload) => {
      burn(this.cost);
      context.send(payload);
    });
    const client = engine({ ioWorkers: 1 });
    client.on('package', (context, payload) => this.#check(context, payload));
    for (let index = 0; index < CONNECTIONS; index++) {
      const context = await client.connect({ port });
      this.#next.set(context.id, { sent: 0, received: 0 });
      for (let count = 0; count < OUTSTANDING; count++) this.#send(context);
    }
    return echo;
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.running = false;
    await idling(() => this.received === this.sent);
  }

  #send(context: ClientContext): void {
    const next = this.#next.get(context.id)!;
    this.sent++;
    // Large ones too: half of such a package may be there when the stepper changes.
    const pad = next.sent % 50 === 0 ? ' '.repeat(50_000 + next.sent) : '';
    context.send(`${context.id} ${next.sent++}${pad}`);
  }

  #check(context: ClientContext, payload: Buffer): void {
    const next = this.#next.get(context.id)!;
    const expected = `${context.id} ${next.received++}`;
    if (payload.toString().trimEnd() !== expected) {
      this.wrong.push(`${payload} instead of ${expected}`);
    }
    this.received++;
    // A listener that costs nothing gets little to do, too: time to spare.
    if (this.cost > 0) this.#sendAgain(context);
    else setTimeout(() => this.#sendAgain(context), 2);
  }

  #sendAgain(context: ClientContext): void {
    if (this.running) this.#send(context);
  }
}

describe("ioWorkers 'auto'", () => {
  it('is served by the JavaScript thread while listeners cost little', async () => {
    const { server: made } = await server();
    await turns(3);
    expect(made.stats()).toMatchObject({ ioWorkers: THREADS_ONLY ? 1 : 0, handOvers: 0 });
  });

  it('goes to a thread when listeners keep the JavaScript thread busy, and comes back', async () => {
    const load = new Load();
    const echo = await load.start();
    if (THREADS_ONLY) return expect(echo.stats().ioWorkers).toBe(1);
    for (let time = 0; time < 2; time++) {
      load.cost = 200;
      const before = { received: load.received, handOvers: echo.stats().handOvers };
      await until(() => {
        const changed = echo.stats().handOvers > before.handOvers || THREADS === 0;
        return changed && load.received > before.received + 2_000;
      });
      load.cost = 0;
      await idling(() => echo.stats().ioWorkers === 0);
    }
    await load.stop();
    expect(load.wrong).toEqual([]);
    expect(echo.stats().packagesReceived).toBe(load.sent);
    // More when a thread was given up again: client and server share a thread here, so it does not pay for sure.
    const { handOvers } = echo.stats();
    expect(handOvers).toBeGreaterThanOrEqual(THREADS * 4);
    expect(handOvers % 2).toBe(0);
  });
});

describe('a port that is asked more than once in a turn of the event loop', () => {
  it.each([0, 'auto'] as const)(
    'lets immediates run between, with ioWorkers %s',
    async (ioWorkers) => {
      const peers = 4; // with one package under way each
      const { server: made, port } = await server({ ioWorkers });
      let [received, sinceTurn, mostInTurn] = [0, 0, 0];
      made.on('package', (context, payload) => {
        received++;
        sinceTurn++;
        context.send(payload);
      });
      const child = runFixture('echo-back.mjs', [String(port), String(peers)]);
      await until(() => made.connectionCount === peers);
      for (const context of made.contexts()) context.send('x');
      await until(() => {
        mostInTurn = Math.max(mostInTurn, sinceTurn);
        sinceTurn = 0;
        return received >= 5_000;
      });
      made.disconnectAll();
      expect(await child).toMatchObject({ code: 0, stderr: '' });
      // Twice: what a plan of the engine's own finds, and then what the loop finds. Threads go on meanwhile.
      if (!THREADS_ONLY) expect(mostInTurn).toBeLessThanOrEqual(2 * peers);
    },
  );
});
