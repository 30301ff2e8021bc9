// npm's install step: keeps a prebuild that loads, builds the addon from source otherwise.
// Must never reach for the network: the Node-API headers are a dependency of the package.
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
  const why = /Error: (.*)/.exec(child.stderr)?.[1];
  if (why?.startsWith('No native build was found')) {
    return `there is no prebuilt addon for ${process.platform} ${process.arch}`;
  }
  return `the prebuilt addon does not load: ${why ?? child.signal ?? `exit code ${child.status}`}`;
}

/** What to type, for the systems whose users ask most. */
function howToGetTools() {
  const tools = {
    darwin: 'xcode-select --install && brew install cmake',
    freebsd: 'pkg install cmake',
    linux: 'apt-get install cmake g++   (Alpine: apk add cmake make g++ linux-headers)',
    win32:
      'winget install Kitware.CMake, and the Visual Studio Build Tools with "Desktop development with C++"',
  };
  return tools[process.platform] ?? 'your system installs them by its own means';
}

function buildFromSource() {
  const headers = require('node-api-headers').include_dir;
  const wrapper = path.dirname(require.resolve('node-addon-api/package.json'));
  const folder = path.join(root, 'build');
  // The generator that cmake-js would choose too, so that a developer's next build goes on from this one.
  const ninja = spawnSync('ninja', ['--version']).status === 0 ? ['-G', 'Ninja'] : [];
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(os.availableParallelism());
  const steps = [
    [
      '-S',
      root,
      '-B',
      folder,
      ...ninja,
      '-DCMAKE_BUILD_TYPE=Release',
      `-DCMAKE_JS_INC=${headers};${wrapper}`,
    ],
    ['--build', folder, '--config', 'Release', '--parallel', jobs],
  ];
  for (const step of steps) {
    const result = spawnSync('cmake', step, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
    if (result.status === 0) continue;
    process.stderr.write(
      result.error ? `${result.error.message}\n` : result.stdout + result.stderr,
    );
    process.stderr.write(
      `${name}: the addon could not be built (the reason is above). It needs CMake 3.15 or later and a C++20 compiler ` +
        `(g++ 11, clang 14, Visual Studio 2022):\n${name}:   ${howToGetTools()}\n`,
    );
    return 1;
  }
  return 0;
}

const problem = prebuildProblem();
if (problem === undefined) process.exit(0);
process.stderr.write(`${name}: building from source (${problem})\n`);
process.exit(buildFromSource());
