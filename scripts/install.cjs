// npm's install step: keeps a prebuild that loads, builds the addon from source otherwise.
// Must never reach for the network: the Node-API headers come with cmake-js' own dependencies.
'use strict';

const { spawnSync } = require('node:child_process');
const os = require('node:os');
const path = require('node:path');

const root = path.join(__dirname, '..');
const { name } = require(path.join(root, 'package.json'));

/** Loads the prebuild in a child process: an incompatible binary may take the process with it. */
function prebuildProblem() {
  const wanted = process.env.npm_config_build_from_source;
  if (wanted === 'true' || wanted === name) return 'a build from source was asked for';
  const child = spawnSync(
    process.execPath,
    ['-e', 'require("node-gyp-build")(process.argv[1])', root],
    // A local build is no prebuild: it may be older than the sources, and building again is cheap then.
    { cwd: root, encoding: 'utf8', env: { ...process.env, PREBUILDS_ONLY: '1' } },
  );
  if (child.status === 0) return undefined;
  return (
    /Error: .*/.exec(child.stderr)?.[0] ??
    `the load test ended with ${child.signal ?? child.status}`
  );
}

function buildFromSource() {
  let cmakeJs;
  try {
    cmakeJs = path.join(path.dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js');
  } catch {
    process.stderr.write(`${name}: cmake-js is not installed, so the addon cannot be built\n`);
    return 1;
  }
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(os.availableParallelism());
  const result = spawnSync(process.execPath, [cmakeJs, 'compile', '--log-level', 'error'], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, CMAKE_BUILD_PARALLEL_LEVEL: jobs },
  });
  if (result.status !== 0) {
    process.stderr.write(
      `${name}: the addon could not be built; it needs CMake 3.15 or later and a C++20 compiler (g++ 11, clang 14)\n`,
    );
  }
  return result.status ?? 1;
}

const problem = prebuildProblem();
if (problem === undefined) process.exit(0);
process.stderr.write(`${name}: building from source (${problem})\n`);
process.exit(buildFromSource());
