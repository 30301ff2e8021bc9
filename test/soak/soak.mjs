// The long promises, with figures: `npm run soak -- [scenario…] [--seconds N] [--storms N]`. Each scenario runs the server
// in this process and plain `net` peers in a child process, prints what it saw, and fails when a promise is broken.
//   many       10,000 connections at once, each echoing packages of mixed sizes, every byte compared
//   storms     200 storms of 500 peers that connect and vanish: no context, no descriptor, no memory stays
//   keep       a listener keeps every payload; none changes
//   flood      a slow listener and a fast peer: memory stays bounded, nothing is lost
//   broadcast  sendToAll to 1,000 peers, one of which does not read
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { Iocp } from 'iocp';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    storms: { type: 'string', default: '200' },
    connections: { type: 'string', default: '10000' },
    'io-workers': { type: 'string', default: 'auto' },
  },
});
const ioWorkers = options['io-workers'] === 'auto' ? 'auto' : Number(options['io-workers']);

const megabytes = (bytes) => Math.round(bytes / 1024 / 1024);
const descriptors = () => readdirSync('/proc/self/fd').length;

function check(condition, what) {
  if (!condition) throw new Error(`broken: ${what}`);
}

class Peers {
  #child = fork(new URL('./peers.mjs', import.meta.url));

  async ask(order, details = {}) {
    this.#child.send({ order, ...details });
    const [answer] = await new Promise((resolve, reject) => {
      this.#child.once('message', (message) => resolve([message]));
      this.#child.once('exit', (code) => reject(new Error(`the peers ended with ${code}`)));
    });
    this.#child.removeAllListeners('exit');
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.result;
  }

  end() {
    this.#child.kill();
  }
}

async function untilQuiet(server) {
  while (server.connectionCount > 0) await delay(5);
}

async function serve(settings, listener) {
  const server = new Iocp({ ioWorkers, maxConnections: 20_000, ...settings });
  server.on('package', listener);
  const { port } = await server.listen({ host: '127.0.0.1', backlog: 4096 });
  return { server, port };
}

const echo = (client, payload) => client.send(payload);

