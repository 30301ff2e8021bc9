// Logical workers that process packages (deliver: 'workers'), and jobs that send: in order, each once, whatever happens
// to the workers.

import { fileURLToPath } from 'node:url';

import type { ClientContext, DisconnectReason, Iocp as IocpClass, IocpOptions } from 'iocp';
import { describe, expect, it } from 'vitest';

import {
  engine,
  frame,
  gone,
  next,
  packages,
  PATIENCE,
  pattern,
  RawPeer,
  runFixture,
  seeded,
  until,
  WORKERS,
} from './support.js';

const jobs = new URL('fixtures/service.mjs', import.meta.url);

type Server = IocpClass & { deaths: Error[] };

/** A listening engine whose packages go to logical workers; deaths of workers are expected. */
async function service(workers: number, options: IocpOptions = {}) {
  const made = engine({ jobs, deliver: 'workers', workers, ...options }) as Server;
  made.deaths = [];
  made.on('error', (error) => made.deaths.push(error));
  const { port } = await made.listen({ host: '127.0.0.1' });
  if (workers > 0) await made.setWorkers(workers);
  return { made, port };
}

/** One connection to the service, with a conversation on it. */
class Caller {
  readonly answers: string[] = [];
  ended: DisconnectReason | undefined;
  #heard: () => void = () => {};

  constructor(readonly context: ClientContext) {}

  static async connect(app: IocpClass, port: number, handlers: Map<number, Caller>) {
    const context = await app.connect({ port });
    const caller = new Caller(context);
    handlers.set(context.id, caller);
    return caller;
  }

  hear(answer: string): void {
    this.answers.push(answer);
    this.#heard();
  }

