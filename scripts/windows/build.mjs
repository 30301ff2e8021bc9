// Builds for 64-bit Windows with MinGW-w64, by the same CMakeLists.txt as everywhere. Must never build for Linux.
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

import { mustRun, needTool, read, root } from '../run.mjs';
import { addonFolder, folder } from './wine.mjs';

const require = createRequire(import.meta.url);

function build(into, ...settings) {
  for (const tool of ['cmake', 'ninja']) needTool(tool);
  needTool('x86_64-w64-mingw32-g++-posix', 'x86_64-w64-mingw32-g++');
  const toolchain = path.join(root, 'cmake/mingw-toolchain.cmake');
  read('cmake', [
    ...['-S', root, '-B', into, '-G', 'Ninja'],
    `-DCMAKE_TOOLCHAIN_FILE=${toolchain}`,
    '-DCMAKE_BUILD_TYPE=Release',
    '-DIOCP_WERROR=ON',
    ...settings,
  ]);
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(os.availableParallelism());
  read('cmake', ['--build', into, '--parallel', jobs]);
}

/** Where the native test programs are. */
export const nativeFolder = path.join(folder, 'native');

export function buildNativeTests() {
  build(nativeFolder, '-DIOCP_BUILD_TESTS=ON', '-DIOCP_REQUIRE_ALL=ON');
}

/** Builds the addon and the JavaScript layer; returns the addon's file. */
export function buildAddon() {
  const headers = path.dirname(require.resolve('node-api-headers/package.json'));
  const wrapper = path.dirname(require.resolve('node-addon-api/package.json'));
  build(
    path.join(addonFolder, 'build'),
    `-DCMAKE_JS_INC=${path.join(headers, 'include')};${wrapper}`,
  );
  mustRun('npm', ['run', '--silent', 'build:ts']);
  return path.join(addonFolder, 'build/Release/iocp.node');
}
