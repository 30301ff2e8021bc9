// Jobs on logical workers and on the main thread: every job settles once, in order, whatever happens to workers.

import { AsyncLocalStorage } from 'node:async_hooks';
import { fileURLToPath } from 'node:url';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';

import type { IocpOptions, Job } from 'iocp';
import { describe, expect, it } from 'vitest';

import { afterwards, engine, next, runFixture, seeded, until } from './support.js';

const jobs = new URL('fixtures/jobs.mjs', import.meta.url);

/** An engine with logical workers that run the fixture. */
function workers(count: number, options: IocpOptions = {}) {
  return engine({ jobs, workers: count, ...options });
}

/** A promise and its outcome, without an unhandled rejection in between. */
function outcome(promise: Promise<unknown>): Promise<PromiseSettledResult<unknown>> {
  return Promise.allSettled([promise]).then(([one]) => one as PromiseSettledResult<unknown>);
}

describe('a job on a logical worker', () => {
  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a number', -0.5],
    ['NaN', Number.NaN],
    ['an empty text', ''],
    ['a text', 'größe 👍'],
    ['a buffer', Buffer.from('bytes')],
    ['an empty buffer', Buffer.alloc(0)],
    ['an array', [1, 'two', null, undefined]],
    ['a map', new Map([['key', new Set([1n])]])],
    ['a date', new Date(5)],
    ['typed arrays', { bytes: new Uint16Array([1, 2]), buffer: new ArrayBuffer(3) }],
    ['an error', { error: new TypeError('kept') }],
  ])('gets %s as it was given, and gives it back', async (_, value) => {
    expect(await workers(1).addJob(value)).toEqual(value);
  });

  it('runs in another thread, with what it is told about itself', async () => {
    const made = workers(1);
    expect(await made.addJob({ do: 'thread' })).toBeGreaterThan(0);
    const before = Date.now() - 1;
    const told = await made.addJob({ do: 'describe' }, { priority: -5 });
    const { id, priority, enqueuedAt } = told as Job;
    expect(priority).toBe(-5);
    expect(Number.isSafeInteger(id)).toBe(true);
    expect(enqueuedAt).toBeGreaterThanOrEqual(before);
    expect(enqueuedAt).toBeLessThanOrEqual(Date.now());
  });

  it('may be asynchronous', async () => {
    const made = workers(1);
    const values = [1, 2, 3, 4];
    const results = await Promise.all(values.map((value) => made.addJob({ do: 'later', value })));
    expect(results).toEqual(values);
  });

  it('has its data copied when it is added', async () => {
    const data = Buffer.from('before');
    const result = workers(1).addJob(data);
    data.write('after!');
    expect(String(await result)).toBe('before');
  });

  it('rejects with what it threw, properties included', async () => {
    const made = workers(1);
    const thrown = await outcome(made.addJob({ do: 'throws', code: 'E_ASKED' }));
    expect(thrown).toMatchObject({
      status: 'rejected',
      reason: { name: 'RangeError', message: 'as asked', code: 'E_ASKED', detail: { deep: 1 } },
    });
    await expect(made.addJob({ do: 'throwsText' })).rejects.toBe('a text');
    await expect(made.addJob({ do: 'rejects' })).rejects.toThrow('later');
    await expect(made.addJob({ do: 'uncloneable' })).rejects.toThrow(/could not be cloned/);
    expect(await made.addJob('still here')).toBe('still here');
    expect(made.stats().jobs).toMatchObject({ done: 1, failed: 4, running: 0, depth: 0 });
  });

  it('refuses data that cannot be copied, at once', async () => {
    await expect(workers(1).addJob(() => {})).rejects.toThrow(/could not be cloned/);
    const huge = Object.defineProperty(Buffer.alloc(1), 'length', { value: 2 ** 32 });
    await expect(workers(1).addJob(huge)).rejects.toThrow(
      /takes 4294967296 bytes: it may take 4294967295/,
    );
  });

  it('takes what is transferred, and gives back what it moves', async () => {
    const made = workers(1);
    const bytes = new ArrayBuffer(1000);
    new Uint8Array(bytes).fill(9);
    const sum = made.addJob({ do: 'echo', value: bytes }, { transfer: [bytes] });
    expect(bytes.byteLength).toBe(0);
    expect(new Uint8Array((await sum) as ArrayBuffer)[999]).toBe(9);
    const moved = (await made.addJob({ do: 'move', bytes: 100_000 })) as Uint8Array;
    expect([moved.length, moved[0], moved[99_999]]).toEqual([100_000, 7, 7]);
  });

  it('takes message ports', async () => {
    const { port1, port2 } = new MessageChannel();
    afterwards(() => port1.close());
    const back = (await workers(1).addJob(
      { do: 'echo', value: 1, port2 },
      { transfer: [port2] },
    )) as number;
    expect(back).toBe(1);
    expect(receiveMessageOnPort(port1)).toBeUndefined();
  });

  it('keeps the asynchronous context of its caller, and has its own', async () => {
    const made = workers(1);
    const storage = new AsyncLocalStorage<string>();
    await storage.run('caller', async () => {
      expect(await made.addJob({ do: 'store' })).toBe('inner');
      expect(storage.getStore()).toBe('caller');
    });
  });

  it('gives every caller its own asynchronous context back, however the job ends', async () => {
    const storage = new AsyncLocalStorage<number>();
    const queue = { maxQueuedJobs: 3, onJobOverflow: 'wait' } as const;
    const made = workers(1, queue);
    made.on('error', () => {});
    const ways = [
      () => made.addJob('well'),
      () => made.addJob({ do: 'throws', code: 'E_ASKED' }),
      () => made.addJob({ do: 'later', value: 1 }),
      (caller: number) => made.addJob(caller === 3 ? { do: 'exit' } : 'well'),
      () => made.addJob({ do: 'untilAborted' }, { timeoutMs: 20 }),
      () => made.addJob('never', { signal: AbortSignal.abort() }),
      () => made.addJob({ do: 'move', bytes: new ArrayBuffer(8) }, { priority: 1 }),
    ];
    const found: Array<number | undefined> = [];
    const all = Array.from({ length: 42 }, (_, caller) =>
      storage.run(caller, async () => {
        await ways[caller % ways.length]!(caller).catch(() => {});
        found[caller] = storage.getStore();
        await made.addJob('again').then(() => expect(storage.getStore()).toBe(caller));
      }),
    );
    await Promise.all(all);
    expect(found).toEqual(Array.from({ length: 42 }, (_, caller) => caller));
  });

  it('is one of many that all come back, by priority', async () => {
    const made = workers(0);
    const order: number[] = [];
    const added = Array.from({ length: 3000 }, (_, index) =>
      made.addJob(index, { priority: index % 3 }).then((value) => order.push(value as number)),
    );
    await made.setWorkers(1);
    await Promise.all(added);
    const expected = [2, 1, 0].flatMap((rest) =>
      Array.from({ length: 1000 }, (_, index) => index * 3 + rest),
    );
    expect(order).toEqual(expected);
  });
});

