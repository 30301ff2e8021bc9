// What a hundred files on their way cost everybody else: the round trips of a connection that plays ping-pong with the
// server, alone and beside the transfers, and what the server's JavaScript thread does meanwhile.
//   node bench/files-beside.mjs [--transfers 100] [--seconds 4] [--rounds 3] [--workers 2]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

import { findTool, needTool, read, root } from '../scripts/run.mjs';
import { buildFolder } from './scenarios.mjs';

const { values: options } = parseArgs({
  options: {
    transfers: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    workers: { type: 'string', default: '2' },
    mebibytes: { type: 'string', default: '64' },
  },
});

/** Processor seconds, user and system, of a thread or a process: fields 14 and 15 of its stat, in 1/100 s. */
function cpuSeconds(file) {
  const stat = readFileSync(file, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function start(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    async line() {
      const { value, done } = await lines.next();
      if (done) throw new Error('a program ended without a word');
      return value;
    },
  };
}

async function round(file) {
  const script = path.join(root, 'bench/servers/file-beside.mjs');
  const server = start(process.execPath, [script, file, options.workers]);
  const gone = once(server.child, 'exit');
  try {
    const port = (await server.line()).replace('listening ', '');
    const { pid } = server.child;
    const cpu = () => [
      cpuSeconds(`/proc/${pid}/task/${pid}/stat`),
      cpuSeconds(`/proc/${pid}/stat`),
    ];
    const program = path.join(buildFolder, 'iocp_file_beside');
    const peers = start(program, [port, options.transfers, options.seconds]);
    const figures = async () => (await peers.line()).split(' ').map(Number);
    const [idleMedian, idle] = await figures();
    const [busyMedian, busy, rate] = await figures();
    // What the echoes cost it is left out: now there are only the transfers.
    const [threadBefore, allBefore] = cpu();
    const at = performance.now();
    const [, , rateAlone] = await figures();
    const seconds = (performance.now() - at) / 1000;
    const [thread, all] = cpu();
    await once(peers.child, 'exit');
    return {
      idleMedian,
      idle,
      busyMedian,
      busy,
      ratio: busy / idle,
      rate,
      rateAlone,
      thread: (100 * (thread - threadBefore)) / seconds,
      all: (100 * (all - allBefore)) / seconds,
    };
  } finally {
    server.child.kill();
    await gone;
  }
}

function build() {
  needTool('cmake');
  const generator = findTool('ninja') ? ['-G', 'Ninja'] : [];
  read('cmake', ['-S', root, '-B', buildFolder, ...generator, '-DIOCP_BUILD_BENCH=ON']);
  read('cmake', ['--build', buildFolder, '--target', 'iocp_file_beside']);
}

build();
const folder = mkdtempSync(path.join(tmpdir(), 'iocp-bench-'));
const rounds = [];
try {
  const file = path.join(folder, 'file');
  writeFileSync(
    file,
    Buffer.alloc(Number(options.mebibytes) * 2 ** 20, 'the bytes do not matter '),
  );
  for (let count = 0; count < Number(options.rounds); count += 1) rounds.push(await round(file));
} finally {
  rmSync(folder, { recursive: true });
}

const median = (name) => {
  const values = rounds.map((one) => one[name]).sort((one, other) => one - other);
  return values[Math.floor(values.length / 2)];
};
console.log(
  `${options.transfers} transfers, ioWorkers ${options.workers}, medians of ${options.rounds} rounds`,
);
console.log(`ping-pong alone:     p50 ${median('idleMedian')} us, p99 ${median('idle')} us`);
console.log(
  `beside transfers:    p50 ${median('busyMedian')} us, p99 ${median('busy')} us, ` +
    `p99 ${median('ratio').toFixed(2)} x; transfers ${median('rate').toFixed(0)} MB/s`,
);
console.log(
  `transfers alone:     ${median('rateAlone').toFixed(0)} MB/s; ` +
    `JavaScript thread ${median('thread').toFixed(1)} % of a processor, ` +
    `the whole process ${median('all').toFixed(0)} %`,
);
