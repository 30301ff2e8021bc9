// Runs echo servers side by side and prints how ours compares with the best program on `net`.
// Every cell is a fresh server process and a fresh generator process; rounds are interleaved so that a slow minute of
// the machine hits everybody; a cell's figure is the median of its rounds. A figure with errors is never printed.
//   npm run bench -- [--scenario 64x16x64]… [--rounds 5] [--seconds 3] [--warmup 1] [--servers a,b] [--hold N]
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

import { findTool, needTool, read, root } from '../scripts/run.mjs';

const help = `npm run bench -- [options]
  --scenario CxKxB   connections x outstanding packages per connection x payload bytes; may be repeated
                     (default: 1x1x64 64x1x64 64x16x64 64x16x4096 16x4x65536)
  --hold N           also: N mostly idle connections, one slow echo each; shows memory per connection
  --rounds N         rounds per cell, interleaved (default 5)
  --seconds N        measured seconds per round (default 3)      --warmup N   seconds before (default 1)
  --servers a,b      any of net-slices, net-framed, net-framed-cork, iocp, c-epoll (default: all)`;

const { values: options } = parseArgs({
  options: {
    scenario: { type: 'string', multiple: true },
    hold: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '1' },
    servers: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(help);
  process.exit(0);
}

const buildFolder = path.join(root, 'build-bench');
const loadgen = path.join(buildFolder, 'iocp_loadgen');
const servers = {
  'net-slices': [process.execPath, path.join(root, 'bench/servers/net-slices.mjs')],
  'net-framed': [process.execPath, path.join(root, 'bench/servers/net-framed.mjs')],
  'net-framed-cork': [process.execPath, path.join(root, 'bench/servers/net-framed-cork.mjs')],
  iocp: [process.execPath, path.join(root, 'bench/servers/iocp.mjs')],
  'c-epoll': [path.join(buildFolder, 'iocp_c_epoll')],
};
// net-slices answers bytes, not packages: it is shown as the floor, but it does less than was asked.
const peersOnNet = ['net-framed', 'net-framed-cork'];

const chosen = options.servers?.split(',') ?? Object.keys(servers);
const unknown = chosen.filter((name) => !(name in servers));
if (unknown.length > 0) throw new RangeError(`unknown server: ${unknown.join(', ')}\n${help}`);

function parseScenario(text) {
  const match = /^(\d+)x(\d+)x(\d+)$/.exec(text);
  if (match === null) throw new RangeError(`a scenario reads CxKxB, as in 64x16x64, not '${text}'`);
  const [connections, outstanding, payload] = match.slice(1).map(Number);
  return { name: text, connections, hold: false, arguments: { connections, outstanding, payload } };
}

const scenarios = (
  options.scenario ??
  (options.hold === undefined ? ['1x1x64', '64x1x64', '64x16x64', '64x16x4096', '16x4x65536'] : [])
).map(parseScenario);
if (options.hold !== undefined) {
  const connections = Number(options.hold);
  scenarios.push({
    name: `hold ${connections}`,
    connections,
    hold: true,
    arguments: { hold: connections, payload: 64 },
  });
}

function build() {
  needTool('cmake');
  const generator = findTool('ninja') ? ['-G', 'Ninja'] : [];
  read('cmake', ['-S', root, '-B', buildFolder, ...generator, '-DIOCP_BUILD_BENCH=ON']);
  read('cmake', ['--build', buildFolder, '--target', 'iocp_loadgen', 'iocp_c_epoll']);
}

// --- what the system says about a process -------------------------------------------------------

const ticksPerSecond = 100; // USER_HZ, fixed by Linux for /proc

function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function residentMegabytes(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
}

// Prefix for a command that needs more descriptors than this shell may open; needs the right to raise the limit.
function withDescriptors(wanted) {
  const hard = /Max open files\s+\S+\s+(\S+)/.exec(readFileSync('/proc/self/limits', 'utf8'))[1];
  if (hard === 'unlimited' || Number(hard) >= wanted) return [];
  return ['prlimit', `--nofile=${wanted}:${wanted}`];
}

// --- one cell ---------------------------------------------------------------------------------------

function exited(child) {
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
}

async function startServer(name, connections) {
  const [command, ...rest] = [...withDescriptors(connections + 64), ...servers[name]];
  const child = spawn(command, rest, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      IOCP_OPTIONS: JSON.stringify({
        maxConnections: Math.max(10_000, connections + 16),
        ...JSON.parse(process.env.IOCP_OPTIONS ?? '{}'),
      }),
    },
  });
  const gone = exited(child);
  for await (const line of createInterface({ input: child.stdout })) {
    const match = /^listening (\d+)$/.exec(line);
    if (match !== null) return { child, gone, port: Number(match[1]) };
  }
  throw new Error(`${name} ended (${await gone}) before it listened`);
}

