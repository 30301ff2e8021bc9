// Supplies the engine with slabs: the memory that received packages travel in.
// A slab is never lent twice, because payload Buffers that listeners kept are views of it.

import { markAsUntransferable } from 'node:worker_threads';

/** Bytes of a slab. A kept payload keeps its whole slab alive, so this is also the price of keeping one. */
export const SLAB_BYTES = 128 * 1024;
/** Slabs per lane when only the JavaScript thread steps the engine: one is read while the other is filled. */
export const SLABS_PER_LANE_STEPPED = 2;
/** Slabs per lane with I/O threads, which fill slabs while JavaScript is busy. */
export const SLABS_PER_LANE_THREADED = 4;

/** A slab that is lent to the engine. */
export interface Slab {
  readonly lane: number;
  readonly memory: ArrayBuffer;
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
}

/** Makes a slab and lends it: `Engine.supply`. Throws when there is no memory; undefined = the engine has gone. */
export type Supply = (lane: number, index: number, bytes: number) => Buffer | undefined;

/** Keeps every lane supplied, and finds a slab by its index. */
export class SlabSupply {
  /** How many slabs were lent so far. */
  lent = 0;
  readonly #supply: Supply;
  readonly #slabs: Slab[] = [];

  constructor(supply: Supply) {
    this.#supply = supply;
  }

  /** Lends the first slabs: `perLane` to each of `lanes` lanes. */
  start(lanes: number, perLane: number): void {
    for (let index = 0; index < lanes * perLane; index++) this.#lend(index % lanes, index);
  }

  /** The slab that is lent under `index`. */
  at(index: number): Slab {
    const slab = this.#slabs[index];
    if (slab === undefined) throw new Error(`the engine named slab ${index}, which was never lent`);
    return slab;
  }

  /** The engine is done with the slab under `index`: forget it and lend a new one in its place. */
  replace(index: number): void {
    this.#lend(this.at(index).lane, index);
  }

  /** Drops every reference; the engine is gone. */
  clear(): void {
    this.#slabs.length = 0;
  }

  #lend(lane: number, index: number): void {
    const memory = this.#supply(lane, index, SLAB_BYTES)?.buffer as ArrayBuffer | undefined;
    if (memory === undefined) return; // the engine has gone
    // A listener that transfers a payload's ArrayBuffer would take the slab from everybody else.
    markAsUntransferable(memory);
    this.#slabs[index] = {
      lane,
      memory,
      words: new Uint32Array(memory),
      bytes: new Uint8Array(memory),
    };
    this.lent++;
  }
}
