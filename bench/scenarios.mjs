// What is measured, and against whom. A scenario names the work; a driver is a program that does it.
import path from 'node:path';

import { root } from '../scripts/run.mjs';

export const buildFolder = path.join(root, 'build-bench');

const node = (file) => [process.execPath, path.join(root, 'bench/servers', file)];
// Bun's own package puts the program into one package per platform.
const bunPackage = `@oven/bun-${process.platform}-${process.arch === 'arm64' ? 'aarch64' : process.arch}`;
const bunProgram = path.join(root, 'bench/peers/node_modules', bunPackage, 'bin/bun');
const bun = (file) => [bunProgram, path.join(root, 'bench/servers', file)];
const native = (program) => [path.join(buildFolder, program)];

/**
 * Every driver by name. `family` says whom it stands for in a comparison; a driver without one is shown for orientation
 * only. The family 'slices' does less than was asked: it echoes bytes and knows no packages.
 */
export const drivers = {
  'net-slices': { command: node('net-slices.mjs'), family: 'slices' },
  'net-framed': { command: node('net-framed.mjs'), family: 'net' },
  'net-framed-cork': { command: node('net-framed-cork.mjs'), family: 'net' },
  'net-fanout': { command: node('net-fanout.mjs'), family: 'net' },
  'bun-slices': { command: bun('bun-slices.mjs') },
  'bun-listen': { command: bun('bun-listen.mjs'), family: 'bun' },
  'bun-fanout': { command: bun('bun-fanout.mjs'), family: 'bun' },
  'c-epoll': { command: native('iocp_c_epoll'), family: 'c' },
  asio: { command: native('iocp_asio'), family: 'asio' },
  engine: { command: native('iocp_engine'), family: 'engine' },
  iocp: { command: node('iocp.mjs'), family: 'iocp' },
  'iocp-stepped': {
    command: node('iocp.mjs'),
    options: { ioWorkers: 0 },
    family: 'stepped',
  },
  'iocp-workers': { command: node('iocp-workers.mjs') },
  'iocp-fanout': { command: node('iocp-fanout.mjs'), family: 'iocp' },
};

const everybody = [
  'net-slices',
  'net-framed',
  'net-framed-cork',
  'bun-slices',
  'bun-listen',
  'asio',
  'c-epoll',
  'engine',
  'iocp',
];
const framed = everybody.filter((name) => !name.endsWith('-slices'));
const javascript = ['net-framed', 'net-framed-cork', 'bun-listen', 'iocp'];

/** The figure a scenario is judged by: how it is read from a cell's summary, and whether less is better. */
export const figures = {
  packages: { unit: 'packages/s', of: (s) => s.frames_per_second, digits: 0 },
  connections: { unit: 'connections/s', of: (s) => s.frames_per_second, digits: 0 },
  megabytes: { unit: 'MB/s', of: (s) => s.megabytes_per_second, digits: 0 },
  latency: { unit: 'p50 µs', of: (s) => s.p50_us, digits: 1, lessIsBetter: true },
  memory: {
    unit: 'bytes/connection',
    of: (s) => s.bytes_per_connection,
    digits: 0,
    lessIsBetter: true,
  },
};

function echo(connections, outstanding, payload, more = {}) {
  return {
    name: `${connections}x${outstanding}x${payload}`,
    mode: 'echo',
    connections,
    outstanding,
    payload,
    figure: 'packages',
    drivers: everybody,
    ...more,
  };
}

/** A scenario of the command line: connections x outstanding packages x payload bytes. */
export function parseScenario(text) {
  const known = scenarios.find((scenario) => scenario.name === text);
  if (known !== undefined) return known;
  const match = /^(\d+)x(\d+)x(\d+)$/.exec(text);
  if (match === null) {
    const names = scenarios.map((scenario) => scenario.name).join(', ');
    throw new RangeError(
      `a scenario reads CxKxB, as in 64x16x64, or is one of ${names}; not '${text}'`,
    );
  }
  return echo(...match.slice(1).map(Number));
}

/** Many quiet connections: what one costs that had a package, or none ("silent"). */
export function hold(connections, mode = 'hold') {
  return echo(connections, 1, 64, {
    name: `${mode} ${connections}`,
    mode,
    figure: 'memory',
    drivers: framed,
  });
}

/** What `npm run bench` runs. */
export const scenarios = [
  echo(1, 1, 64, { figure: 'latency' }),
  echo(64, 1, 64),
  echo(1000, 1, 64),
  echo(64, 16, 64),
  echo(64, 1, 4096),
  echo(8, 4, 65_536, { figure: 'megabytes' }),
  echo(8, 1, 1_048_576, { figure: 'megabytes' }),
  echo(64, 4, 64, {
    name: 'handler 5us',
    handlerMicroseconds: 5,
    drivers: [...javascript, 'iocp-stepped'],
  }),
  echo(64, 4, 64, {
    name: 'handler 20us',
    handlerMicroseconds: 20,
    drivers: [...javascript, 'iocp-stepped'],
  }),
  echo(64, 1, 64, { name: 'split', mode: 'split', drivers: framed }),
  echo(64, 1, 64, { name: 'churn', mode: 'churn', figure: 'connections', drivers: framed }),
  echo(1000, 4, 64, {
    name: 'fanout',
    mode: 'fanout',
    drivers: ['net-fanout', 'bun-fanout', 'iocp-fanout'],
  }),
  hold(15_000),
  hold(15_000, 'silent'),
];
