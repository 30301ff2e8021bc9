// Shapes the engine's flat figures into the nested object that users get.

import type { IocpStats } from './types.js';

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

/** All figures in one object; test/js/surface.test.ts checks that it has the declared form. */
export function buildStats(
  names: readonly string[],
  values: ArrayLike<number>,
  javascript: IocpStats['javascript'],
): IocpStats {
  return { ...nest(names, values), javascript } as unknown as IocpStats;
}
