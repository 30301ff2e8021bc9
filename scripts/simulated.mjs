// Builds the addon in a simulated world (network, disk, clock and threads are the test's) and runs test/simulated on it.
//   npm run test:simulated [-- --seed N] [-- --seeds 1000]
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { localTool, mustRun, root, run } from './run.mjs';

const { values: options } = parseArgs({
  options: { seed: { type: 'string' }, seeds: { type: 'string', default: '1000' } },
});
for (const number of [options.seed ?? '1', options.seeds]) {
  if (/^[0-9]{1,9}$/.test(number)) continue;
  console.error('usage: simulated.mjs [--seed N] [--seeds N]');
  process.exit(2);
}
const folder = path.join(root, 'build-simulated');
mustRun(
  localTool('cmake-js'),
  [
    ...['compile', '--log-level', 'error', '--out', path.join(folder, 'build')],
    ...['--CDIOCP_SIMULATED=ON', '--CDIOCP_WERROR=ON'],
  ],
  {
    CMAKE_BUILD_PARALLEL_LEVEL:
      process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(os.availableParallelism()),
  },
);
mustRun('npm', ['run', '--silent', 'build:ts']);
process.exit(
  run(localTool('vitest'), ['run', '--config', 'test/simulated/vitest.config.mjs'], {
    IOCP_PREBUILD: folder,
    IOCP_SEEDS: options.seeds,
    ...(options.seed === undefined ? {} : { IOCP_SEED: options.seed }),
  }),
);
