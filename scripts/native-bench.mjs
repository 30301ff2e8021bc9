// npm run bench:native: builds and runs the benchmarks of the engine's parts (Google Benchmark). Arguments go to every
// program: `npm run bench:native -- --benchmark_filter=mailbox`. With `--instructions` it counts instructions under
// valgrind's callgrind instead of time, which is repeatable on a busy machine.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';

import { findTool, needTool, read, root } from './run.mjs';

const folder = path.join(root, 'build-bench');
const given = process.argv.slice(2);
const counting = given.includes('--instructions');
const passed = given.filter((argument) => argument !== '--instructions');

needTool('cmake');
const generator = findTool('ninja') ? ['-G', 'Ninja'] : [];
read('cmake', ['-S', root, '-B', folder, ...generator, '-DIOCP_BUILD_BENCH=ON']);
read('cmake', ['--build', folder]);

const programs = readdirSync(folder)
  .filter((name) => /^iocp_bench_\w+$/.test(name))
  .sort();
if (programs.length === 0) {
  throw new Error('Google Benchmark is missing (Debian: libbenchmark-dev)');
}

/** Runs a program with its output shown; throws when it fails. */
function show(program, args) {
  console.log(`\n${program}`);
  const { status, signal } = spawnSync(path.join(folder, program), args, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${program} ended with ${signal ?? status}`);
}

/** Instructions of a run of one benchmark with so many iterations. */
function instructions(program, name, iterations) {
  const filter = `^${name.replaceAll(/[.*+?^${}()|[\]\\]/g, '.')}(/iterations:[0-9]+)?$`;
  const result = spawnSync(
    'valgrind',
    [
      '--tool=callgrind',
      '--callgrind-out-file=/dev/null',
      path.join(folder, program),
      `--benchmark_filter=${filter}`,
    ],
    { encoding: 'utf8', env: { ...process.env, IOCP_BENCH_ITERATIONS: String(iterations) } },
  );
  const match = /Collected\s*:\s*(\d+)/.exec(result.stderr);
  if (match === null) throw new Error(`no instruction count for ${name}:\n${result.stderr}`);
  return Number(match[1]);
}

/** The difference of two runs is the work alone: what starts and ends the program is in both. */
function count(program) {
  console.log(`\n${program}: instructions per iteration, without the kernel's`);
  const names = read(path.join(folder, program), ['--benchmark_list_tests', ...passed])
    .trim()
    .split('\n');
  for (const name of names) {
    const few = instructions(program, name, 20);
    const many = instructions(program, name, 220);
    console.log(`${name.padEnd(56)} ${((many - few) / 200).toFixed(0).padStart(12)}`);
  }
}

if (counting) needTool('valgrind');
for (const program of programs) {
  if (counting) count(program);
  else show(program, passed);
}