describe('a job that is given up', () => {
  it('does not run when it waited', async () => {
    const made = workers(0);
    const controller = new AbortController();
    const given = outcome(made.addJob({ do: 'count' }, { signal: controller.signal }));
    const other = made.addJob({ do: 'count' });
    controller.abort();
    expect(await given).toMatchObject({ reason: { name: 'AbortError', code: 'ABORT_ERR' } });
    await made.setWorkers(1);
    expect(await other).toBe(1);
    expect(made.stats().jobs).toMatchObject({ cancelled: 1, done: 1 });
  });

  it('rejects at once when it runs, and its signal fires', async () => {
    const made = workers(1);
    const controller = new AbortController();
    const given = outcome(made.addJob({ do: 'untilAborted' }, { signal: controller.signal }));
    await until(() => made.stats().jobs.running === 1);
    controller.abort();
    expect(await given).toMatchObject({ reason: { name: 'AbortError' } });
    expect(await made.addJob('next')).toBe('next');
    expect(made.stats().jobs).toMatchObject({ done: 2 });
  });

  it('tells its worker also while the worker waits for what is transferred', async () => {
    const made = workers(1);
    await made.setWorkers(1);
    const shared = new SharedArrayBuffer(4);
    const bytes = new ArrayBuffer(8);
    const controller = new AbortController();
    const options = { signal: controller.signal, transfer: [bytes] };
    const given = outcome(made.addJob({ do: 'noteAborted', shared, bytes }, options));
    // Within this turn: the worker has the job, and cannot have its data.
    while (made.stats().jobs.running === 0);
    controller.abort();
    expect(await given).toMatchObject({ reason: { name: 'AbortError' } });
    await until(() => Atomics.load(new Int32Array(shared), 0) === 1);
  });

  it('is refused when the signal was aborted before', async () => {
    const signal = AbortSignal.abort();
    await expect(workers(0).addJob(1, { signal })).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('rejects when its time is over, waiting or running', async () => {
    const made = workers(0);
    await expect(made.addJob(1, { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'ERR_IOCP_JOB_TIMEOUT',
      message: 'the job was not done within 20 ms',
    });
    await made.setWorkers(1);
    await expect(made.addJob({ do: 'untilAborted' }, { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'ERR_IOCP_JOB_TIMEOUT',
    });
    expect(await made.addJob('next')).toBe('next');
  });
});

describe('a full queue', () => {
  it('rejects, and says how many wait', async () => {
    const made = workers(0, { maxQueuedJobs: 2 });
    const kept = [made.addJob(1), made.addJob(2)];
    await expect(made.addJob(3)).rejects.toMatchObject({
      code: 'ERR_IOCP_JOB_QUEUE_FULL',
      message: 'addJob: 2 jobs wait already (maxQueuedJobs)',
    });
    expect(made.stats().jobs).toMatchObject({ depth: 2, rejected: 1 });
    await made.setWorkers(1);
    expect(await Promise.all(kept)).toEqual([1, 2]);
  });

  it('lets its callers wait for room', async () => {
    const made = workers(0, { maxQueuedJobs: 2, onJobOverflow: 'wait' });
    const values = Array.from({ length: 500 }, (_, index) => index);
    const all = values.map((value) => made.addJob(value));
    const controller = new AbortController();
    const given = outcome(made.addJob('never', { signal: controller.signal }));
    controller.abort();
    expect(await given).toMatchObject({ reason: { name: 'AbortError' } });
    await made.setWorkers(2);
    expect(await Promise.all(all)).toEqual(values);
    expect(made.stats().jobs).toMatchObject({ depth: 0, rejected: 0, done: 500 });
  });

  it('lets its callers run what does not fit', async () => {
    const made = workers(0, { maxQueuedJobs: 1, onJobOverflow: 'callerRuns' });
    const queued = made.addJob({ do: 'thread' });
    expect(await made.addJob({ do: 'thread' })).toBe(0);
    await made.setWorkers(1);
    expect(await queued).toBeGreaterThan(0);
    await expect(made.addJob({ do: 'rejects' })).rejects.toThrow('later');
    expect(made.stats().jobs).toMatchObject({ running: 0, done: 2, failed: 1 });
  });

  it('lets a great many callers wait', async () => {
    const made = workers(1, { maxQueuedJobs: 1, onJobOverflow: 'wait' });
    await made.setWorkers(1);
    const all = Array.from({ length: 5000 }, (_, value) => made.addJob(value));
    expect(await Promise.all(all)).toEqual(Array.from(all.keys()));
  });
});

describe('a worker that dies', () => {
  it.each([
    ['exits', { do: 'exit' }, /the worker thread ended with exit code 3/],
    ['throws outside of its job', { do: 'crash' }, /a crash/],
  ])('when it %s: its job rejects, and another takes its place', async (_, data, cause) => {
    const made = workers(1);
    const died = await outcome(made.addJob(data));
    expect(died).toMatchObject({ reason: { code: 'ERR_IOCP_WORKER_DIED' } });
    expect((died as PromiseRejectedResult).reason.message).toMatch(cause);
    expect(await made.addJob('next')).toBe('next');
  });

  it('although it was only to finish its job: its job rejects', async () => {
    const made = workers(1);
    const shared = new SharedArrayBuffer(4);
    const died = outcome(made.addJob({ do: 'exitWhenTold', shared }));
    await until(() => made.stats().jobs.running === 1);
    const fewer = made.setWorkers(0);
    Atomics.store(new Int32Array(shared), 0, 1);
    await fewer;
    expect(await died).toMatchObject({ reason: { code: 'ERR_IOCP_WORKER_DIED' } });
  });

  it('at its start: whoever waits is told why', async () => {
    const missing = engine({ jobs: './no-such-module.mjs', workers: 1 });
    missing.on('error', () => {});
    await expect(missing.addJob(1)).rejects.toMatchObject({
      code: 'ERR_IOCP_WORKER_DIED',
      message: expect.stringMatching(/no logical worker could be started.*no-such-module/),
    });
    await expect(missing.setWorkers(1)).rejects.toMatchObject({ code: 'ERR_IOCP_WORKER_DIED' });
    const wrong = engine({ jobs: new URL('data:text/javascript,export default 5'), workers: 1 });
    wrong.on('error', () => {});
    await expect(wrong.addJob(1)).rejects.toThrow(/must have a function as its default export/);
  });

  it('with nobody waiting: the engine says so', async () => {
    const source = 'export default () => { setTimeout(() => process.exit(4), 1); }';
    const made = engine({ jobs: new URL(`data:text/javascript,${source}`), workers: 1 });
    const told = next<[Error]>(made, 'error');
    await made.addJob(1);
    expect((await told)[0]).toMatchObject({ code: 'ERR_IOCP_WORKER_DIED' });
  });
});

describe('the number of workers', () => {
  it('follows setWorkers at any time, and no job is lost', async () => {
    const made = workers(0);
    const results: Array<Promise<unknown>> = [];
    let adding = true;
    const add = async (): Promise<void> => {
      for (let value = 0; adding; value++) {
        const kind = value % 4 === 0 ? 'later' : 'echo';
        results.push(made.addJob({ do: kind, value }).then((got) => expect(got).toBe(value)));
        if (value % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const added = add();
    for (const count of [8, 1, 4, 0, 2]) await made.setWorkers(count);
    adding = false;
    await added;
    await Promise.all(results);
    expect(made.stats().jobs).toMatchObject({ workers: 2, depth: 0, running: 0, failed: 0 });
    expect(made.stats().jobs.done).toBe(results.length);
  });

  it('may change while workers are on their way, and no job is lost', async () => {
    const made = workers(0);
    const random = seeded(3);
    const results: Array<Promise<unknown>> = [];
    const changes: Array<Promise<void>> = [];
    for (let change = 0; change < 30; change++) {
      for (let value = 0; value < 20; value++) {
        const kind = value % 4 === 0 ? 'later' : 'echo';
        results.push(made.addJob({ do: kind, value }).then((got) => expect(got).toBe(value)));
      }
      changes.push(made.setWorkers(change % 2 === 0 ? 3 : 0));
      // Long enough for some of them to have begun, and for others not to.
      const turns = Math.floor(random() * 2000);
      for (let turn = 0; turn < turns; turn++) await new Promise((r) => setImmediate(r));
    }
    changes.push(made.setWorkers(2));
    await Promise.all([...results, ...changes]);
    expect(made.stats().jobs).toMatchObject({ workers: 2, done: results.length, failed: 0 });
  });

  it('can be lowered while jobs run: they end first', async () => {
    const made = workers(0);
    await made.setWorkers(2);
    const running = [
      made.addJob({ do: 'spin', ms: 50, value: 1 }),
      made.addJob({ do: 'spin', ms: 50, value: 2 }),
    ];
    await until(() => made.stats().jobs.running === 2);
    await made.setWorkers(0);
    expect(await Promise.all(running)).toEqual([1, 2]);
  });

  it('makes jobs run at the same time', async () => {
    const made = workers(3);
    const shared = new SharedArrayBuffer(4);
    const meeting = Array.from({ length: 3 }, () => made.addJob({ do: 'meet', count: 3, shared }));
    expect(new Set(await Promise.all(meeting)).size).toBe(3);
  });
});

describe('jobs by a function', () => {
  it('run on this thread, after the current turn, with the very data', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const made = engine({
      jobs: (job: Job<object>) => (seen.push(job.data, storage.getStore()), job.data),
    });
    const data = { not: () => 'cloned' };
    const result = storage.run('caller', () => made.addJob(data));
    expect(seen).toEqual([]);
    expect(await result).toBe(data);
    expect(seen).toEqual([data, 'caller']);
  });

  it('run in the asynchronous context of their caller, also when they had to wait or the caller runs them', async () => {
    const storage = new AsyncLocalStorage<number>();
    for (const onJobOverflow of ['wait', 'callerRuns'] as const) {
      const made = engine({
        jobs: async () => {
          await new Promise((resolve) => setImmediate(resolve));
          return storage.getStore();
        },
        maxQueuedJobs: 2,
        onJobOverflow,
      });
      const callers = Array.from({ length: 20 }, (_, caller) => caller);
      const seen = callers.map((caller) => storage.run(caller, () => made.addJob(undefined)));
      expect(await Promise.all(seen)).toEqual(callers);
    }
  });

  it('run by priority, may be asynchronous, may throw', async () => {
    const order: unknown[] = [];
    const made = engine({
      jobs: async (job: Job<string>) => {
        order.push(job.data);
        if (job.data === 'bad') throw new Error('bad');
        return job.data.toUpperCase();
      },
    });
    const results = await Promise.allSettled([
      made.addJob('a'),
      made.addJob('b', { priority: 1 }),
      made.addJob('bad', { priority: -1 }),
    ]);
    expect(order).toEqual(['b', 'a', 'bad']);
    expect(results.map((one) => one.status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(made.stats().jobs).toMatchObject({ done: 2, failed: 1, depth: 0, running: 0 });
  });

  it('have no workers to set', async () => {
    const made = engine({ jobs: () => 1 });
    await expect(made.setWorkers(1)).rejects.toThrow(/needs jobs to be a module/);
    expect(() => engine({ jobs: () => 1, workers: 1 })).toThrow(/needs jobs to be a module/);
  });

  it('can be given up while they run', async () => {
    let fired = false;
    const controller = new AbortController();
    const made = engine({
      jobs: ({ signal }: Job<never>) =>
        new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => ((fired = true), resolve()));
          controller.abort();
        }),
    });
    const given = made.addJob(1, { signal: controller.signal });
    await expect(given).rejects.toMatchObject({ name: 'AbortError' });
    expect(fired).toBe(true);
  });
});

describe('closing', () => {
  it('runs the jobs that wait', async () => {
    const made = workers(1);
    const results = Array.from({ length: 100 }, (_, value) => made.addJob({ do: 'later', value }));
    await made.close();
    expect(await Promise.all(results)).toHaveLength(100);
    await expect(made.addJob(1)).rejects.toMatchObject({ code: 'ERR_IOCP_CLOSED' });
  });

  it('rejects them when asked to, and lets the running one end', async () => {
    const made = workers(1);
    const running = made.addJob({ do: 'spin', ms: 30, value: 'ran' });
    await until(() => made.stats().jobs.running === 1);
    const waiting = outcome(made.addJob(1));
    await made.close({ jobs: 'reject' });
    expect(await running).toBe('ran');
    expect(await waiting).toMatchObject({ reason: { code: 'ERR_IOCP_CLOSED' } });
  });

  it('waits no longer than it was told', async () => {
    const made = workers(1);
    const stuck = outcome(made.addJob({ do: 'untilAborted' }));
    await until(() => made.stats().jobs.running === 1);
    await made.close({ graceMs: 10 });
    expect(await stuck).toMatchObject({ reason: { code: 'ERR_IOCP_CLOSED' } });
  });

  it('rejects what a caller still runs when its time is over', async () => {
    const made = workers(0, { maxQueuedJobs: 1, onJobOverflow: 'callerRuns' });
    const waiting = outcome(made.addJob(1));
    const stuck = outcome(made.addJob({ do: 'untilAborted' }));
    await made.close({ graceMs: 10 });
    expect(await waiting).toMatchObject({ reason: { code: 'ERR_IOCP_CLOSED' } });
    expect(await stuck).toMatchObject({ reason: { code: 'ERR_IOCP_CLOSED' } });
  });

  it('with no workers rejects what waits', async () => {
    const made = workers(0);
    const waiting = outcome(made.addJob(1));
    await made.close();
    expect(await waiting).toMatchObject({ reason: { code: 'ERR_IOCP_CLOSED' } });
  });
});

describe('the process', () => {
  it('ends while workers are idle, and not while a job runs', async () => {
    const { code, stdout, stderr } = await runFixture('jobs-process.mjs', [fileURLToPath(jobs)]);
    expect({ code, stderr, stdout }).toEqual({ code: 0, stderr: '', stdout: 'done\n' });
  });

  it.each(['exit', 'terminate'])(
    'survives %s at any moment',
    async (how) => {
      const args = [fileURLToPath(jobs), how];
      const { code, stderr } = await runFixture('jobs-teardown.mjs', args, 50_000);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    },
    60_000, // each environment starts others
  );
});

describe('the options of jobs', () => {
  it.each<[IocpOptions, RegExp]>([
    [{ jobs: 5 } as never, /jobs must be a path, a URL or a function, not 5/],
    [{ jobs: '' }, /jobs must be a non-empty string/],
    [{ workers: 2 }, /workers 2 needs jobs to be a path, a URL or a function/],
    [{ maxQueuedJobs: 5 }, /maxQueuedJobs 5 needs jobs/],
    [{ onJobOverflow: 'wait' }, /onJobOverflow 'wait' needs jobs/],
    [{ jobs: './a', workers: 257 }, /workers must be an integer from 0 to 256, not 257/],
    [{ jobs: './a', maxQueuedJobs: 0 }, /maxQueuedJobs must be an integer from 1 to 16777216/],
    [
      { jobs: './a', onJobOverflow: 'drop' as never },
      /onJobOverflow must be one of 'reject', 'wait', 'callerRuns'/,
    ],
  ])('%j is refused', (options, message) => {
    expect(() => engine(options)).toThrow(message);
  });

  it('are checked in every call', async () => {
    const made = workers(0);
    await expect(made.addJob(1, { priority: 0.5 })).rejects.toThrow(
      /addJob.priority must be an integer/,
    );
    await expect(made.addJob(1, { timeoutMs: -1 })).rejects.toThrow(/addJob.timeoutMs/);
    await expect(made.addJob(1, { transfer: 1 as never })).rejects.toThrow(
      /addJob.transfer must be an array/,
    );
    await expect(made.addJob(1, { other: 1 } as never)).rejects.toThrow(
      /addJob.other is not an option/,
    );
    await expect(made.setWorkers(-1)).rejects.toThrow(
      /setWorkers must be an integer from 0 to 256/,
    );
    await expect(made.setWorkers(undefined as never)).rejects.toThrow(
      /setWorkers must be an integer/,
    );
    await expect(engine().addJob(1)).rejects.toThrow(/addJob needs the option jobs/);
  });
});
