// Runs the examples against each other and against programs nobody here wrote: nc and socat.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

import processJob from '../examples/jobs-worker.mjs';
import { root } from './run.mjs';

const limitMs = 20_000;

function start(command, args, stderr = 'inherit') {
  const child = spawn(command, args, { cwd: root, stdio: ['pipe', 'pipe', stderr] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exited = once(child, 'exit');
  const killer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  return {
    say: (text) => child.stdin.write(text),
    end: () => child.stdin.end(),
    stop: () => child.kill('SIGTERM'),
    kill: () => child.kill('SIGKILL'),
    async line() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${command} ${args.join(' ')}: ended before it said anything more`);
      return value;
    },
    async exit() {
      const [code, signal] = await exited;
      clearTimeout(killer);
      return signal ?? code;
    },
  };
}

async function startExample(name, ...args) {
  const server = start(process.execPath, [path.join('examples', name), ...args]);
  const port = /:(\d+)$/.exec(await server.line())?.[1];
  assert.ok(port, `${name} prints its port`);
  return { server, port };
}

async function stopExample(server) {
  server.stop();
  assert.equal(await server.exit(), 0);
}

async function echoPair() {
  const { server, port } = await startExample('echo-server.mjs');
  const client = start(process.execPath, ['examples/echo-client.mjs', port, 'hello', 'world']);
  assert.equal(await client.line(), 'echoed hello');
  assert.equal(await client.line(), 'echoed world');
  assert.equal(await client.exit(), 0);
  await stopExample(server);
}

/** Two foreign programs in one chat: each sees its own line as "you: …" and the other's with a number. */
async function chat() {
  const { server, port } = await startExample('lines.mjs');
  const nc = start('nc', ['127.0.0.1', port]);
  const ncNumber = /(\d+)$/.exec(await nc.line())[1];
  const socat = start('socat', ['-', `TCP:127.0.0.1:${port}`]);
  assert.match(await socat.line(), /^welcome, you are number \d+$/);

  nc.say('hello from nc\n');
  assert.equal(await nc.line(), 'you: hello from nc');
  assert.equal(await socat.line(), `${ncNumber}: hello from nc`);

  socat.say('two lines\r\nin one piece\n'); // also a telnet-like line ending
  assert.equal(await socat.line(), 'you: two lines');
  assert.equal(await socat.line(), 'you: in one piece');
  assert.match(await nc.line(), /two lines$/);
  assert.match(await nc.line(), /in one piece$/);

  socat.say('quit\n');
  assert.equal(await socat.line(), 'goodbye');
  assert.equal(await socat.exit(), 0);
  nc.say('quit\n');
  assert.equal(await nc.line(), 'goodbye');
  nc.end();
  assert.equal(await nc.exit(), 0);
  await stopExample(server);
}

/** Hashes and pictures that logical workers computed, checked by themselves and by this process. */
async function passwords() {
  const { server, port } = await startExample('jobs.mjs');
  const nc = start('nc', ['127.0.0.1', port]);
  const ask = async (question) => {
    nc.say(`${question}\n`);
    return nc.line();
  };
  const hash = await ask('hash secret');
  assert.equal(await ask(`verify secret ${hash}`), 'yes');
  assert.equal(await ask(`verify guess ${hash}`), 'no');
  assert.equal(await ask('workers 3'), '3 workers');
  const once = createHash('sha256').update('text').digest();
  assert.equal(await ask('chain 2 text'), createHash('sha256').update(once).digest('hex'));
  const here = { move: (value) => value };
  const size = { width: 300, height: 200 };
  const pixels = processJob({ data: { command: 'draw', ...size } }, here);
  const print = processJob({ data: { command: 'fingerprint', ...size, pixels } }, here);
  assert.match(print, /^(?!0{16})[0-9a-f]{16}$/);
  assert.equal(await ask('image 300 200'), print);
  assert.match(await ask('image 2 2'), /^error: a picture has at least 9 x 8 pixels/);
  assert.match(await ask('dance'), /^error: unknown command "dance"/);
  nc.stop();
  await nc.exit();
  await stopExample(server);
}

/** A file is got whole; and one whose getting was interrupted, with --continue from where it stood. */
async function files() {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'iocp-examples-'));
  const [from, to] = ['from', 'to'].map((name) => path.join(scratch, name));
  for (const folder of [from, to]) mkdirSync(folder);
  try {
    writeFileSync(path.join(from, 'small'), randomBytes(1_000_003));
    writeFileSync(path.join(from, 'large'), randomBytes(300_000_000));
    const { server, port } = await startExample('file-server.mjs', from);
    // The progress bar is not for a log.
    const get = (...args) =>
      start(process.execPath, ['examples/file-get.mjs', port, '--to', to, ...args], 'ignore');
    const got = async (name, ...args) => {
      const client = get(name, ...args);
      assert.equal(await client.line(), '');
      const line = await client.line();
      assert.equal(await client.exit(), 0);
      assert.ok(readFileSync(path.join(to, name)).equals(readFileSync(path.join(from, name))));
      return line;
    };
    assert.match(await got('small'), /small: 1000003 bytes, CRC-32C [0-9a-f]{8}$/);
    const interrupted = get('large');
    const part = path.join(to, 'large.part');
    const partBytes = () => statSync(part, { throwIfNoEntry: false })?.size ?? 0;
    while (partBytes() === 0) await new Promise((resolve) => setImmediate(resolve));
    interrupted.kill();
    assert.equal(await interrupted.exit(), 'SIGKILL');
    const kept = partBytes();
    assert.ok(kept > 0 && kept < 300_000_000);
    assert.ok((await got('large', '--continue')).includes(`, from byte ${kept} on,`));
    assert.match(await got('large'), /large: 300000000 bytes, CRC-32C [0-9a-f]{8}$/);
    const missing = get('nothing');
    assert.equal(await missing.exit(), 1);
    assert.deepEqual(readdirSync(to).sort(), ['large', 'small']);
    await stopExample(server);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

for (const check of [echoPair, chat, passwords, files]) {
  await check();
  console.log(`ok ${check.name}`);
}
