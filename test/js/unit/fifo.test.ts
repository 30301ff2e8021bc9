// The line that callers wait in: order, whatever is taken when, and nothing kept of what was taken.

import { createRequire } from 'node:module';

import { describe, expect, it } from 'vitest';

import { seeded } from '../support.js';

const require = createRequire(import.meta.url);
const { Fifo } = require('../../../dist/fifo.js') as typeof import('../../../lib/fifo.js');

describe('a line of items', () => {
  it('gives them in the order they came, as an array does', () => {
    const random = seeded(11);
    const line = new Fifo<number>();
    const array: number[] = [];
    for (let step = 0; step < 20_000; step++) {
      if (random() < (step < 10_000 ? 0.7 : 0.3)) {
        line.push(step);
        array.push(step);
      } else {
        expect(line.first).toBe(array[0]);
        expect(line.shift()).toBe(array.shift());
      }
      expect(line.length).toBe(array.length);
    }
    expect(line.takeAll()).toEqual(array);
    expect([line.length, line.first, line.shift()]).toEqual([0, undefined, undefined]);
  });
});
