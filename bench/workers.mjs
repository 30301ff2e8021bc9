// Packages on logical workers beside packages on the main thread, when each costs its handler 50 us of processor time:
// throughput, and how busy the main thread is. Every cell is a fresh process; rounds are interleaved; figures are medians.
//   node bench/workers.mjs [--rounds 3] [--seconds 3] [--workers 2] [--scenario 64x4x64] [--handler 50]
import { parseArgs } from 'node:util';

import { cell, prepare } from './cells.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    workers: { type: 'string', default: '2' },
    scenario: { type: 'string', default: '64x4x64' },
    handler: { type: 'string', default: '50' },
  },
});
const [connections, outstanding, payload] = options.scenario.split('x').map(Number);
const handlerMicroseconds = Number(options.handler);
const scenario = { mode: 'echo', connections, outstanding, payload, handlerMicroseconds };
const times = { seconds: Number(options.seconds), warmup: 1 };
const drivers = { 'one thread': 'iocp', workers: 'iocp-workers' };

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

process.env.BENCH_WORKERS = options.workers; // the server's
prepare([]);
const figures = Object.fromEntries(Object.keys(drivers).map((name) => [name, []]));
for (let round = 0; round < Number(options.rounds); round += 1) {
  for (const [name, driver] of Object.entries(drivers)) {
    figures[name].push(await cell(driver, scenario, times));
  }
}

console.log(`${options.scenario}, ${options.handler} us a package, ${options.workers} workers`);
console.log('                packages/s   CPU us/package   p50 us   p99 us   main thread');
const rates = Object.keys(drivers).map((name) => {
  const of = (figure) => median(figures[name].map(figure));
  const rate = of((one) => one.frames_per_second);
  const cpu = of((one) => (one.server_cpu_seconds / one.frames) * 1e6);
  const main = of((one) => one.main_thread_cpu_seconds / one.seconds);
  const [p50, p99] = [of((one) => one.p50_us), of((one) => one.p99_us)];
  const cells = [rate.toFixed(0), cpu.toFixed(1), p50.toFixed(0), p99.toFixed(0)];
  const widths = [12, 16, 8, 8];
  const text = cells.map((one, index) => one.padStart(widths[index])).join(' ');
  console.log(`${name.padEnd(12)} ${text}   ${(main * 100).toFixed(1).padStart(6)} %`);
  return rate;
});
console.log(`workers / one thread: ${(rates[1] / rates[0]).toFixed(2)} x`);
