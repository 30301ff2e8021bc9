// The JavaScript tests: real engines in real processes, so each file gets a process of its own.
import { defineConfig } from 'vitest/config';

// Limits are there so that nothing hangs, not to measure: an emulated processor gets IOCP_PATIENCE times as long.
const patience = Number(process.env.IOCP_PATIENCE ?? 1);

export default defineConfig({
  test: {
    include: ['test/js/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    maxConcurrency: 2,
    testTimeout: 20_000 * patience,
    hookTimeout: 10_000 * patience,
    teardownTimeout: 5_000 * patience,
    execArgv: ['--expose-gc'],
  },
});
