#!/usr/bin/env node
// What prebuildify takes for node-gyp: builds the addon with cmake-js and zig for the target in PREBUILD_PLATFORM,
// PREBUILD_ARCH and PREBUILD_LIBC, into build/ of the folder it is started in. Called by prebuild.mjs only.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

import { root } from '../run.mjs';

const require = createRequire(import.meta.url);
const cmakeJs = path.join(path.dirname(require.resolve('cmake-js/package.json')), 'bin/cmake-js');
const result = spawnSync(
  process.execPath,
  [
    ...[cmakeJs, 'compile', '--log-level', 'error'],
    ...['--directory', root, '--out', path.resolve('build'), '--arch', process.env.PREBUILD_ARCH],
    `--CDCMAKE_TOOLCHAIN_FILE=${path.join(root, 'cmake/zig-toolchain.cmake')}`,
    '--CDIOCP_WERROR=ON',
  ],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      CMAKE_BUILD_PARALLEL_LEVEL:
        process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(os.availableParallelism()),
    },
  },
);
process.exit(result.status ?? 1);
