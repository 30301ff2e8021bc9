// `npm run demo`: an echo server here, its clients in a process of their own, every byte checked, live figures; then a
// file there and back, compared by digest. Ends with 0 only when everything came back unchanged and in order.
import { fork } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { Screen, bytes, count, flatten, grid, milliseconds } from './demo/screen.mjs';
import { mustRun, root } from './run.mjs';

const help = `npm run demo -- [options]
  --seconds N       how long the load runs (default 8)
  --connections N   connections of the client process (default 200)
  --outstanding N   packages under way per connection (default 4)
  --seed N          seed of sizes and bytes (default 1)
  --serve [PORT]    no load: stay, echo for whoever connects, show the live connections; Ctrl-C closes gracefully
  --help`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '8' },
    connections: { type: 'string', default: '200' },
    outstanding: { type: 'string', default: '4' },
    seed: { type: 'string', default: '1' },
    serve: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(help);
  process.exit(0);
}

function wholeNumber(name, text, least, most) {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  console.error(
    `${name} must be a whole number from ${least} to ${most}, not '${text}'\n\n${help}`,
  );
  process.exit(2);
}

const seconds = wholeNumber('--seconds', options.seconds, 1, 86_400);
const connections = wholeNumber('--connections', options.connections, 1, 20_000);
const outstanding = wholeNumber('--outstanding', options.outstanding, 1, 64);
const seed = wholeNumber('--seed', options.seed, 0, 2 ** 32 - 1);
const servePort = wholeNumber('PORT', positionals[0] ?? '0', 0, 65_535);

for (const built of ['dist/index.mjs', 'build/Release/iocp.node']) {
  if (existsSync(path.join(root, built)) || existsSync(path.join(root, 'prebuilds'))) continue;
  console.log(`${built} is missing: building first`);
  mustRun('npm', ['run', '--silent', 'build']);
}
const { Iocp } = await import('iocp');

const screen = new Screen();
const echoed = { packages: 0, bytes: 0 };

async function startServer() {
  const server = new Iocp({ maxConnections: 20_000 });
  server.on('package', (client, payload) => {
    echoed.packages += 1;
    echoed.bytes += payload.length;
    if (!client.send(payload)) client.pause();
  });
  server.on('drain', (client) => client.resume());
  const { port } = await server.listen({ port: options.serve ? servePort : 0, host: '127.0.0.1' });
  return { server, port };
}

/** Turns running totals into figures per second. */
function meter() {
  let last = { at: performance.now(), packages: 0, bytes: 0 };
  return ({ packages, bytes: byteCount }) => {
    const at = performance.now();
    const elapsed = Math.max(at - last.at, 1) / 1000;
    const rates = {
      packages: (packages - last.packages) / elapsed,
      bytes: (byteCount - last.bytes) / elapsed,
    };
    last = { at, packages, bytes: byteCount };
    return rates;
  };
}

const engineRows = (server) => ['engine (stats())', ...grid(flatten(server.stats()))];

function printReport(report) {
  screen.print(
    `server closed: ${report.contexts} contexts ended by it, ${report.drained} drained, ` +
      `${report.reset} reset, ${milliseconds(report.durationMs)}`,
  );
}

// --- the load -----------------------------------------------------------------------------------

function startClients(port) {
  const settings = { port, host: '127.0.0.1', connections, outstanding, seed };
  const child = fork(path.join(root, 'scripts/demo/load.mjs'), [JSON.stringify(settings)]);
  const finished = new Promise((resolve, reject) => {
    let done;
    child.on('message', (message) => {
      if (message.type === 'done') done = message;
      if (message.type === 'failed') reject(new Error(message.message));
    });
    child.on('exit', (code, signal) => {
      if (done !== undefined && code === 0) resolve(done);
      else reject(new Error(`the client process ended with ${signal ?? code}`));
    });
  });
  return { child, finished };
}

function showProgress(server, child) {
  const rate = meter();
  const startedAt = performance.now();
  let lineAt = 0;
  child.on('message', (message) => {
    if (message.type !== 'progress') return;
    const now = performance.now();
    if (!screen.live && now - lineAt < 1000) return;
    lineAt = now;
    const perSecond = rate(message);
    const elapsed = ((now - startedAt) / 1000).toFixed(0);
    const figures = [
      ['connections', count(message.connections)],
      ['packages/s', count(perSecond.packages)],
      ['MB/s each way', (perSecond.bytes / 1e6).toFixed(1)],
      ['round trip', `p50 ${milliseconds(message.p50)}, p99 ${milliseconds(message.p99)}`],
      ['checked', `${count(message.packages)} packages, ${bytes(message.bytes)}`],
    ];
    screen.draw(
      [
        `  ${elapsed} of ${seconds} s`,
        ...figures.map(([name, value]) => `  ${name.padEnd(14)} ${value}`),
        '',
        ...engineRows(server),
      ],
      `${elapsed.padStart(4)} s | ${figures.map(([name, value]) => `${name} ${value}`).join(' | ')}`,
    );
  });
}

