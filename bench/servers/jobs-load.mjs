// The load of the job comparison, the same for every pool: `add` queues one job and promises its result.
const [, , what, , seconds, queued] = process.argv;
const payload = Buffer.alloc(64, 'x');
const IN_FLIGHT = 64;
const WARMUP_MS = 500;

async function latency(add) {
  const times = [];
  const begin = performance.now();
  const end = begin + WARMUP_MS + Number(seconds) * 1000;
  for (let now = begin; now < end; now = performance.now()) {
    await add(payload);
    if (now > begin + WARMUP_MS) times.push((performance.now() - now) * 1000);
  }
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.floor(times.length * share)];
  return { p50: at(0.5), p99: at(0.99) };
}

async function throughput(add) {
  let done = 0;
  let stop = false;
  const one = async () => {
    while (!stop) {
      await add(payload);
      done++;
    }
  };
  const all = Array.from({ length: IN_FLIGHT }, one);
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  await wait(WARMUP_MS);
  const before = { done, cpu: process.cpuUsage(), at: performance.now() };
  await wait(Number(seconds) * 1000);
  const jobs = done - before.done;
  const { user, system } = process.cpuUsage(before.cpu);
  const elapsed = (performance.now() - before.at) / 1000;
  stop = true;
  await Promise.all(all);
  return { jobsPerSecond: jobs / elapsed, cpuUs: (user + system) / jobs };
}

async function manyQueued(add, start) {
  const count = Number(queued);
  globalThis.gc();
  const before = process.memoryUsage().rss;
  const all = new Array(count);
  for (let index = 0; index < count; index++) all[index] = add(payload);
  globalThis.gc();
  const bytesPerJob = (process.memoryUsage().rss - before) / count;
  const begin = performance.now();
  await start();
  await Promise.all(all);
  const jobsPerSecond = (count / (performance.now() - begin)) * 1000;
  all.length = 0;
  globalThis.gc();
  // The collector gives pages back to the system from another thread.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  globalThis.gc();
  return { bytesPerJob, jobsPerSecond, leftMiB: (process.memoryUsage().rss - before) / 2 ** 20 };
}

/** Runs the scenario named on the command line and prints its figures. */
export async function run(add, start) {
  await start();
  for (let index = 0; index < 100; index++) await add(payload);
  const scenario = { latency, throughput }[what];
  process.stdout.write(JSON.stringify(await scenario(add)), () => process.exit());
}

/** The same for a queue that fills up first. */
export async function runQueued(add, start) {
  process.stdout.write(JSON.stringify(await manyQueued(add, start)), () => process.exit());
}
