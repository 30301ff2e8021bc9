// Builds the addon with a sanitizer and runs test/addon/stress.mjs against it in a plain Node.js process, and then ends
// logical workers and their owners at random moments (test/js/fixtures/workers-teardown.mjs), --kills times each way.
//   node scripts/addon-sanitized.mjs [--sanitize address|thread] [--kills 10] [--only-kills]
// The package is staged beside the sanitized addon, because the loader looks for build/Release below its own package.
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { localTool, mustRun, needTool, read, root } from './run.mjs';

const { values: options } = parseArgs({
  options: {
    sanitize: { type: 'string', default: 'address' },
    kills: { type: 'string', default: '10' },
    'only-kills': { type: 'boolean', default: false },
  },
});
const runtimes = { address: 'libasan.so', thread: 'libtsan.so' };
if (!(options.sanitize in runtimes)) {
  console.error(
    'usage: addon-sanitized.mjs [--sanitize address|thread] [--kills N] [--only-kills]',
  );
  process.exit(2);
}

const compiler = needTool('g++');
const folder = path.join(root, `build-addon-${options.sanitize}`);
const stage = path.join(folder, 'package');
const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(os.availableParallelism());

mustRun(
  localTool('cmake-js'),
  [
    ...['compile', '--log-level', 'error', '--out', path.join(folder, 'cmake')],
    ...[
      `--CDCMAKE_CXX_COMPILER=${compiler}`,
      `--CDIOCP_SANITIZE=${options.sanitize}`,
      '--CDIOCP_WERROR=ON',
    ],
  ],
  { CMAKE_BUILD_PARALLEL_LEVEL: jobs },
);

rmSync(stage, { recursive: true, force: true });
mkdirSync(path.join(stage, 'build/Release'), { recursive: true });
cpSync(path.join(folder, 'cmake/Release/iocp.node'), path.join(stage, 'build/Release/iocp.node'));
cpSync(path.join(root, 'dist'), path.join(stage, 'dist'), { recursive: true });
cpSync(path.join(root, 'package.json'), path.join(stage, 'package.json'));

const runtime = read(compiler, [`-print-file-name=${runtimes[options.sanitize]}`]).trim();
if (!path.isAbsolute(runtime)) {
  console.error(`missing tool: ${runtimes[options.sanitize]} of ${compiler}`);
  process.exit(127);
}
const entry = path.join(stage, 'dist/index.mjs');
const environment = {
  LD_PRELOAD: runtime,
  // Node.js never frees everything at exit, so leaks are told by the stress program's own counters.
  ASAN_OPTIONS: 'detect_leaks=0:halt_on_error=1:abort_on_error=0',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  // Node.js itself is not instrumented: what it does with its own memory is not looked at.
  TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1:ignore_noninstrumented_modules=1',
};

/** Runs a program of the tests on the sanitized addon. */
function sanitized(program, ...args) {
  // Address-space randomisation off: thread sanitizer's shadow memory needs it, and address sanitizer does not mind.
  const command = ['-R', process.execPath, path.join(root, program), ...args];
  mustRun(needTool('setarch'), command, environment);
}

if (!options['only-kills']) sanitized('test/addon/stress.mjs', entry);
const service = path.join(root, 'test/js/fixtures/service.mjs');
for (const how of ['kill', 'exit', 'terminate']) {
  sanitized('test/js/fixtures/workers-teardown.mjs', service, how, options.kills, entry);
  console.log(`ok ${how} at ${options.kills} random moments`);
}
