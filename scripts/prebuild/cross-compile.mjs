// `npm run test:cross-compile`: compiles the port, which is where systems differ, for those that are not at hand, with
// warnings as errors. Nothing is linked, for that is what takes zig minutes.
//   npm run test:cross-compile [-- --all] [target…]   --all: the core and the native tests too
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { read, root } from '../run.mjs';
import { chosenTargets, compiledOnly, targets } from './targets.mjs';
import { needZig, runQuietly } from './zig.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { all: { type: 'boolean', default: false } },
});
const wanted = ['iocp_port_kqueue'];
if (options.all) wanted.push('iocp_core', 'conformance_cases', 'posix_cases', 'stress_cases');
const systems = ['darwin-arm64', 'darwin-x64', 'freebsd-x64'];
const all = [...targets, ...compiledOnly].filter((target) => systems.includes(target.name));

needZig();
for (const target of chosenTargets(positionals, all)) {
  const begun = Date.now();
  const folder = path.join(root, 'build-cross', target.name);
  const log = path.join(folder, 'build.log');
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(os.availableParallelism());
  const settings = ['-DIOCP_WERROR=ON', '-DIOCP_BUILD_TESTS=ON', '-DCMAKE_BUILD_TYPE=Debug'];
  const toolchain = `-DCMAKE_TOOLCHAIN_FILE=${path.join(root, 'cmake/zig-toolchain.cmake')}`;
  runQuietly(
    'cmake',
    ['-S', root, '-B', folder, '-G', 'Ninja', toolchain, ...settings],
    target,
    log,
  );
  const build = ['--build', folder, '--parallel', jobs, '--target', ...wanted];
  runQuietly('cmake', build, target, log);
  const objects = read('find', [folder, '-name', '*.cc.o']).trim().split('\n').length;
  console.log(
    `${target.name}: ${objects} files compiled (${((Date.now() - begun) / 1000).toFixed(0)} s)`,
  );
}
