// Configures, builds and runs the native tests: no Node.js inside, one build folder per variant.
//   node scripts/native-tests.mjs [--sanitize address|thread] [--compiler gcc|clang] [--filter regex] [--require-all]
// Each variant leaves its counts in <build folder>/counts.json for scripts/test.mjs and continuous integration.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { countNativeTests } from './native-counts.mjs';
import { findTool, needTool, read, root } from './run.mjs';

const compilers = { gcc: ['g++', 'c++'], clang: ['clang++-14', 'clang++'] };
const { values: options } = parseArgs({
  options: {
    sanitize: { type: 'string', default: '' },
    compiler: { type: 'string', default: 'gcc' },
    filter: { type: 'string' },
    'require-all': { type: 'boolean', default: false },
  },
});
if (!(options.compiler in compilers) || !['', 'address', 'thread'].includes(options.sanitize)) {
  console.error('usage: native-tests.mjs [--sanitize address|thread] [--compiler gcc|clang]');
  process.exit(2);
}

const variant = [options.sanitize, options.compiler === 'clang' ? 'clang' : ''].filter(Boolean);
const title = ['native tests', ...variant].join(', ');
const folder = path.join(root, ['build-native', ...variant].join('-'));
const countsFile = path.join(folder, 'counts.json');

function build() {
  needTool('cmake');
  const compiler = needTool(...compilers[options.compiler]);
  const generator = findTool('ninja') ? ['-G', 'Ninja'] : [];
  read('cmake', [
    ...['-S', root, '-B', folder, ...generator],
    `-DCMAKE_CXX_COMPILER=${compiler}`,
    // Optimised, because sanitizers slow things down enough; with symbols, because a stack trace is the point. The second
    // compiler is there for its warnings and its view of the language, which it has in half the time without.
    `-DCMAKE_BUILD_TYPE=${options.compiler === 'clang' && !options.sanitize ? 'Debug' : 'RelWithDebInfo'}`,
    '-DIOCP_BUILD_TESTS=ON',
    '-DIOCP_WERROR=ON',
    `-DIOCP_SANITIZE=${options.sanitize}`,
    `-DIOCP_REQUIRE_ALL=${options['require-all'] ? 'ON' : 'OFF'}`,
  ]);
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(os.availableParallelism());
  read('cmake', ['--build', folder, '--parallel', jobs]);
}

function runTests() {
  const filter = options.filter === undefined ? [] : ['-R', options.filter];
  const ctest = ['ctest', '-V', ...filter];
  // Thread sanitizer cannot map its shadow memory where the kernel randomises too many address bits.
  const fixedAddresses = options.sanitize === 'thread' ? [needTool('setarch'), '-R'] : [];
  const [command, ...rest] = [...fixedAddresses, ...ctest];
  return spawnSync(command, rest, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: {
      ...process.env,
      ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1',
      UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
      TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1',
    },
  });
}

mkdirSync(folder, { recursive: true });
rmSync(countsFile, { force: true });
build();
const result = runTests();
if (result.error !== undefined) throw result.error;
const log = result.stdout + result.stderr;
writeFileSync(path.join(folder, 'tests.log'), log);
const counts = countNativeTests(log);
const good = result.status === 0 && counts.failed === 0 && counts.passed > 0;
if (!good) process.stdout.write(log);
for (const line of counts.lines) console.log(line);
console.log(`${title}: ${counts.passed} passed, ${counts.failed} failed`);
writeFileSync(
  countsFile,
  JSON.stringify({ passed: counts.passed, failed: good ? 0 : Math.max(1, counts.failed) }),
);
process.exit(good ? 0 : 1);
