// `npm run test:cross-compile`: compiles for the systems that are not at hand, with warnings as errors. Nothing is
// linked, for that is what takes zig minutes. On one of them everything is compiled, tests included; on the others the
// port, which is where systems differ.
import os from 'node:os';
import path from 'node:path';

import { read, root } from '../run.mjs';
import { chosenTargets, compiledOnly, targets } from './targets.mjs';
import { needZig, runQuietly } from './zig.mjs';

const cases = ['conformance_cases', 'posix_cases', 'stress_cases'];
const wanted = {
  'darwin-arm64': ['iocp_port_kqueue', 'iocp_core', ...cases],
  'darwin-x64': ['iocp_port_kqueue'],
  'freebsd-x64': ['iocp_port_kqueue'],
};
const all = [...targets, ...compiledOnly].filter((target) => target.name in wanted);

needZig();
for (const target of chosenTargets(process.argv.slice(2), all)) {
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
  const build = ['--build', folder, '--parallel', jobs, '--target', ...wanted[target.name]];
  runQuietly('cmake', build, target, log);
  const objects = read('find', [folder, '-name', '*.cc.o']).trim().split('\n').length;
  console.log(
    `${target.name}: ${objects} files compiled (${((Date.now() - begun) / 1000).toFixed(0)} s)`,
  );
}
