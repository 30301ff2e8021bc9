// The table of connections without contexts, against a plain map.

import { createRequire } from 'node:module';

import { describe, expect, it } from 'vitest';

const require = createRequire(import.meta.url);
const { UnseenContexts } =
  require('../../../dist/unseen-contexts.js') as typeof import('../../../lib/unseen-contexts.js');

const LOCAL_ENDS = [
  { address: '127.0.0.1', port: 80, family: 4 },
  { address: '::1', port: 81, family: 6 },
];

/** A repeatable source of numbers: Lehmer's generator with the constants of Park and Miller. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

describe('the table of unseen connections', () => {
  it('gives each connection back once, as it came', () => {
    const unseen = new UnseenContexts();
    const birth = {
      slot: 7,
      generation: 2 ** 32 - 1,
      remoteAddress: '10.0.0.1',
      remotePort: 65535,
    };
    const local = LOCAL_ENDS[0]!;
    unseen.add(birth, local, 2 ** 40);
    expect(unseen.take(6)).toBeUndefined();
    expect(unseen.take(7)).toEqual({ ...birth, local, age: 2 ** 40 });
    expect(unseen.take(7)).toBeUndefined();
    unseen.add(birth, local, -5); // the clock was set back
    expect(unseen.take(7)?.age).toBe(-5);
    expect(unseen.slots).toBe(8);
  });

  it('has nothing where no slot can be', () => {
    const unseen = new UnseenContexts();
    unseen.add({ slot: 0, generation: 1, remoteAddress: '', remotePort: 0 }, LOCAL_ENDS[0]!, 0);
    for (const slot of [-1, 0.5, NaN, Infinity, 2 ** 31]) expect(unseen.take(slot)).toBeUndefined();
  });

  it('agrees with a map, whatever comes and goes', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const next = random(seed);
      const unseen = new UnseenContexts();
      const expected = new Map<number, object>();
      const slots = 1 + next(2_000);
      let made = 0;
      for (let step = 0; step < 5_000; step++) {
        const slot = next(slots);
        const there = expected.get(slot);
        if (there === undefined && next(3) > 0) {
          const remoteAddress = `10.0.0.${next(3)}`;
          const birth = { slot, generation: ++made, remoteAddress, remotePort: next(65_536) };
          const local = LOCAL_ENDS[next(2)]!;
          unseen.add(birth, local, step);
          expected.set(slot, { ...birth, local, age: step });
        } else {
          expect(unseen.take(slot)).toEqual(there);
          expected.delete(slot);
        }
      }
      for (let slot = 0; slot < unseen.slots; slot++) {
        expect(unseen.take(slot)).toEqual(expected.get(slot));
      }
    }
  });
});