async function runLoad() {
  const { server, port } = await startServer();
  screen.print(
    `echo server on 127.0.0.1:${port}; client process: ${connections} connections, ` +
      `${outstanding} packages under way on each, 0 B to 1 MiB, seed ${seed}, ${seconds} s`,
  );
  const { child, finished } = startClients(port);
  server.on('error', (error) => {
    console.error(error);
    process.exitCode = 1;
  });
  showProgress(server, child);
  const stop = setTimeout(() => child.send('stop'), seconds * 1000);
  // Whatever hangs, the demo does not.
  const giveUp = setTimeout(() => child.kill('SIGKILL'), seconds * 1000 + 30_000);
  try {
    const result = await finished;
    screen.print('', ...engineRows(server), '');
    printReport(await server.close());
    if (result.packages !== echoed.packages || result.bytes !== echoed.bytes) {
      throw new Error(`the server saw ${echoed.packages} packages, the clients ${result.packages}`);
    }
    if (result.connections !== connections) {
      throw new Error(`only ${result.connections} of ${connections} connections were made`);
    }
    console.log(
      `ok: ${count(result.connections)} connections, ${count(result.packages)} packages, ` +
        `${bytes(result.bytes)} each way, every byte checked; ` +
        `${count(result.packages / seconds)} packages/s, ` +
        `round trip p50 ${milliseconds(result.p50)}, p99 ${milliseconds(result.p99)}`,
    );
  } finally {
    clearTimeout(stop);
    clearTimeout(giveUp);
    if (child.exitCode === null) child.kill('SIGKILL');
  }
}

// --- a file ---------------------------------------------------------------------------------------

const fileBytes = 64 * 2 ** 20;

/** What comes in goes back, from where it was written. */
async function startFileServer(directory) {
  const server = new Iocp({ fileTransfer: { directory, autoAccept: true } });
  server.on('fileCompleted', (client, { direction, path: file }) => {
    // A rejection is told by `fileFailed` as well.
    if (direction === 'receive') client.sendFile(file, { name: 'back' }).catch(() => {});
  });
  server.on('fileFailed', (_client, error) => console.error(error.message));
  const { port } = await server.listen({ host: '127.0.0.1' });
  return { server, port };
}

async function runFiles() {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'iocp-demo-'));
  const [here, there] = ['server', 'client'].map((name) => path.join(scratch, name));
  for (const folder of [here, there]) mkdirSync(folder);
  try {
    const { server, port } = await startFileServer(here);
    const settings = { port, host: '127.0.0.1', directory: there, size: fileBytes };
    const program = path.join(root, 'scripts/demo/files.mjs');
    const child = fork(program, [JSON.stringify(settings)], { timeout: 30_000 });
    const result = await new Promise((resolve, reject) => {
      child.on('message', resolve);
      child.on('exit', (code, signal) =>
        reject(new Error(`the file client ended with ${signal ?? code}`)),
      );
    });
    child.disconnect();
    await server.close();
    const speed = (ms) => `${count(fileBytes / 1e3 / ms)} MB/s`;
    console.log(
      `ok: a file of ${bytes(fileBytes)} there (${speed(result.outMs)}) and back ` +
        `(${speed(result.backMs)}), SHA-256 ${result.digest.slice(0, 16)}… both times`,
    );
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

// --- staying ---------------------------------------------------------------------------------------

function connectionRows(server) {
  const busiest = [...server.contexts()]
    .sort((a, b) => b.packagesReceived - a.packagesReceived)
    .slice(0, 10);
  return [
    `${'id'.padStart(8)}  ${'peer'.padEnd(28)} ${'packages in'.padStart(12)} ${'in'.padStart(12)} ${'out'.padStart(12)} ${'queued'.padStart(10)}`,
    ...busiest.map(
      (c) =>
        `${String(c.id).padStart(8)}  ${`${c.remoteAddress}:${c.remotePort}`.padEnd(28)} ` +
        `${count(c.packagesReceived).padStart(12)} ${bytes(c.bytesReceived).padStart(12)} ` +
        `${bytes(c.bytesSent).padStart(12)} ${bytes(c.queuedBytes).padStart(10)}`,
    ),
  ];
}

async function serve() {
  const { server, port } = await startServer();
  screen.print(
    `echo server on 127.0.0.1:${port} (4-byte little-endian length, then the payload); Ctrl-C closes`,
    `try: node examples/echo-client.mjs ${port} hello world`,
  );
  const rate = meter();
  let lastLine = '';
  const ticker = setInterval(() => {
    const perSecond = rate(echoed);
    const line =
      `connections ${count(server.connectionCount)} | ${count(perSecond.packages)} packages/s | ` +
      `${(perSecond.bytes / 1e6).toFixed(1)} MB/s each way | ${count(echoed.packages)} packages so far`;
    if (screen.live || line !== lastLine) {
      screen.draw(['', line, '', ...connectionRows(server), '', ...engineRows(server)], line);
    }
    lastLine = line;
  }, 500);
  await new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  clearInterval(ticker);
  printReport(await server.close());
}

try {
  if (options.serve) {
    await serve();
  } else {
    await runLoad();
    await runFiles();
  }
} catch (error) {
  console.error(`demo failed: ${error.message}`);
  process.exit(1);
}
