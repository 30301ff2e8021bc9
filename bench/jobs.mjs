// Jobs on logical workers beside Piscina, the pool most Node.js programs use: empty jobs with 64 bytes of data, the same
// number of workers. Every cell is a fresh process, rounds are interleaved, figures are medians.
//   node bench/jobs.mjs [--rounds 5] [--seconds 2] [--workers 2] [--queued 1000000]
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { read, root } from '../scripts/run.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    workers: { type: 'string', default: '2' },
    queued: { type: 'string', default: '1000000' },
  },
});
const drivers = ['iocp', 'piscina'];

/** One program's figures, from a process of its own. */
async function cell(driver, what) {
  const program = path.join(root, `bench/servers/jobs-${driver}.mjs`);
  const args = ['--expose-gc', program, what, options.workers, options.seconds, options.queued];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${driver} ${what} ended with ${code}`);
  return JSON.parse(output);
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

if (!existsSync(path.join(root, 'bench/peers/node_modules/piscina'))) {
  console.log('installing the peers into bench/peers/node_modules …');
  const prefix = path.join(root, 'bench/peers');
  read('npm', ['ci', '--ignore-scripts', '--prefix', prefix, '--no-audit', '--no-fund']);
}

const figures = Object.fromEntries(drivers.map((driver) => [driver, []]));
for (let round = 0; round < Number(options.rounds); round++) {
  for (const driver of drivers) {
    const latency = await cell(driver, 'latency');
    const throughput = await cell(driver, 'throughput');
    figures[driver].push({ ...latency, ...throughput });
  }
}
console.log('driver      jobs/s   CPU us/job   p50 us   p99 us');
const summary = {};
for (const driver of drivers) {
  const of = (name) => median(figures[driver].map((one) => one[name]));
  const row = ['jobsPerSecond', 'cpuUs', 'p50', 'p99'].map(of);
  summary[driver] = row;
  const [jobs, cpu, p50, p99] = row;
  const texts = [
    jobs.toFixed(0).padStart(8),
    cpu.toFixed(2).padStart(10),
    p50.toFixed(1),
    p99.toFixed(1),
  ];
  console.log(`${driver.padEnd(8)} ${texts.map((text) => text.padStart(8)).join('  ')}`);
}
const [ours, theirs] = drivers.map((driver) => summary[driver]);
console.log(
  `jobs/s ${(ours[0] / theirs[0]).toFixed(2)} x, p50 ${(ours[2] / theirs[2]).toFixed(2)} x Piscina's`,
);

const queued = await cell('iocp', 'queued');
console.log(
  `${options.queued} queued jobs: ${queued.bytesPerJob.toFixed(0)} bytes each (promises included), ` +
    `drained at ${queued.jobsPerSecond.toFixed(0)} jobs/s, ${queued.leftMiB.toFixed(0)} MiB more than before afterwards`,
);
