// Our engine beside programs on `net` in the same node.exe under Wine, the same work, in interleaved rounds: prints
// ratios of medians and what a package costs in calls. Gates nothing: under Wine every socket call is a round trip to
// its server process, so the ratio is a hint and the calls are the fact.
import { readdirSync, readFileSync } from 'node:fs';

import { about, buildLoadGenerator, generate } from './peers.mjs';
import { startServer } from './servers.mjs';
import { prefix } from './wine.mjs';

const SCENARIOS = [
  { connections: 64, outstanding: 16, payload: 64 },
  { connections: 64, outstanding: 1, payload: 4096 },
  { connections: 8, outstanding: 4, payload: 65_536 },
];
const OURS = 'iocp';
const SERVERS = {
  'net-slices': 'bench/servers/net-slices.mjs',
  'net-framed': 'bench/servers/net-framed.mjs',
  'net-framed-cork': 'bench/servers/net-framed-cork.mjs',
  [OURS]: 'test/windows/fixtures/server.mjs',
};

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Seconds of processor time of a process, by /proc; USER_HZ is 100 on Linux. */
function processorSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Wine's own server process, which does a part of every socket call; 0 when it does not run. */
function wineServer() {
  const ours = (pid) => {
    try {
      const name = readFileSync(`/proc/${pid}/comm`, 'utf8');
      return (
        name.startsWith('wineserver') &&
        readFileSync(`/proc/${pid}/environ`, 'utf8').includes(prefix)
      );
    } catch {
      return false; // it ended meanwhile
    }
  };
  return Number(readdirSync('/proc').find((name) => /^\d+$/.test(name) && ours(name)) ?? 0);
}

/** Figures are not worth a failure: a server that did not come up is told of, and started once more. */
async function start(major, name) {
  try {
    return await startServer(major, SERVERS[name]);
  } catch (error) {
    console.log(`  ${name} once more: ${error.message}`);
    return startServer(major, SERVERS[name]);
  }
}

/** One server, once: packages per second, processor time per package, and for ours the port's figures. */
async function round(major, name, scenario, times) {
  const server = await start(major, name);
  try {
    const before = name === OURS ? (await about(server)).stats : undefined;
    const processes = [server.pid, wineServer()].filter((pid) => pid > 0);
    const used = () => processes.reduce((sum, pid) => sum + processorSeconds(pid), 0);
    const cpuBefore = used();
    const { frames_per_second: rate } = generate(server.port, { ...scenario, ...times });
    const cpu = used() - cpuBefore;
    const packages = rate * (times.seconds + times.warmup); // the warm-up is in the processor time as well
    const after = name === OURS ? (await about(server)).stats : undefined;
    return { rate, cpuMicroseconds: (cpu / packages) * 1e6, calls: perPackage(before, after) };
  } finally {
    await server.stop();
  }
}

function perPackage(before, after) {
  if (before === undefined) return undefined;
  const packages = after.packagesReceived - before.packagesReceived;
  return Object.fromEntries(
    Object.entries(after.port).map(([name, count]) => [
      name,
      (count - before.port[name]) / packages,
    ]),
  );
}

function print(scenario, results) {
  const { connections, outstanding, payload } = scenario;
  const rates = Object.fromEntries(
    Object.entries(results).map(([name, list]) => [name, median(list.map((it) => it.rate))]),
  );
  const best = Math.max(
    ...Object.keys(rates)
      .filter((name) => name !== OURS)
      .map((name) => rates[name]),
  );
  console.log(`${connections} connections x ${outstanding} under way x ${payload} bytes:`);
  for (const [name, list] of Object.entries(results)) {
    const cpu = median(list.map((it) => it.cpuMicroseconds));
    console.log(
      `  ${name.padEnd(16)} ${Math.round(rates[name]).toString().padStart(7)} packages/s, ` +
        `${(rates[name] / best).toFixed(2)} of the best net, ${cpu.toFixed(1)} us of processor time a package (with Wine's server)`,
    );
  }
  const shown = Object.entries(results[OURS].at(-1).calls).filter(([, count]) => count >= 0.0005);
  console.log(
    `  ${OURS}, per package: ${shown.map(([name, count]) => `${name} ${count.toFixed(3)}`).join(', ')}`,
  );
}

/** Measures and prints every scenario. */
export async function comparison(major, { rounds = 3, seconds = 0.8, warmup = 0.3 } = {}) {
  buildLoadGenerator();
  console.log(
    `beside net, node.exe ${major} under Wine, medians of ${rounds} interleaved rounds of ${seconds} s:`,
  );
  for (const scenario of SCENARIOS) {
    const results = Object.fromEntries(Object.keys(SERVERS).map((name) => [name, []]));
    for (let done = 0; done < rounds; done += 1) {
      for (const [name, list] of Object.entries(results)) {
        list.push(await round(major, name, scenario, { seconds, warmup }));
      }
    }
    print(scenario, results);
  }
  return { passed: 1, failed: 0 }; // it ran, and every byte was in its place
}
