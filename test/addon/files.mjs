// File transfers for the sanitizers' run of the addon (stress.mjs): many at once, by both protocols and in both
// directions, some given up half-way and some cut off with their connection. It must never leave a file under its final
// name that is not whole, nor a directory behind.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const SIZES = [0, 1, 70_000, 1_500_000];
const PEERS = 6;
const BIG = 24 * 1024 * 1024;

function bytesOf(size, seed) {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1) bytes[at] = (at * 7 + (at >> 8) + seed) & 0xff;
  return bytes;
}

/** Two engines, a folder for each to receive into and one to send from; all of it is gone afterwards. */
async function withEngines(Iocp, options, fileTransfer, use) {
  const root = mkdtempSync(path.join(os.tmpdir(), 'iocp-stress-'));
  const folders = {};
  for (const name of ['from', 'server', 'client']) {
    folders[name] = path.join(root, name);
    mkdirSync(folders[name]);
  }
  const engine = (directory) =>
    new Iocp({
      ...options,
      fileTransfer: { ...fileTransfer, directory, autoAccept: true, maxConcurrentFiles: 64 },
    });
  const server = engine(folders.server);
  const client = engine(folders.client);
  try {
    const { port } = await server.listen({ host: '127.0.0.1' });
    return await use({ server, client, port, folders });
  } finally {
    await client.close();
    await server.close();
    rmSync(root, { recursive: true, force: true });
  }
}

async function connectPair(server, client, port) {
  const connected = once(server, 'connection');
  const outgoing = await client.connect({ port });
  const [incoming] = await connected;
  return [outgoing, incoming];
}

/** Every size on every connection both ways at once. */
async function transfers(Iocp, options, protocol) {
  return withEngines(Iocp, options, { protocol }, async ({ server, client, port, folders }) => {
    const names = SIZES.map((size, index) => {
      const name = `${index}`;
      writeFileSync(path.join(folders.from, name), bytesOf(size, index));
      return name;
    });
    const expected = PEERS * SIZES.length;
    let left = expected * 4; // both ends of both directions
    const everyEnd = new Promise((resolve) => {
      for (const engine of [server, client]) {
        engine.on('fileCompleted', () => {
          left -= 1;
          if (left === 0) resolve();
        });
      }
    });
    const running = [];
    for (let peer = 0; peer < PEERS; peer += 1) {
      for (const context of await connectPair(server, client, port)) {
        for (const name of names) {
          const source = path.join(folders.from, name);
          running.push(context.sendFile(source, { name: `${peer}-${name}` }));
        }
      }
    }
    await Promise.all(running);
    await everyEnd;
    for (const folder of [folders.server, folders.client]) {
      assert.equal(readdirSync(folder).length, expected);
      for (const file of readdirSync(folder)) {
        const index = Number(file.split('-')[1]);
        assert.deepEqual(readFileSync(path.join(folder, file)), bytesOf(SIZES[index], index));
      }
    }
    return expected * 2;
  });
}

async function turns(count) {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Transfers that end early, at another moment each: the sender gives up, or the connection goes. */
async function interruptions(Iocp, options) {
  const rounds = 12;
  return withEngines(
    Iocp,
    options,
    { resume: false },
    async ({ server, client, port, folders }) => {
      const source = path.join(folders.from, 'big');
      writeFileSync(source, bytesOf(BIG, 3));
      for (let round = 0; round < rounds; round += 1) {
        const [outgoing] = await connectPair(server, client, port);
        const stop = new AbortController();
        const sent = outgoing.sendFile(source, { name: `big-${round}`, signal: stop.signal });
        await turns(1 << round); // from the offer's first steps to well into the bytes
        if (round % 2 === 0) stop.abort();
        else outgoing.disconnect();
        await sent.catch((error) =>
          assert.match(error.code, /ABORT_ERR|ERR_IOCP_GONE|FILE_ABORTED/),
        );
      }
      for (const file of readdirSync(folders.server)) {
        if (/^big-\d+$/.test(file)) {
          assert.equal(readFileSync(path.join(folders.server, file)).length, BIG);
        }
      }
      return rounds;
    },
  );
}

export const fileParts = (Iocp) => [
  async function extendedFiles(options) {
    return transfers(Iocp, options, 'extended');
  },
  async function classicFiles(options) {
    return transfers(Iocp, options, 'classic');
  },
  async function interruptedFiles(options) {
    return interruptions(Iocp, options);
  },
];
