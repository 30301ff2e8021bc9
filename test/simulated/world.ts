// The simulated world as tests see it: engines that are the package itself, on a network, a disk and a clock that do
// nothing unless a test lets them. Whose turn it is, what is lost and what time it is follow from one seed, so a run is
// the same each time. Sides can be killed at any step, as processes or with their machines.

import { createRequire } from 'node:module';

import type { IocpOptions } from 'iocp';

import { seeded } from '../js/support.js';
import { Clock } from './clock.js';

const require = createRequire(import.meta.url);
const { addon } = require('../../dist/binding.js') as {
  addon: Record<string, unknown> & { simulation: Simulation };
};
const { Iocp } = require('iocp') as typeof import('iocp');

/** The part of the simulated addon that the real one has not. Paths are absolute, on the simulated disk. */
interface Simulation {
  /** A new world; the engines of the one before are gone. `gentle`: the faults that no program may notice. */
  begin(seed: number, gentle: boolean): void;
  /** Virtual milliseconds. */
  now(): number;
  /** When something will happen by itself; Infinity = never. */
  nextDue(): number;
  advance(ms: number): void;
  /** Differs when anything has happened on the network or on the disk. */
  trace(): number;
  /** The engines that are open, by numbers in the order of their opening. */
  loops(): number[];
  /** The host's loop calls that engine. */
  turn(loop: number): void;
  /** The loop lets go of those that were closed. */
  closeLoops(): void;
  /** How many disk queues there are. */
  disks(): number;
  /** One job of that queue; false = it is empty. */
  stepDisk(index: number): boolean;
  makeDirectory(path: string): void;
  makeFile(path: string, bytes: Uint8Array): void;
  contents(path: string): Buffer | undefined;
  size(path: string): number | undefined;
  list(directory: string): string[];
  /** So much fits on it, in whole pages of 64 KiB, and that is found out by writing: room cannot be reserved. */
  limitDisk(bytes: number): void;
  killUsers(directory: string): void;
  cutPower(directory: string): void;
  held(): Record<'sockets' | 'operations' | 'rawSockets' | 'files', number>;
}

interface RawEngine {
  loop: number;
  dead: boolean;
  start(): number;
  destroy(): void;
}

/** Engines in the order of their starting, until somebody asks. */
const started: RawEngine[] = [];

/** Makes engines known that start, and silent that are dead. */
function watchEngines(): void {
  type Method = (...args: unknown[]) => unknown;
  const Real = addon.Engine as new (...args: unknown[]) => RawEngine;
  class Watched extends Real {
    override loop = 0;
    override dead = false;
  }
  for (const name of Object.getOwnPropertyNames(Real.prototype)) {
    const { value } = Object.getOwnPropertyDescriptor(Real.prototype, name) as { value?: Method };
    if (typeof value !== 'function' || name === 'constructor' || name === 'destroy') continue;
    Object.defineProperty(Watched.prototype, name, {
      value(this: RawEngine, ...args: unknown[]) {
        if (this.dead) return 0;
        const result = value.apply(this, args);
        if (name === 'start') {
          this.loop = addon.simulation.loops().at(-1) as number;
          started.push(this);
        }
        return result;
      },
    });
  }
  addon.Engine = Watched;
}
watchEngines();

/** One process with one engine, and the directory on whose disk it works. */
export interface Side {
  iocp: InstanceType<typeof Iocp>;
  raw: RawEngine | undefined;
  directory: string;
}

/** See the head of this file. */
export class World {
  readonly disk: Simulation = addon.simulation;
  readonly random: () => number;
  readonly clock = new Clock(() => this.disk.now());
  /** Turns and jobs so far. */
  steps = 0;
  /** Runs after every step. */
  watch: () => void = () => {};

  constructor(seed: number, gentle: boolean) {
    this.random = seeded(seed ^ 0x5eed);
    this.disk.begin(seed, gentle);
    this.clock.install();
  }

  below(count: number): number {
    return Math.floor(this.random() * count);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  /** Starts a process. Its engine comes to life with the first thing that is asked of it. */
  boot(directory: string, options: IocpOptions): Side {
    return { iocp: new Iocp({ ioWorkers: 0, ...options }), raw: undefined, directory };
  }

  /** Asks the engine of `side` something that starts it, if nothing has yet. */
  async started<T>(side: Side, ask: () => Promise<T>): Promise<T> {
    started.length = 0;
    const result = await this.during(ask());
    side.raw ??= started[0];
    return result;
  }

  /** Lets the world go on until `promise` settles. */
  async during<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    promise.catch(() => {}).finally(() => (settled = true));
    await this.until(() => settled);
    return promise;
  }

  /** Lets the world go on until `condition` holds, which is looked at after every step. */
  async until(condition: () => boolean): Promise<void> {
    for (let rounds = 0; !condition(); rounds++) {
      if (rounds > 200_000) throw new Error('what is waited for does not happen');
      if (!(await this.#round(condition))) this.#passTime();
    }
  }

  /** Lets the world go on until nothing more happens by itself. */
  async untilQuiet(): Promise<void> {
    for (let idle = 0; idle < 3;) {
      if (await this.#round(() => false)) idle = 0;
      else if (this.disk.nextDue() < Infinity) this.#passTime();
      else idle++;
    }
  }

  /**
   * The process ends, without a word. `power`: its machine does, and what it had not synced may be lost. `lingers`: what
   * the system had taken from it still arrives.
   */
  async kill(side: Side, power: boolean, lingers: boolean): Promise<void> {
    const { raw, directory, iocp } = side;
    if (power) this.disk.cutPower(directory);
    else this.disk.killUsers(directory);
    iocp.removeAllListeners();
    if (raw === undefined) return;
    raw.dead = true;
    const end = this.steps + (lingers ? this.below(60) : 0);
    await this.until(() => this.steps >= end);
    raw.destroy();
    this.disk.closeLoops();
  }

  /** Everybody leaves; what is still held then was forgotten. */
  async end(...sides: Side[]): Promise<void> {
    await this.during(Promise.all(sides.map(({ iocp }) => iocp.close({ graceMs: 0 }))));
    await this.untilQuiet();
    this.disk.closeLoops();
    this.clock.uninstall();
  }

  /** Everybody gets a turn, or not, in any order. False = there was nothing to do. */
  async #round(enough: () => boolean): Promise<boolean> {
    const { disk } = this;
    const before = disk.trace();
    let busy = disk.nextDue() <= disk.now();
    const turns: Array<() => boolean> = [];
    for (const loop of disk.loops()) turns.push(() => (disk.turn(loop), false));
    for (let index = 0; index < disk.disks(); index++) turns.push(() => disk.stepDisk(index));
    if (turns.length === 0) await new Promise((resolve) => setImmediate(resolve));
    while (turns.length > 0) {
      const [turn] = turns.splice(this.below(turns.length), 1);
      if (this.chance(0.2)) {
        busy = true; // its turn comes
        continue;
      }
      busy = (turn as () => boolean)() || busy;
      await new Promise((resolve) => setImmediate(resolve)); // promises go on
      this.steps++;
      this.watch();
      if (enough()) return true;
    }
    return busy || disk.trace() !== before;
  }

  #passTime(): void {
    const due = Math.min(this.disk.nextDue(), this.clock.nextDue());
    const now = this.disk.now();
    if (due === Infinity) return; // JavaScript alone knows what it waits for
    if (due > now) this.disk.advance(due - now);
    this.clock.run();
  }
}
