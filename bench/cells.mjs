// One cell of the table: a fresh server process, a fresh generator process, and what the system says about the server.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { findTool, needTool, read, root } from '../scripts/run.mjs';
import { buildFolder, drivers } from './scenarios.mjs';

const loadgen = path.join(buildFolder, 'iocp_loadgen');

/** Builds the generator and the C++ peers, and installs Bun when one of `names` needs it. */
export function prepare(names) {
  needTool('cmake');
  const generator = findTool('ninja') ? ['-G', 'Ninja'] : [];
  read('cmake', ['-S', root, '-B', buildFolder, ...generator, '-DIOCP_BUILD_BENCH=ON']);
  read('cmake', [
    '--build',
    buildFolder,
    '--target',
    'iocp_loadgen',
    'iocp_c_epoll',
    'iocp_engine',
  ]);
  if (names.includes('asio')) {
    try {
      read('cmake', ['--build', buildFolder, '--target', 'iocp_asio']);
    } catch (error) {
      throw new Error('the peer on Asio needs its headers (Debian: libasio-dev)', { cause: error });
    }
  }
  if (
    names.some((name) => name.startsWith('bun-')) &&
    !existsSync(drivers['bun-listen'].command[0])
  ) {
    console.log('installing Bun into bench/peers/node_modules …');
    read('npm', [
      'ci',
      '--ignore-scripts',
      '--prefix',
      path.join(root, 'bench/peers'),
      '--no-audit',
      '--no-fund',
    ]);
  }
}

// --- what the system says about a process -------------------------------------------------------

const ticksPerSecond = 100; // USER_HZ, fixed by Linux for /proc

// Of the whole process, or of the thread that it began with.
function cpuSeconds(pid, file = 'stat') {
  const stat = readFileSync(`/proc/${pid}/${file}`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function residentBytes(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024;
}

// Prefix for a command that needs more descriptors than this shell may open; needs the right to raise the limit.
function withDescriptors(wanted) {
  const hard = /Max open files\s+\S+\s+(\S+)/.exec(readFileSync('/proc/self/limits', 'utf8'))[1];
  if (hard === 'unlimited' || Number(hard) >= wanted) return [];
  return ['prlimit', `--nofile=${wanted}:${wanted}`];
}

// --- the two processes -------------------------------------------------------------------------------

function exited(child) {
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
}

async function startServer(name, scenario) {
  const driver = drivers[name];
  const { connections, handlerMicroseconds = 0 } = scenario;
  const options = {
    maxConnections: Math.max(10_000, connections + 16),
    ...driver.options,
    ...JSON.parse(process.env.IOCP_OPTIONS ?? '{}'),
  };
  const [command, ...rest] = [...withDescriptors(connections + 64), ...driver.command];
  const child = spawn(command, rest, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      IOCP_OPTIONS: JSON.stringify(options),
      BENCH_HANDLER_US: String(handlerMicroseconds),
    },
  });
  const gone = exited(child);
  for await (const line of createInterface({ input: child.stdout })) {
    const match = /^listening (\d+)$/.exec(line);
    if (match !== null) {
      return { child, gone, port: Number(match[1]), residentAtStart: residentBytes(child.pid) };
    }
  }
  throw new Error(`${name} ended (${await gone}) before it listened`);
}

function generatorArguments(scenario, server, { seconds, warmup }) {
  const { mode, connections, outstanding, payload } = scenario;
  const named = { port: server.port, mode, connections, outstanding, payload, seconds, warmup };
  return Object.entries(named).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

async function generate(scenario, server, times) {
  const args = generatorArguments(scenario, server, times);
  const [command, ...rest] = [...withDescriptors(scenario.connections + 64), loadgen, ...args];
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = exited(child);
  const { pid } = server.child;
  const cpu = () => [cpuSeconds(pid), cpuSeconds(pid, `task/${pid}/stat`)];
  let cpuBefore = [0, 0];
  let result;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'measuring') cpuBefore = cpu();
    else {
      result = JSON.parse(line);
      const [all, mainThread] = cpu().map((seconds, index) => seconds - cpuBefore[index]);
      result.server_cpu_seconds = all;
      result.main_thread_cpu_seconds = mainThread;
      result.server_rss_bytes = residentBytes(server.child.pid);
      result.server_rss_at_start_bytes = server.residentAtStart;
    }
  }
  const code = await gone;
  if (code !== 0 || result === undefined) throw new Error(`the generator ended with ${code}`);
  if (result.frames === 0) throw new Error('no package came back');
  if (result.errors > 0) throw new Error(`${result.errors} echoed pieces were wrong`);
  return result;
}

/** Runs one driver through one scenario once. Rejects when a byte was wrong or a process failed. */
export async function cell(name, scenario, times) {
  const server = await startServer(name, scenario);
  try {
    return await generate(scenario, server, times);
  } finally {
    server.child.kill('SIGKILL');
    await server.gone;
  }
}
