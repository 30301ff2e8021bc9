// The work that a package costs its listener: BENCH_HANDLER_US microseconds of this thread's time, 0 by default.
const cost = Number(process.env.BENCH_HANDLER_US ?? '0') / 1000;

function burn() {
  const end = performance.now() + cost;
  while (performance.now() < end);
}

/** Called once per package by every server that runs JavaScript; undefined when packages cost nothing. */
export const handler = cost > 0 ? burn : undefined;
