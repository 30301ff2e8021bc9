// How a process with engines ends: in every order, with the right exit code, and never not at all.

import { describe, expect, it } from 'vitest';

import { runFixture, WORKERS } from './support.js';

const WAYS: Array<[way: string, code: number | null, stdout: string, stderr: RegExp]> = [
  ['never used', 0, '', /^$/],
  ['closed after use', 0, 'closed', /^$/],
  ['closed, not awaited', 0, '', /^$/],
  ['unref', 0, '', /^$/],
  ['unref before listen', 0, '', /^$/],
  ['nothing left to wait for', 0, '', /^$/],
  ['ref again', 4, '', /^$/],
  ['exit under load', 3, '', /^$/],
  ['exit while listeners are slow', 3, '', /^$/],
  ['exit outside of a listener', 3, '', /^$/],
  ['exit right after listen', 3, '', /^$/],
  ['exit while connecting', 3, '', /^$/],
  ['exit while closing', 3, '', /^$/],
  ['exit with threads at rest', 3, '', /^$/],
  ['exit that was only emitted', 3, 'went on', /^$/],
  ['uncaught exception', 1, '', /Error: expected/],
  ['rejection outside', 1, '', /Error: expected/],
  ['killed by a signal', null, 'kill me', /^$/],
  ['worker thread exits', 0, 'worker 3', /^$/],
  ['worker thread throws', 0, 'worker expected', /^$/],
];

// At the same time, for each is a process of its own, and some systems take a second to start one.
describe.each([...WORKERS, 'auto'])(
  'a process with ioWorkers %s',
  { concurrent: true },
  (ioWorkers) => {
    it.each(WAYS)('ends as it should: %s', async (way, code, stdout, stderr) => {
      const result = await runFixture('lifecycle.mjs', [way, String(ioWorkers)]);
      expect(result.signal).toBe(code === null ? 'SIGTERM' : null);
      expect(result.code).toBe(code);
      expect(result.stdout).toBe(stdout);
      expect(result.stderr).toMatch(stderr);
    });

    it('survives worker threads that are terminated at any moment', async () => {
      const result = await runFixture('worker-threads.mjs', [String(ioWorkers)], 18_000);
      expect(result.stderr).toBe('');
      expect(result.stdout).toBe('survived');
      expect(result.code).toBe(0);
    });
  },
);
