// A few thousand operations of every kind on the real addon, for a run under a sanitizer (scripts/addon-sanitized.mjs):
// echo traffic of mixed sizes, connect storms with abrupt ends, senders that never read, engines that die with their
// worker thread, files (files.mjs). Anything lost or altered throws; memory errors are the sanitizer's to tell.
//   node test/addon/stress.mjs [path of the package's entry]
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

import { fileParts } from './files.mjs';

const entry = isMainThread ? process.argv[2] : workerData.entry;
const { Iocp } = await import(entry === undefined ? 'iocp' : pathToFileURL(path.resolve(entry)));
const limitMs = 180_000;

function payloadOf(connection, number) {
  const size = [0, 1, 7, 100, 1000, 5000, 70_000][(connection + number) % 7];
  return Buffer.alloc(size, (connection * 31 + number) & 0xff);
}

async function echoServer(options) {
  const server = new Iocp(options);
  server.on('package', (client, payload) => client.send(payload));
  const { port } = await server.listen({ host: '127.0.0.1' });
  return { server, port };
}

/** Every package of every connection comes back unchanged and in order. */
async function echoTraffic(options) {
  const connections = 40;
  const each = 50;
  const { server, port } = await echoServer(options);
  const app = new Iocp(options);
  let left = connections * each;
  const finished = new Promise((resolve) => {
    app.on('package', (context, payload) => {
      const { index, received } = context.data;
      assert.deepEqual(payload, payloadOf(index, received));
      context.data.received += 1;
      left -= 1;
      if (left === 0) resolve();
    });
  });
  for (let index = 0; index < connections; index += 1) {
    const context = await app.connect({ port, data: { index, received: 0 } });
    for (let number = 0; number < each; number += 1) context.send(payloadOf(index, number));
  }
  await finished;
  await app.close();
  await server.close();
  assert.equal(server.connectionCount, 0);
  return connections * each;
}

/** Peers that connect and leave at once, half of them by a reset, while others speak. */
async function connectStorm(options) {
  const peers = 400;
  const { server, port } = await echoServer(options);
  let disconnected = 0;
  let connected = 0;
  server.on('connection', (client) => {
    connected += 1;
    if (connected % 3 === 0) client.disconnect();
  });
  server.on('disconnect', () => (disconnected += 1));
  for (let begin = 0; begin < peers; begin += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, i) => hitAndRun(port, begin + i)));
  }
  await server.close();
  assert.equal(disconnected, connected);
  assert.equal(server.connectionCount, 0);
  return peers;
}

function hitAndRun(port, index) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {}); // the server resets some of them
    socket.on('close', resolve);
    socket.on('connect', () => {
      socket.write(Buffer.from([3, 0, 0, 0, 1, 2])); // a package that never completes
      if (index % 2 === 0) socket.resetAndDestroy();
      else socket.end();
    });
    socket.resume();
  });
}

/** A peer that never reads: the queue grows to its cap, then the guard ends the context. */
async function deafPeer(options) {
  const server = new Iocp({ ...options, maxQueuedBytes: 256 * 1024 });
  const { port } = await server.listen({ host: '127.0.0.1' });
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  const [client] = await once(server, 'connection');
  const ended = once(server, 'disconnect');
  let sends = 0;
  const pump = setInterval(() => {
    for (let i = 0; i < 16; i += 1, sends += 1) client.send(Buffer.alloc(60_000));
  }, 1);
  const [, reason] = await ended;
  clearInterval(pump);
  assert.equal(reason.code, 'ERR_IOCP_QUEUE_OVERFLOW');
  socket.destroy();
  await server.close();
  return sends;
}

/** Engines with live connections whose worker thread is terminated, or leaves on its own, without close(). */
async function dyingWorkers(options) {
  const file = fileURLToPath(import.meta.url);
  for (let round = 0; round < 10; round += 1) {
    const worker = new Worker(file, { workerData: { entry, options, leave: round % 2 === 0 } });
    const exited = once(worker, 'exit');
    await once(worker, 'message');
    if (round % 2 === 1) await worker.terminate();
    await exited;
  }
  return 10;
}

async function inWorker() {
  const { server, port } = await echoServer(workerData.options);
  const app = new Iocp(workerData.options);
  app.on('package', (context, payload) => context.send(payload)); // back and forth for ever
  for (let i = 0; i < 10; i += 1) (await app.connect({ port })).send(`round ${i}`);
  await once(server, 'package');
  parentPort.postMessage('busy');
  if (workerData.leave) process.exit(0);
}

async function main() {
  const timer = setTimeout(() => {
    console.error(`still running after ${limitMs} ms`);
    process.exit(1);
  }, limitMs);
  for (const ioWorkers of [0, 2]) {
    for (const part of [echoTraffic, connectStorm, deafPeer, dyingWorkers, ...fileParts(Iocp)]) {
      const operations = await part({ ioWorkers });
      console.log(`ok ${part.name}, ioWorkers ${ioWorkers}: ${operations} operations`);
    }
  }
  clearTimeout(timer);
}

await (isMainThread ? main() : inWorker());
