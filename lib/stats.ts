// Shapes the engine's flat figures into the nested object that users get.

import type { IocpStats } from './types.js';

/** `['port.waits']` and `[3]` become `{ port: { waits: 3 } }`. */
export function nestStats(names: readonly string[], values: ArrayLike<number>): IocpStats {
  const stats: IocpStats = {};
  names.forEach((name, index) => {
    const path = name.split('.');
    const last = path.pop() as string;
    let group = stats;
    for (const step of path) group = (group[step] ??= {}) as IocpStats;
    group[last] = values[index] ?? 0;
  });
  return stats;
}
