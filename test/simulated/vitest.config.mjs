// The tests of the simulated world, which need the simulated addon: `npm run test:simulated` builds it.
import path from 'node:path';

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: path.resolve(import.meta.dirname, '../..'),
    include: ['test/simulated/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 120_000,
    disableConsoleIntercept: true,
  },
});
