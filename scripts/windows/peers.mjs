// Peers on the Linux side against a server on Windows' node.exe: netcat, and the load generator of the benchmarks,
// which checks every byte. Thousands of connections, storms of them, and what is left afterwards.
import { spawnSync } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { needTool, read, root } from '../run.mjs';
import { startServer } from './servers.mjs';

const HELD = 2000;
const STORM_CLIENTS = 64;
const STORM_SECONDS = 3;
const SETTLE_MS = 60_000;
// Windows' threads own events that are freed some time after the threads; a leak would cost one per visit, and a storm
// has more visits than this.
const COMING_AND_GOING = 24;
const buildFolder = path.join(root, 'build-bench');
const loadgen = path.join(buildFolder, 'iocp_loadgen');

/** Builds the load generator, for Linux. */
export function buildLoadGenerator() {
  needTool('cmake');
  read('cmake', ['-S', root, '-B', buildFolder, '-G', 'Ninja', '-DIOCP_BUILD_BENCH=ON']);
  read('cmake', ['--build', buildFolder, '--target', 'iocp_loadgen']);
}

/** Runs the load generator against a port; returns its figures, or throws when a byte was wrong. */
export function generate(port, settings) {
  const args = Object.entries({ port, ...settings }).flatMap(([name, value]) => [
    `--${name}`,
    `${value}`,
  ]);
  const result = spawnSync(loadgen, args, {
    encoding: 'utf8',
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  if (result.status !== 0) {
    throw new Error(`the load generator ended with ${result.status}: ${result.stderr}`);
  }
  const figures = JSON.parse(result.stdout.trim().split('\n').pop());
  if (figures.errors > 0) throw new Error(`${figures.errors} echoed pieces were wrong`);
  return figures;
}

/** What fixtures/server.mjs tells about itself. */
export async function about(server) {
  const socket = net.connect(server.aboutPort, '127.0.0.1');
  let text = '';
  for await (const chunk of socket) text += chunk;
  return JSON.parse(text);
}

/** Asks until what the server tells satisfies `condition`, or time is up; returns what it told last. */
async function settled(server, condition) {
  const deadline = Date.now() + SETTLE_MS;
  for (;;) {
    const told = await about(server);
    if (condition(told) || Date.now() > deadline) return told;
    await sleep(50);
  }
}

function frame(text) {
  const bytes = Buffer.from(text);
  const header = Buffer.alloc(4);
  header.writeUInt32LE(bytes.length);
  return Buffer.concat([header, bytes]);
}

/** A connection that has had its first echo; rejects when an echo is not what was sent, or the server ends it. */
async function visit(port, number) {
  const socket = net.connect(port, '127.0.0.1');
  const message = frame(`visitor ${number}`);
  const echo = () =>
    new Promise((resolve, reject) => {
      let missing = message;
      socket.on('error', reject);
      socket.once('close', () => reject(new Error(`visitor ${number} was turned away`)));
      socket.on('data', function listener(chunk) {
        if (!chunk.equals(missing.subarray(0, chunk.length))) {
          reject(new Error(`visitor ${number} got ${chunk}`));
        }
        missing = missing.subarray(chunk.length);
        if (missing.length > 0) return;
        socket.off('data', listener);
        resolve();
      });
      socket.write(message);
    });
  await echo();
  return { socket, echo };
}

const claims = {
  async 'netcat gets back what it sent, and its half-close is answered'(server) {
    const input = Buffer.concat(['from', 'another', 'system', ''].map(frame));
    const result = spawnSync('nc', ['-N', '127.0.0.1', String(server.port)], {
      input,
      timeout: 10_000,
    });
    return {
      holds: result.status === 0 && input.equals(result.stdout),
      told: `exit code ${result.status}`,
    };
  },

  async 'the load generator finds every byte in its place'(server) {
    const { frames_per_second: rate } = generate(server.port, {
      connections: 64,
      outstanding: 16,
      payload: 64,
      warmup: 0,
      seconds: 3,
    });
    return { holds: rate > 0, told: `${Math.round(rate)} packages/s` };
  },

  async [`${HELD} connections at once, each echoed on twice`](server) {
    const visitors = await Promise.all(
      Array.from({ length: HELD }, (_, number) => visit(server.port, number)),
    );
    const during = await settled(server, (it) => it.connectionCount === HELD);
    await Promise.all(visitors.map((visitor) => visitor.echo()));
    visitors.forEach((visitor) => visitor.socket.end());
    const after = await settled(server, (it) => it.connectionCount === 0);
    return {
      holds: during.connectionCount === HELD && after.connectionCount === 0,
      told: `${during.connectionCount} at once, ${after.connectionCount} left`,
    };
  },

  async 'storms of connections leave no context and no handle behind'(server) {
    const storm = (seconds) =>
      generate(server.port, {
        mode: 'churn',
        connections: STORM_CLIENTS,
        payload: 64,
        warmup: 0,
        seconds,
      });
    storm(0.5); // whatever is opened only once, is open now
    const before = await settled(server, (it) => it.connectionCount === 0);
    const { frames_per_second: rate } = storm(STORM_SECONDS);
    const after = await settled(
      server,
      (it) => it.connectionCount === 0 && it.handles <= before.handles + COMING_AND_GOING,
    );
    const visits = after.stats.accepted - before.stats.accepted;
    const holds =
      after.connectionCount === 0 &&
      after.stats.contexts.live === 0 &&
      after.handles <= before.handles + COMING_AND_GOING &&
      visits > 2 * COMING_AND_GOING;
    return {
      holds,
      told: `${visits} visits, ${Math.round(rate)}/s, ${after.connectionCount} connections left, handles ${before.handles} before and ${after.handles} after`,
    };
  },
};

/** Checks every claim against one server; returns how many hold and how many do not. */
export async function peers(major) {
  if (spawnSync('nc', ['-h'], { stdio: 'ignore' }).status !== 0) {
    console.error('missing tool: nc (netcat-openbsd)');
    process.exit(127);
  }
  buildLoadGenerator();
  const counted = { passed: 0, failed: 0 };
  const server = await startServer(major, 'test/windows/fixtures/server.mjs');
  try {
    for (const [claim, check] of Object.entries(claims)) {
      const { holds, told } = await check(server).catch((error) => ({
        holds: false,
        told: error.message,
      }));
      console.log(`${holds ? 'ok  ' : 'FAIL'} peers on Linux: ${claim} (${told})`);
      counted[holds ? 'passed' : 'failed'] += 1;
    }
  } finally {
    await server.stop();
  }
  return counted;
}
