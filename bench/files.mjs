// One file over loopback to a plain peer that reads and throws away: ours beside sendfile() in C and beside a piped
// read stream. Every cell is a fresh process, rounds are interleaved, figures are medians.
//   npm run bench:files -- [--rounds 5] [--mebibytes 1000]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

import { findTool, needTool, read, root } from '../scripts/run.mjs';
import { buildFolder } from './scenarios.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    mebibytes: { type: 'string', default: '1000' },
  },
});
const size = Number(options.mebibytes) * 2 ** 20;
const servers = path.join(root, 'bench/servers');
const node = (name) => [process.execPath, path.join(servers, name)];
const drivers = {
  iocp: { command: node('file-iocp.mjs'), after: [], protocol: 'classic' },
  'C sendfile': {
    command: [path.join(buildFolder, 'iocp_file_sendfile')],
    after: [],
    protocol: 'raw',
  },
  'read stream': { command: node('file-stream.mjs'), after: [], protocol: 'raw' },
  'stream, 1 MiB': {
    command: node('file-stream.mjs'),
    after: [String(2 ** 20)],
    protocol: 'raw',
  },
};

function makeFile(file) {
  const descriptor = openSync(file, 'w');
  const piece = Buffer.alloc(2 ** 20, 'the bytes do not matter ');
  for (let written = 0; written < size; written += piece.length) writeSync(descriptor, piece);
  closeSync(descriptor);
}

/** Processor seconds, user and system, of all threads of a process: fields 14 and 15 of its stat, in 1/100 s. */
function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function firstLine(child) {
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error('a program ended without a word');
}

const start = ([command, ...rest]) =>
  spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });

/** One transfer: megabytes a second, and what it cost the server's processor. */
async function cell({ command, after, protocol }, file) {
  const server = start([...command, file, ...after]);
  const gone = once(server, 'exit');
  try {
    const port = (await firstLine(server)).replace('listening ', '');
    const before = cpuSeconds(server.pid);
    const reader = start([path.join(buildFolder, 'iocp_file_peer'), port, String(size), protocol]);
    const ended = once(reader, 'exit');
    const seconds = Number(await firstLine(reader));
    const [code] = await ended;
    if (code !== 0 || !(seconds > 0)) throw new Error(`the reader ended with ${code}`);
    return { rate: size / 1e6 / seconds, cpu: cpuSeconds(server.pid) - before };
  } finally {
    server.kill();
    await gone;
  }
}

function build() {
  needTool('cmake');
  const generator = findTool('ninja') ? ['-G', 'Ninja'] : [];
  read('cmake', ['-S', root, '-B', buildFolder, ...generator, '-DIOCP_BUILD_BENCH=ON']);
  const targets = ['iocp_file_peer', 'iocp_file_sendfile'];
  read('cmake', ['--build', buildFolder, '--target', ...targets]);
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

build();
const folder = mkdtempSync(path.join(tmpdir(), 'iocp-bench-'));
const figures = Object.fromEntries(Object.keys(drivers).map((name) => [name, []]));
try {
  const file = path.join(folder, 'file');
  makeFile(file);
  for (let round = 0; round < Number(options.rounds); round += 1) {
    for (const [name, driver] of Object.entries(drivers)) {
      figures[name].push(await cell(driver, file));
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}

console.log(`${options.mebibytes} MiB, ${options.rounds} interleaved rounds`);
console.log('                   MB/s    CPU s   MB/s of ours / its   CPU of ours / its');
const of = (name, figure) => median(figures[name].map((one) => one[figure]));
for (const name of Object.keys(drivers)) {
  const [rate, cpu] = [of(name, 'rate'), of(name, 'cpu')];
  const ratios = [of('iocp', 'rate') / rate, of('iocp', 'cpu') / cpu];
  const [rateRatio, cpuRatio] = ratios.map((ratio) => `${ratio.toFixed(2)} x`);
  const cells = [rate.toFixed(0).padStart(7), cpu.toFixed(2).padStart(8)];
  console.log(
    `${name.padEnd(15)} ${cells.join(' ')} ${rateRatio.padStart(20)} ${cpuRatio.padStart(19)}`,
  );
}
