// Jobs that are about a connection: `addJob(data, { context })` and `job.context`, wherever the job runs.

import type { ClientContext, IocpOptions, Job } from 'iocp';
import { describe, expect, it } from 'vitest';

import { engine, next, RawPeer, until, WORKERS } from './support.js';

const jobs = new URL('fixtures/service.mjs', import.meta.url);

/** A listening engine, a connection to it, and what the engine knows the connection by. */
async function connected(options: IocpOptions) {
  const made = engine(options);
  const { port } = await made.listen({ host: '127.0.0.1' });
  const accepted = next<[ClientContext]>(made, 'connection');
  const peer = await RawPeer.connect({ port });
  const [context] = await accepted;
  return { made, context, peer };
}

describe('a job on a logical worker', () => {
  it.each([...WORKERS])(
    'answers the connection it is about, with ioWorkers %i',
    async (ioWorkers) => {
      const { made, context, peer } = await connected({ jobs, workers: 2, ioWorkers });
      const text = 'found';
      const answered = { sent: true, connected: true, remotePort: context.remotePort };
      expect(await made.addJob({ text }, { context })).toEqual(answered);
      // Data that only a message carries comes another way to the worker.
      const moved = new ArrayBuffer(8);
      expect(await made.addJob({ text, moved }, { context, transfer: [moved] })).toEqual(answered);
      expect(moved.byteLength).toBe(0);
      await peer.when(() => peer.received.length === 2 * (4 + text.length));
    },
  );

  it('is about nothing when nothing was named', async () => {
    const { made } = await connected({ jobs, workers: 1 });
    expect(await made.addJob({ text: 'x' })).toBe(null);
    expect(await made.addJob({ text: 'x' }, { context: undefined })).toBe(null);
  });

  it('finds nothing once the connection has gone', async () => {
    const { made, context, peer } = await connected({ jobs, workers: 1 });
    await made.setWorkers(0);
    const job = made.addJob({ text: 'x' }, { context });
    peer.socket.resetAndDestroy();
    await until(() => !context.connected);
    await made.setWorkers(1);
    expect(await job).toBe(null);
    expect(await made.addJob({ text: 'x' }, { context })).toBe(null);
  });
});

describe('a job by a function', () => {
  it('gets the very context, and keeps it when the connection goes', async () => {
    const seen: Array<unknown> = [];
    const { made, context, peer } = await connected({
      jobs: async (job: Job<string>) => {
        seen.push(job.context);
        if (job.data === 'stay') await until(() => !context.connected);
        return job.context === seen.at(-1);
      },
    });
    const stays = made.addJob('stay', { context });
    await until(() => seen.length === 1);
    peer.socket.resetAndDestroy();
    expect(await stays).toBe(true);
    expect(await made.addJob('late', { context })).toBe(true);
    expect(await made.addJob('none')).toBe(true);
    expect(seen[0]).toBe(context);
    expect(seen.slice(1)).toEqual([undefined, undefined]);
  });

  it('is told by its caller as well, who runs what the queue does not take', async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    const seen: Array<[number, boolean]> = [];
    const { made, context } = await connected({
      maxQueuedJobs: 1,
      onJobOverflow: 'callerRuns',
      jobs: async (job: Job) => {
        seen.push([job.id, job.context === context]);
        await gate;
      },
    });
    const all = [1, 2, 3].map((data) => made.addJob(data, { context }));
    await until(() => seen.length >= 2);
    release();
    await Promise.all(all);
    expect(seen.every(([, right]) => right)).toBe(true);
    expect(seen.some(([id]) => id === 0)).toBe(true);
  });
});

describe('addJob', () => {
  const wrong = /addJob\.context must be a ClientContext of this engine/;

  it.each([null, 7, 'a', {}, { id: 2 ** 24 }])('rejects %o as a context', async (context) => {
    const made = engine({ jobs: () => {} });
    await expect(made.addJob(1, { context } as never)).rejects.toThrow(wrong);
  });

  it("rejects another engine's context, whose id may be one of its own", async () => {
    const { made } = await connected({ jobs: () => {} });
    const other = await connected({ jobs: () => {} });
    expect(made.findClient(other.context.id)).toBeDefined();
    await expect(made.addJob(1, { context: other.context })).rejects.toThrow(wrong);
    const fresh = engine({ jobs: () => {} });
    await expect(fresh.addJob(1, { context: other.context })).rejects.toThrow(wrong);
  });

  it('says of an engine that was closed that it was', async () => {
    const { made, context } = await connected({ jobs: () => {} });
    await made.close({ graceMs: 0 });
    await expect(made.addJob(1, { context })).rejects.toMatchObject({ code: 'ERR_IOCP_CLOSED' });
  });
});
