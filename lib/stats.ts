// Shapes the engine's flat figures into the nested object that users get.

import type { IocpStats, JobStats } from './types.js';

/** The figures of an engine that runs no jobs. */
export const NO_JOBS: JobStats = {
  workers: 0,
  depth: 0,
  running: 0,
  done: 0,
  failed: 0,
  cancelled: 0,
  rejected: 0,
  waitUs: { p50: 0, p99: 0 },
  runUs: { p50: 0, p99: 0 },
};

interface Group {
  [name: string]: number | Group;
}

/** `['port.waits']` and `[3]` become `{ port: { waits: 3 } }`. */
function nest(names: readonly string[], values: ArrayLike<number>): Group {
  const root: Group = {};
  names.forEach((name, index) => {
    const path = name.split('.');
    const last = path.pop() as string;
    let group = root;
    for (const step of path) group = (group[step] ??= {}) as Group;
    group[last] = values[index] ?? 0;
  });
  return root;
}

/** All figures of the engine in one object; test/js/surface.test.ts checks that it has the declared form. */
export function buildStats(
  names: readonly string[],
  values: ArrayLike<number>,
  javascript: IocpStats['javascript'],
): Omit<IocpStats, 'jobs'> {
  return { ...nest(names, values), javascript } as unknown as Omit<IocpStats, 'jobs'>;
}
