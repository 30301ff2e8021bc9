// Runs the JavaScript tests on an addon to which the host refuses external buffers, as Electron does.
//   npm run test:memory-cage [-- test files…]
import os from 'node:os';
import path from 'node:path';

import { localTool, mustRun, read, root, run } from './run.mjs';

const folder = path.join(root, 'build-memory-cage');
mustRun(
  localTool('cmake-js'),
  [
    ...['compile', '--log-level', 'error', '--out', path.join(folder, 'build')],
    ...['--CDIOCP_MEMORY_CAGE=ON', '--CDIOCP_WERROR=ON'],
  ],
  {
    CMAKE_BUILD_PARALLEL_LEVEL:
      process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(os.availableParallelism()),
  },
);
// An addon that still asked the host would prove nothing.
const addon = path.join(folder, 'build/Release/iocp.node');
if (read('nm', ['-D', '--undefined-only', addon]).includes('napi_create_external')) {
  console.error('the addon asks the host for external buffers');
  process.exit(1);
}
const chosen = process.argv.slice(2);
process.exit(
  run(
    localTool('vitest'),
    // Large payloads, which are external elsewhere, and all that counts them.
    [
      'run',
      ...(chosen.length > 0 ? chosen : ['echo', 'framing', 'back-pressure', 'storm', 'process']),
    ],
    { IOCP_PREBUILD: folder },
  ),
);