const scenarios = {
  async many(peers) {
    const count = Number(options.connections);
    const { server, port } = await serve({}, echo);
    const before = process.memoryUsage.rss();
    await peers.ask('connect', { port, count });
    while (server.connectionCount < count) await delay(5);
    const idle = process.memoryUsage.rss();
    const right = await peers.ask('echo', {
      sizes: [0, 1, 64, 1000, 4096, 20_000, 64, 64, 300_000],
    });
    check(right === count, `${right} of ${count} echoes were right`);
    console.log(
      `  ${count} connections, ${right} echoes right; ${Math.round((idle - before) / count)} bytes per idle connection`,
    );
    await peers.ask('disconnect');
    await untilQuiet(server);
    await server.close();
  },

  async storms(peers) {
    const storms = Number(options.storms);
    const { server, port } = await serve({}, echo);
    const warmUp = Math.max(1, Math.floor(storms / 4));
    let open = 0;
    let memory = 0;
    for (let storm = 1; storm <= storms; storm++) {
      await peers.ask('storm', { port, count: 500 });
      await untilQuiet(server);
      if (storm !== warmUp) continue;
      globalThis.gc?.();
      open = descriptors();
      memory = process.memoryUsage.rss();
    }
    globalThis.gc?.();
    const grown = process.memoryUsage.rss() - memory;
    check(server.connectionCount === 0, `connectionCount is ${server.connectionCount}`);
    check(descriptors() <= open, `descriptors went from ${open} to ${descriptors()}`);
    check(grown < 24 * 1024 * 1024, `memory grew by ${megabytes(grown)} MB`);
    const { accepted } = server.stats();
    console.log(
      `  ${storms} storms, ${accepted} connections; descriptors ${open} -> ${descriptors()}, memory ${megabytes(grown)} MB more`,
    );
    await server.close();
  },

  async keep(peers) {
    const kept = [];
    const digest = (payload) => createHash('sha1').update(payload).digest('latin1');
    const { server, port } = await serve({}, (_client, payload) =>
      kept.push([payload, digest(payload)]),
    );
    const until = Date.now() + Number(options.seconds) * 1000;
    let rounds = 0;
    while (Date.now() < until) {
      // Bursts, so that a minute's worth of payloads fits in memory.
      await peers.ask('flood', { port, packages: 2_000, size: rounds % 2 === 0 ? 100 : 20_000 });
      if (kept.length > 60_000) break;
      rounds++;
      await delay(200);
    }
    await delay(Math.max(0, until - Date.now()));
    await untilQuiet(server);
    const changed = kept.filter(([payload, before]) => digest(payload) !== before).length;
    check(kept.length > 0 && changed === 0, `${changed} of ${kept.length} payloads changed`);
    console.log(
      `  ${kept.length} payloads kept for up to ${options.seconds} s, ${changed} changed`,
    );
    await server.close();
  },

  async flood(peers) {
    const packages = 40_000;
    const size = 8_000;
    let next = 0;
    let peak = 0;
    const { server, port } = await serve({}, (_client, payload) => {
      check(payload.readUInt32LE() === next, `package ${next} is missing`);
      next++;
      const begin = process.hrtime.bigint();
      while (process.hrtime.bigint() - begin < 50_000n); // 50 microseconds of work
      if (next % 1000 === 0) peak = Math.max(peak, process.memoryUsage.rss());
    });
    const before = process.memoryUsage.rss();
    await peers.ask('flood', { port, packages, size });
    await untilQuiet(server);
    check(next === packages, `${next} of ${packages} packages arrived`);
    check(peak - before < 200 * 1024 * 1024, `memory grew by ${megabytes(peak - before)} MB`);
    console.log(
      `  ${next} packages of ${size} bytes (${megabytes(packages * size)} MB) in order; memory at most ${megabytes(peak - before)} MB more`,
    );
    await server.close();
  },

  async broadcast(peers) {
    const count = 1_000;
    const { server, port } = await serve({ maxQueuedBytes: 1024 * 1024 }, echo);
    let reason;
    server.on('disconnect', (_client, why) => (reason ??= why));
    await peers.ask('connect', { port, count });
    while (server.connectionCount < count) await delay(5);
    await peers.ask('deaf', { count: 1 });
    await peers.ask('listen');
    const payload = Buffer.alloc(4_096, 7);
    const encodedBefore = server.stats().packagesSent;
    let rounds = 0;
    let longest = 0;
    for (; reason === undefined && rounds < 5_000; rounds++) {
      const begin = performance.now();
      server.sendToAll(payload);
      await turn();
      longest = Math.max(longest, performance.now() - begin);
      // What the others have queued must be read before the next: only the deaf one falls behind.
      while ([...server.contexts()].filter((one) => one.queuedBytes > 512 * 1024).length > 1) {
        await turn();
      }
    }
    check(reason?.code === 'ERR_IOCP_QUEUE_OVERFLOW', `the deaf peer ended with ${reason?.code}`);
    check(
      server.connectionCount === count - 1,
      `${server.connectionCount} of ${count - 1} others are left`,
    );
    await delay(500);
    const seen = await peers.ask('seen');
    const expected = rounds * (payload.length + 4);
    const short = seen.slice(1).filter((bytes) => bytes !== expected).length;
    check(short === 0, `${short} peers did not get everything`);
    console.log(
      `  ${rounds} rounds to ${count} peers, ${server.stats().packagesSent - encodedBefore} packages queued; the deaf peer: ${reason.code}, the others got all; longest round ${longest.toFixed(1)} ms`,
    );
    await peers.ask('disconnect');
    await untilQuiet(server);
    await server.close();
  },
};

const chosen = positionals.length > 0 ? positionals : Object.keys(scenarios);
let failed = 0;
for (const name of chosen) {
  if (!(name in scenarios)) {
    throw new RangeError(`no scenario '${name}'; there are ${Object.keys(scenarios).join(', ')}`);
  }
  const peers = new Peers();
  const begin = Date.now();
  try {
    console.log(`${name}`);
    await scenarios[name](peers);
    console.log(`  ok, ${((Date.now() - begin) / 1000).toFixed(1)} s`);
  } catch (error) {
    failed++;
    console.log(`  FAILED: ${error.message}`);
  } finally {
    peers.end();
  }
}
console.log(`${chosen.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