  /** The answers to come, when there are so many. */
  async take(count: number): Promise<string[]> {
    while (this.answers.length < count && this.ended === undefined) {
      await new Promise<void>((resolve) => (this.#heard = resolve));
    }
    return this.answers.splice(0, count);
  }

  async ask(command: object): Promise<unknown> {
    this.context.send(JSON.stringify(command));
    const [answer] = await this.take(1);
    return answer === undefined ? undefined : JSON.parse(answer);
  }

  end(reason: DisconnectReason): void {
    this.ended = reason;
    this.#heard();
  }
}

/** So many callers of one service. */
async function callers(port: number, count: number) {
  const app = engine();
  const handlers = new Map<number, Caller>();
  app.on('package', (context, payload) => handlers.get(context.id)?.hear(String(payload)));
  app.on('disconnect', (context, reason) => handlers.get(context.id)?.end(reason));
  return Promise.all(Array.from({ length: count }, () => Caller.connect(app, port, handlers)));
}

const threadOf = (answer: string): string => answer.split(':')[0] as string;
const numberOf = (answer: string): number => Number(answer.split(':')[1]);

describe('packages delivered to logical workers', () => {
  it.each([...WORKERS])('are answered there, in order, with ioWorkers %i', async (ioWorkers) => {
    const { made, port } = await service(2, { ioWorkers });
    let seen = 0;
    made.on('package', () => seen++);
    const all = await callers(port, 8);
    const numbers = Array.from({ length: 200 }, (_, number) => number);
    for (const number of numbers) for (const { context } of all) context.send(String(number));
    const threads = new Set<string>();
    for (const caller of all) {
      const answers = await caller.take(numbers.length);
      expect(answers.map(numberOf)).toEqual(numbers);
      const own = new Set(answers.map(threadOf));
      expect(own.size).toBe(1);
      threads.add([...own][0] as string);
    }
    expect(threads.size).toBe(2);
    expect(threads).not.toContain('0');
    expect(seen).toBe(0);
    expect(made.stats()).toMatchObject({ packagesReceived: 1600, packagesSent: 1600 });
  });

  it('leave the main thread its connection and disconnect events', async () => {
    const { made, port } = await service(1);
    const connected = next<[ClientContext]>(made, 'connection');
    const [caller] = await callers(port, 1);
    const [context] = await connected;
    expect(await caller!.ask({ do: 'id' })).toMatchObject({ id: context.id });
    const disconnected = gone(made, context);
    caller!.context.disconnect();
    expect((await disconnected).code).toBe('ECONNRESET');
    expect(made.connectionCount).toBe(0);
  });

  it('come between the connection and the disconnect that the same worker sees', async () => {
    const { made, port } = await service(1);
    const [caller] = await callers(port, 1);
    const { id } = (await caller!.ask({ do: 'id' })) as { id: number };
    const main = made.findClient(id)!;
    const disconnected = gone(made, main);
    caller!.context.disconnect({ graceful: true });
    await disconnected;
    const noted = (): Promise<unknown> => made.addJob({ do: 'noted', id });
    await expect.poll(noted).toEqual(['connection', 'id', 'disconnect ERR_IOCP_PEER_CLOSED']);
  });

  it('of any size arrive whole, and so do their answers', async () => {
    // So high that no drain is told of, which the module would answer too.
    const { port } = await service(2, { highWaterMark: 4 * 1024 * 1024 });
    const peer = await RawPeer.connect({ port });
    const sizes = [0, 1, 4095, 16_384, 16_385, 200_000, 1024 * 1024 - 40];
    const sent = sizes.map((size) => frame(`{"do":"echo","text":"${'x'.repeat(size)}"}`));
    for (const bytes of sent) void peer.write(bytes);
    const expected = Buffer.concat(sent);
    expect((await peer.bytes(expected.length)).equals(expected)).toBe(true);
  });

  it('of a peer that sends and closes at once are answered before the end', async () => {
    const { port } = await service(1);
    const peer = await RawPeer.connect({ port });
    const later = JSON.stringify({ do: 'later', turns: 5, value: 1 });
    peer.socket.end(Buffer.concat([frame(later), frame('7'), frame(later)]));
    await peer.when(() => peer.closed);
    expect(peer.error).toBeUndefined();
    expect(String(peer.received)).toMatch(/1.*:7.*1$/s);
  });

  it('wait while the promise of the one before is pending', async () => {
    const { made, port } = await service(1);
    const [caller] = await callers(port, 1);
    const values = Array.from({ length: 100 }, (_, value) => value);
    for (const value of values) {
      const turns = value % 5;
      caller!.context.send(JSON.stringify({ do: turns === 0 ? 'echo' : 'later', turns, value }));
    }
    const answers = await caller!.take(values.length);
    expect(answers.map((one) => JSON.parse(one)?.value ?? JSON.parse(one))).toEqual(values);
    expect(made.deaths).toEqual([]);
  });

  it('are held back while a worker pauses their connection', async () => {
    const { port } = await service(1);
    const [caller] = await callers(port, 1);
    caller!.context.send(JSON.stringify({ do: 'restFor', turns: 20, value: 'rests' }));
    for (let number = 0; number < 50; number++) caller!.context.send(String(number));
    const [first, ...others] = await caller!.take(51);
    expect(first).toBe('"rests"');
    expect(others.map(numberOf)).toEqual(Array.from({ length: 50 }, (_, number) => number));
  });

  it('can be told everything about their connection', async () => {
    const { port } = await service(1);
    const [caller] = await callers(port, 1);
    const { localAddress, localPort } = caller!.context;
    expect(await caller!.ask({ do: 'ends' })).toEqual({
      ...{ remoteAddress: localAddress, remotePort: localPort, remoteFamily: 'IPv4' },
      ...{ localAddress: '127.0.0.1', localPort: port },
    });
    expect(await caller!.ask({ do: 'figures' })).toMatchObject({
      ...{ connected: true, packagesReceived: 2, packagesSent: 1 },
    });
    caller!.context.send(JSON.stringify({ do: 'parts', parts: ['a', 'b'] }));
    caller!.context.send(JSON.stringify({ do: 'raw', bytes: [1, 0, 0, 0, 0x63] }));
    expect(await caller!.take(2)).toEqual(['ab', 'c']);
  });

  it('can end their connection, gracefully or not', async () => {
    const { port } = await service(1);
    const [graceful, abrupt] = await callers(port, 2);
    graceful!.context.send(JSON.stringify({ do: 'disconnect', graceful: true }));
    abrupt!.context.send(JSON.stringify({ do: 'disconnect', graceful: false }));
    await until(() => graceful!.ended !== undefined && abrupt!.ended !== undefined);
    expect(graceful!.ended!.code).toBe('ERR_IOCP_PEER_CLOSED');
    expect(abrupt!.ended!.code).toBe('ECONNRESET');
  });

  it('are answered with false above the high-water mark, and with a drain below it', async () => {
    const { port } = await service(1, { highWaterMark: 10_000 });
    const peer = await RawPeer.connect({ port });
    peer.socket.pause();
    await peer.write(frame(JSON.stringify({ do: 'flood', count: 100, bytes: 100_000 })));
    const other = await RawPeer.connect({ port });
    await other.write(frame('1'));
    await other.bytes(5); // the flood is queued by now
    peer.socket.resume();
    await peer.when(() => peer.received.includes('"drained"'));
    await peer.write(frame('{"do":"events"}'));
    await peer.when(() => peer.received.includes('"send false"'));
  });

  it('do not wait for a listener on the main thread that takes its time', async () => {
    const { port } = await service(1);
    const peer = await RawPeer.connect({ port });
    let answered = 0;
    // Everything happens in this one turn of the main thread's event loop but the peer's own reading and writing.
    for (; answered < 3; answered++) {
      await peer.write(frame(String(answered)));
      await peer.when(() => peer.received.includes(`:${answered}`));
    }
    expect(answered).toBe(3);
  });
});

describe('without a worker', () => {
  it('packages wait, and are answered when there is one', async () => {
    const { made, port } = await service(0);
    const all = await callers(port, 3);
    for (let number = 0; number < 20; number++) {
      for (const { context } of all) context.send(String(number));
    }
    await until(() => made.connectionCount === 3);
    expect(made.stats().packagesReceived).toBe(0);
    await made.setWorkers(2);
    for (const caller of all) {
      const answers = await caller.take(20);
      expect(answers.map(numberOf)).toEqual(Array.from({ length: 20 }, (_, number) => number));
    }
  });

  it('a peer that leaves is noticed all the same', async () => {
    const { made, port } = await service(0);
    const reasons: string[] = [];
    made.on('disconnect', (_, { code }) => reasons.push(code));
    const [ends, resets] = [await RawPeer.connect({ port }), await RawPeer.connect({ port })];
    await until(() => made.connectionCount === 2);
    ends.socket.end();
    await until(() => reasons.length === 1);
    expect(reasons).toEqual(['ERR_IOCP_PEER_CLOSED']);
    resets.socket.resetAndDestroy();
    await until(() => reasons.length === 2);
    expect(reasons[1]).toBe('ECONNRESET');
  });

  it('close resets what waits when its time is over', async () => {
    const { made, port } = await service(0);
    const [caller] = await callers(port, 1);
    caller!.context.send('1');
    await until(() => made.connectionCount === 1);
    expect(await made.close({ graceMs: 50 })).toMatchObject({ contexts: 1, reset: 1 });
  });
});

describe('a connection that goes to another worker', () => {
  it('takes its data along, and is not new there', async () => {
    const { made, port } = await service(1);
    const [caller] = await callers(port, 1);
    const value = { name: 'größe', list: [1, null], deep: { bytes: 'x'.repeat(50_000) } };
    expect(await caller!.ask({ do: 'keep', value })).toEqual(value);
    const before = (await caller!.ask({ do: 'id' })) as { threadId: number; id: number };
    await made.setWorkers(0);
    await made.setWorkers(1);
    expect(await caller!.ask({ do: 'kept' })).toEqual(value);
    const after = (await caller!.ask({ do: 'id' })) as { threadId: number; id: number };
    expect(after.id).toBe(before.id);
    expect(after.threadId).not.toBe(before.threadId);
    expect(await caller!.ask({ do: 'events' })).toEqual(['kept', 'id', 'events']);
  });

  it('is fairly shared out when workers come', async () => {
    const { made, port } = await service(1);
    const all = await callers(port, 12);
    for (const caller of all) await caller.ask({ do: 'id' });
    await made.setWorkers(4);
    const threads = async (): Promise<number[]> => {
      const counts = new Map<number, number>();
      for (const caller of all) {
        const { threadId } = (await caller.ask({ do: 'id' })) as { threadId: number };
        counts.set(threadId, (counts.get(threadId) ?? 0) + 1);
      }
      return [...counts.values()];
    };
    await expect.poll(threads).toEqual([3, 3, 3, 3]);
  });

  it('is ended by the new one when its peer ended while the old one was busy', async () => {
    const { made, port } = await service(1);
    const peer = await RawPeer.connect({ port });
    const channel = `until told, ${port}`;
    await peer.write(frame(JSON.stringify({ do: 'untilTold', channel, value: 'long' })));
    await until(() => made.stats().packagesReceived === 1 && made.connectionCount === 1);
    peer.socket.end();
    const [context] = [...made.contexts()] as [ClientContext];
    await until(() => context.peerEnded);
    const fewer = made.setWorkers(0);
    const words = new BroadcastChannel(channel);
    // Again and again: whoever listens later than the word was said does not hear it.
    const saying = setInterval(() => words.postMessage('go on'), 5);
    await fewer;
    clearInterval(saying);
    words.close();
    await made.setWorkers(1);
    await peer.when(() => peer.closed);
    expect(peer.error).toBeUndefined();
    expect(peer.received.includes('"long"')).toBe(true);
  });

  it('goes when its package is processed, not before', async () => {
    const { made, port } = await service(1);
    const [caller] = await callers(port, 1);
    caller!.context.send(JSON.stringify({ do: 'later', turns: 200, value: 'long' }));
    caller!.context.send('1');
    await until(() => made.stats().packagesReceived === 2);
    const shrunk = made.setWorkers(0);
    expect(await caller!.take(2)).toEqual(['"long"', expect.stringMatching(/:1$/)]);
    await shrunk;
  });
});

describe('setWorkers walking under load', () => {
  // The walk lasts IOCP_WALK_SECONDS: a moment by default, a minute when it is to be sure.
  const seconds = Number(process.env.IOCP_WALK_SECONDS ?? '2');
  const steps = [0, 8, 1, 4, 0, 2];

  const timeout = (seconds + 60) * 1000 * PATIENCE;
  it.each([0, 1, 3])('loses nothing, with ioWorkers %i', { timeout }, async (ioWorkers) => {
    const { made, port } = await service(2, { ioWorkers });
    const all = await callers(port, 16);
    const random = seeded(7);
    let running = true;
    let packagesSent = 0;
    let settled = 0;
    let added = 0;

    const talk = async (caller: Caller): Promise<void> => {
      for (let number = 0; running;) {
        const window = 1 + Math.floor(random() * 20);
        for (let i = 0; i < window; i++) {
          const value = `${number + i}`;
          const later = random() < 0.2;
          const command = JSON.stringify({ do: 'later', turns: 1 + (i % 3), value: `0:${value}` });
          caller.context.send(later ? command : value);
        }
        const answers = (await caller.take(window)).map((one) => one.replaceAll('"', ''));
        const expected = Array.from({ length: window }, (_, i) => number + i);
        expect(answers.map(numberOf)).toEqual(expected);
        number += window;
        packagesSent += window;
      }
    };
    const work = async (): Promise<void> => {
      while (running) {
        added++;
        expect(await made.addJob({ do: 'thread' })).toBeGreaterThan(0);
        settled++;
      }
    };
    const load = [...all.map(talk), work(), work(), work()];
    const end = performance.now() + seconds * 1000;
    for (let step = 0; performance.now() < end; step++) {
      await made.setWorkers(steps[step % steps.length] as number);
      const pause = random() * 60;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    running = false;
    await made.setWorkers(2);
    await Promise.all(load);

    expect(settled).toBe(added);
    expect(made.deaths).toEqual([]);
    expect(all.flatMap(({ answers }) => answers)).toEqual([]);
    expect(all.every(({ ended }) => ended === undefined)).toBe(true);
    const { packagesReceived, packagesSent: answered } = made.stats();
    expect([packagesReceived, answered]).toEqual([packagesSent, packagesSent]);
    expect(packagesSent).toBeGreaterThanOrEqual(all.length);
  });
});

describe('a worker that dies', () => {
  it.each(['exit', 'throws', 'rejects'])(
    'takes its connections with it, not the others: %s',
    async (how) => {
      const { made, port } = await service(2);
      const all = await callers(port, 4);
      const threads = new Map<Caller, number>();
      for (const caller of all) {
        threads.set(caller, ((await caller.ask({ do: 'id' })) as { threadId: number }).threadId);
      }
      const reasons: string[] = [];
      made.on('disconnect', (_, { code, by }) => reasons.push(`${code} ${by}`));
      const [victim] = all;
      victim!.context.send(JSON.stringify({ do: how }));
      await until(() => reasons.length === 2);
      expect(reasons).toEqual(Array(2).fill('ERR_IOCP_WORKER_DIED error'));
      for (const caller of all) {
        if (threads.get(caller) === threads.get(victim!)) continue;
        expect(await caller.ask({ do: 'id' })).toMatchObject({ threadId: threads.get(caller) });
      }
      await until(() => made.deaths.length === 1);
      expect(made.deaths[0]).toMatchObject({ code: 'ERR_IOCP_WORKER_DIED' });
      const [fresh] = await callers(port, 1);
      expect(await fresh!.ask({ do: 'id' })).toBeDefined();
    },
  );

  it('does not when its module listens for exceptions: what it holds is processed', async () => {
    const source = `
      let settle;
      const settled = new Promise((resolve) => (settle = resolve));
      let caught = 0;
      process.on('uncaughtException', () => caught++);
      export const processConnection = () => settled;
      export function processPackage(context, payload) {
        if (String(payload) === 'throw') throw new Error('as asked');
        context.send(caught + ' ' + payload);
      }
      // Some turns later: what has arrived has come to this thread by then, and is held.
      export default async () => {
        for (let turn = 0; turn < 20; turn++) await new Promise((next) => setImmediate(next));
        settle();
      };
    `;
    const { made, port } = await service(1, {
      jobs: new URL(`data:text/javascript,${encodeURIComponent(source)}`),
    });
    const [caller] = await callers(port, 1);
    for (const text of ['throw', 'a', 'throw', 'b']) caller!.context.send(text);
    await until(() => made.stats().packagesReceived === 4);
    await made.addJob(undefined);
    expect(await caller!.take(2)).toEqual(['1 a', '2 b']);
    expect(made.deaths).toEqual([]);
  });

  it('takes no files: their packages are read on the main thread', () => {
    expect(() => engine({ jobs, deliver: 'workers', fileTransfer: true })).toThrow(
      /fileTransfer needs deliver 'main'/,
    );
  });

  it('and whose module exports no processPackage says so', async () => {
    const made = engine({
      jobs: 'data:text/javascript,export default () => 1',
      deliver: 'workers',
    });
    made.on('error', () => {});
    await expect(made.setWorkers(1)).rejects.toThrow(/must export processPackage/);
  });
});

describe('closing with packages delivered to workers', () => {
  it('answers what has arrived, and tells the workers of the end', async () => {
    const { made, port } = await service(2);
    const all = await callers(port, 6);
    for (let number = 0; number < 100; number++) {
      for (const { context } of all) context.send(String(number));
    }
    await until(() => made.stats().packagesReceived === 600);
    const report = await made.close();
    expect(report).toMatchObject({ contexts: 6, drained: 6, reset: 0 });
    for (const { answers } of all) expect(answers).toHaveLength(100);
  });

  it('is quick when asked, whatever the workers do', async () => {
    const { made, port } = await service(1);
    const [caller] = await callers(port, 1);
    caller!.context.send(JSON.stringify({ do: 'spin', ms: 3000, value: 1 }));
    await until(() => made.stats().packagesReceived === 1);
    const begin = performance.now();
    await made.close({ graceMs: 0 });
    expect(performance.now() - begin).toBeLessThan(2500);
  });
});

describe('engine.findClient in a job', () => {
  it.each([...WORKERS])('sends on the connection, with ioWorkers %i', async (ioWorkers) => {
    const made = engine({ jobs, workers: 2, ioWorkers });
    const { port } = await made.listen({ host: '127.0.0.1' });
    const app = engine();
    const heard = packages(app, 50);
    const accepted = next<[ClientContext]>(made, 'connection');
    const outgoing = await app.connect({ port });
    const [{ id }] = await accepted;
    const texts = Array.from({ length: 50 }, (_, number) => `text ${number}`);
    const results = await Promise.all(texts.map((text) => made.addJob({ do: 'send', id, text })));
    const remotePort = outgoing.localPort;
    expect(results).toEqual(Array(50).fill({ sent: true, connected: true, remotePort }));
    expect((await heard).map(String).sort()).toEqual(texts.toSorted());
  });

  it('sends although the main thread has no time', async () => {
    const made = engine({ jobs, workers: 1, ioWorkers: 1 });
    const { port } = await made.listen({ host: '127.0.0.1' });
    await made.setWorkers(1);
    const child = runFixture('hear-one.mjs', [String(port)]);
    const [{ id }] = await next<[ClientContext]>(made, 'connection');
    const job = made.addJob({ do: 'send', id, text: 'over the busy thread' });
    // This thread does nothing else until the child has heard it and has gone.
    const shared = made.findClient(id)!;
    const end = performance.now() + 8000;
    while (!shared.peerEnded && performance.now() < end);
    expect(shared.peerEnded).toBe(true);
    expect((await child).stdout).toBe('over the busy thread');
    await job;
  });

  it('finds nothing once the connection has gone, and a handle kept says so', async () => {
    const made = engine({ jobs, workers: 1 });
    const { port } = await made.listen({ host: '127.0.0.1' });
    const peer = await RawPeer.connect({ port });
    await until(() => made.connectionCount === 1);
    const [{ id }] = [...made.contexts()] as [ClientContext];
    expect(await made.addJob({ do: 'send', id, text: 'x' })).toMatchObject({ sent: true });
    peer.socket.resetAndDestroy();
    await until(() => made.connectionCount === 0);
    expect(await made.addJob({ do: 'send', id, text: 'x' })).toBe(null);
    for (const wrong of [0, -1, 0.5, 2 ** 53, id + 1]) {
      expect(await made.addJob({ do: 'send', id: wrong, text: 'x' })).toBe(null);
    }
  });

  it('reaches a connection of another worker, and of the main thread', async () => {
    const { port } = await service(2);
    const [one, other] = await callers(port, 2);
    const { id, threadId } = (await other!.ask({ do: 'id' })) as { id: number; threadId: number };
    const mine = (await one!.ask({ do: 'id' })) as { threadId: number };
    expect(mine.threadId).not.toBe(threadId);
    expect(await one!.ask({ do: 'sendTo', id, text: 'hello' })).toEqual({
      found: true,
      sent: true,
    });
    expect(await other!.take(1)).toEqual(['hello']);

    const simple = engine({
      jobs: ({ data }: { data: never }, { findClient }) =>
        findClient(data)!.send('from a function'),
    });
    const { port: second } = await simple.listen({ host: '127.0.0.1' });
    const [plain] = await callers(second, 1);
    await until(() => simple.connectionCount === 1);
    expect(await simple.addJob([...simple.contexts()][0]!.id)).toBe(true);
    expect(await plain!.take(1)).toEqual(['from a function']);
  });
});

describe('processes with workers that process packages', () => {
  it.each(['terminate', 'exit', 'kill'])(
    'survive %s at any moment',
    async (how) => {
      const file = fileURLToPath(jobs);
      // Wine takes seconds to start a process with workers, and as long to end it.
      const times = process.env.IOCP_KILLS ?? (process.platform === 'win32' ? '3' : '12');
      const limitMs = 30_000 + Number(times) * 2000;
      const { code, stderr } = await runFixture(
        'workers-teardown.mjs',
        [file, how, times],
        limitMs,
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    },
    600_000,
  );
});

describe('payloads', () => {
  it('stay unchanged for as long as a worker keeps them', async () => {
    const { port } = await service(1, {
      jobs: new URL('fixtures/service-keep.mjs', import.meta.url),
    });
    const [caller] = await callers(port, 1);
    const sent = Array.from({ length: 2000 }, (_, number) => pattern(1 + (number % 700), number));
    for (const payload of sent) caller!.context.send(payload);
    expect(await caller!.take(1)).toEqual(['all kept']);
  });
});
