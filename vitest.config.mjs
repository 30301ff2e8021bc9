// The JavaScript tests: real engines in real processes, so each file gets a process of its own.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/js/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    maxConcurrency: 2,
    testTimeout: 20_000,
    hookTimeout: 10_000,
    teardownTimeout: 5_000,
    execArgv: ['--expose-gc'],
  },
});