async function generate(scenario, server) {
  const args = Object.entries({
    ...scenario.arguments,
    port: server.port,
    seconds: options.seconds,
    warmup: options.warmup,
  }).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const [command, ...rest] = [...withDescriptors(scenario.connections + 64), loadgen, ...args];
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = exited(child);
  let cpuBefore = 0;
  let result;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'measuring') cpuBefore = cpuSeconds(server.child.pid);
    else {
      result = JSON.parse(line);
      result.server_cpu_seconds = cpuSeconds(server.child.pid) - cpuBefore;
      result.server_rss_megabytes = residentMegabytes(server.child.pid);
    }
  }
  const code = await gone;
  if (code !== 0 || result === undefined) throw new Error(`the generator ended with ${code}`);
  if (result.errors > 0) throw new Error(`${result.errors} echoed pieces were wrong`);
  return result;
}

async function cell(name, scenario) {
  const server = await startServer(name, scenario.connections);
  try {
    return await generate(scenario, server);
  } finally {
    server.child.kill('SIGKILL');
    await server.gone;
  }
}

// --- tables -------------------------------------------------------------------------------------------

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function summarise(rounds) {
  const of = (pick) => median(rounds.map(pick));
  return {
    frames_per_second: of((r) => r.frames_per_second),
    megabytes_per_second: of((r) => r.megabytes_per_second),
    p50_us: of((r) => r.p50_us),
    p99_us: of((r) => r.p99_us),
    p999_us: of((r) => r.p999_us),
    cpu_us_per_package: of((r) => (r.server_cpu_seconds * 1e6) / Math.max(1, r.frames)),
    server_rss_megabytes: of((r) => r.server_rss_megabytes),
    generator_cpu: of((r) => r.generator_cpu),
  };
}

function printTable(scenario, summary) {
  const columns = [
    'packages/s',
    'MB/s',
    'p50 us',
    'p99 us',
    'cpu us/pkg',
    'RSS MB',
    'gen. cpu',
    'vs net',
  ];
  const best = peersOnNet
    .filter((name) => name in summary)
    .reduce((top, name) => Math.max(top, summary[name].frames_per_second), 0);
  console.log(`\n${scenario.name}`);
  console.log(['server'.padEnd(16), ...columns.map((c) => c.padStart(11))].join(''));
  for (const [name, s] of Object.entries(summary)) {
    const ratio = best > 0 && !scenario.hold ? `${(s.frames_per_second / best).toFixed(2)}x` : '-';
    const cells = [
      s.frames_per_second.toFixed(0),
      s.megabytes_per_second.toFixed(1),
      s.p50_us.toFixed(0),
      s.p99_us.toFixed(0),
      s.cpu_us_per_package.toFixed(2),
      s.server_rss_megabytes.toFixed(0),
      s.generator_cpu.toFixed(2),
      ratio,
    ];
    console.log([name.padEnd(16), ...cells.map((c) => c.padStart(11))].join(''));
  }
}

async function measure(scenario) {
  const rounds = Object.fromEntries(chosen.map((name) => [name, []]));
  for (let round = 0; round < Number(options.rounds); round += 1) {
    for (const name of chosen) {
      try {
        rounds[name].push(await cell(name, scenario));
      } catch (error) {
        throw new Error(`${name}, ${scenario.name}, round ${round + 1}: ${error.message}`);
      }
    }
  }
  return rounds;
}

build();
const report = {
  date: new Date().toISOString(),
  node: process.version,
  cpus: os.availableParallelism(),
  kernel: os.release(),
  rounds: Number(options.rounds),
  seconds: Number(options.seconds),
  scenarios: {},
};
console.log(
  `${report.cpus} CPUs, Linux ${report.kernel}, Node.js ${report.node}; ` +
    `median of ${report.rounds} rounds of ${report.seconds} s; vs net = packages/s against the best framed net server`,
);
for (const scenario of scenarios) {
  const rounds = await measure(scenario);
  const summary = Object.fromEntries(chosen.map((name) => [name, summarise(rounds[name])]));
  printTable(scenario, summary);
  report.scenarios[scenario.name] = { summary, rounds };
}
const resultsFolder = path.join(root, 'bench/results');
mkdirSync(resultsFolder, { recursive: true });
writeFileSync(path.join(resultsFolder, 'latest.json'), `${JSON.stringify(report, null, 2)}\n`);
console.log('\nwritten: bench/results/latest.json');
