// File transfers in which either side is killed at any point, a thousand times and more: the whole package, TypeScript and
// native, on a simulated network, disk and clock. No partial file ever stands under a final name, the next try goes on
// exactly where the disk says, and what arrives is what was sent. One seed is one history: replay it with
// `npm run test:simulated -- --seed N`.

import type { FileResult, FileTransferOptions } from 'iocp';
import { expect, it } from 'vitest';

import { pattern } from '../js/support.js';
import { type Side, World } from './world.js';

const GIVEN = process.env.IOCP_SEED;
const SEEDS = Number(process.env.IOCP_SEEDS ?? 1000);
const SIZES = [0, 1, 4_096, 65_536, 262_144, 262_145, 700_000, 1_500_000, 5_000_000];
const MINUTES = 60_000;

/** Over all seeds of a run: that what is to be proven did happen. */
const seen = {
  kills: 0,
  powerCuts: 0,
  amidBytes: 0,
  resumed: 0,
  wholeParts: 0,
  badParts: 0,
  busyParts: 0,
  steps: 0,
};

/** One seed from two empty processes to every file in its place. */
class History {
  readonly world: World;
  readonly files = new Map<string, Buffer>();
  readonly left = new Set<string>();
  /** The receiver said so. */
  readonly completed = new Set<string>();
  readonly options: FileTransferOptions;
  /** Bytes that were on the disk when the world was quiet: where the next try must go on. */
  offsets = new Map<string, number>();
  /** A part may be of no use without anybody's fault. */
  powerWasCut = false;
  kills: number;
  killedReceivers = 0;
  isQuiet = true;
  /** Of transfers, on the receiver's side. */
  ends = 0;

  constructor(seed: number) {
    this.world = new World(seed, seed % 5 < 3);
    const { world } = this;
    const one = <T>(choices: readonly T[]): T => choices[world.below(choices.length)] as T;
    const protocol = one(['extended', 'extended', 'extended', 'auto', 'classic'] as const);
    const onExists = one(['refuse', 'overwrite'] as const);
    this.options = { protocol, onExists, durable: world.chance(0.5), autoAccept: true };
    this.kills = 1 + world.below(4);
    world.disk.makeDirectory('/from');
    world.disk.makeDirectory('/to');
    for (let index = 0, count = 1 + world.below(3); index < count; index++) {
      const bytes = pattern(one(SIZES), seed + index);
      this.files.set(`file-${index}`, bytes);
      this.left.add(`file-${index}`);
      world.disk.makeFile(`/from/file-${index}`, bytes);
    }
    world.watch = () => this.checkNames();
  }

  /** What has a final name is whole, at every moment. */
  checkNames(): void {
    for (const name of this.world.disk.list('/to')) {
      if (name.endsWith('.part')) continue;
      const bytes = this.files.get(name);
      if (bytes === undefined) throw new Error(`${name} was never sent`);
      if (this.world.disk.size(`/to/${name}`) !== bytes.length) this.mustBeWhole(name);
    }
  }

  mustBeWhole(name: string): void {
    const found = this.world.disk.contents(`/to/${name}`);
    if (found?.equals(this.files.get(name) as Buffer) !== true) {
      throw new Error(`${name} has its name, and ${found?.length} bytes that are not the file`);
    }
  }

  checkAll(): void {
    this.checkNames();
    for (const name of this.completed) this.mustBeWhole(name);
    for (const name of this.files.keys()) {
      if (this.world.disk.size(`/to/${name}`) !== undefined) this.mustBeWhole(name);
    }
  }

  sizeOf(name: string): number {
    return (this.files.get(name) as Buffer).length;
  }

  bootReceiver(): Side {
    const side = this.world.boot('/to', { fileTransfer: { ...this.options, directory: '/to' } });
    side.iocp.on('fileCompleted', (_context, { name }: FileResult) => {
      this.completed.add(name);
      this.mustBeWhole(name);
      this.left.delete(name);
      this.ends++;
    });
    side.iocp.on('fileFailed', () => this.ends++);
    return side;
  }

  bootSender(): Side {
    const { protocol } = this.options;
    return this.world.boot('/from', { fileTransfer: { protocol } });
  }

  /** Where each file must go on. */
  measureParts(): void {
    for (const [name, bytes] of this.files) {
      const part = this.world.disk.contents(`/to/${name}.part`);
      this.offsets.set(name, part?.length ?? 0);
      if (part === undefined || this.powerWasCut) continue;
      if (!part.equals(bytes.subarray(0, part.length))) {
        throw new Error(`${name}.part is not how the file begins`);
      }
      if (part.length > 0 && part.length < bytes.length) seen.amidBytes++;
      if (part.length === bytes.length) seen.wholeParts++;
    }
  }

  /** One connection, on which all that is left is sent, until that is done or somebody dies. */
  async session(receiver: Side, sender: Side): Promise<boolean> {
    const { world } = this;
    const { port } = await world.started(receiver, () =>
      receiver.iocp.listen({ host: '127.0.0.1' }),
    );
    const peer = await world.started(sender, () =>
      sender.iocp.connect({ host: '127.0.0.1', port }),
    );
    const bytes = [...this.left].reduce((sum, name) => sum + this.sizeOf(name), 0);
    let deadline = Infinity;
    // About as long as all of it takes, so that the points are spread evenly from the first offer to the last answer.
    if (this.kills > 0) deadline = world.steps + 1 + world.below(60 + bytes / 4_000);
    this.ends = 0;
    const begun = [...this.left].map((name) =>
      peer.sendFile(`/from/${name}`).then(
        (result) => this.arrived(name, result),
        (error: Error & { code?: string }) => this.failed(name, error),
      ),
    );
    let sent = false;
    let problem: unknown;
    void Promise.all(begun)
      .catch((error) => (problem = error))
      .finally(() => (sent = true));
    // A classic sender knows what it sent, and not what has arrived.
    const over = (): boolean => sent && this.ends >= begun.length;
    await world.until(() => problem !== undefined || over() || world.steps >= deadline);
    if (problem !== undefined) throw problem;
    return over();
  }

  arrived(name: string, result: FileResult): void {
    if (result.protocol === 'extended') this.mustBeWhole(name);
    expect(result.bytesTransferred + result.resumedAt).toBe(result.size);
    const expected = result.protocol === 'extended' ? this.offsets.get(name) : 0;
    if (expected !== undefined) expect(result.resumedAt).toBe(expected);
    if (result.resumedAt > 0) seen.resumed++;
  }

  failed(name: string, error: Error & { code?: string }): void {
    const isThere = this.world.disk.size(`/to/${name}`) !== undefined;
    // The classic protocol says no more than that.
    const isRefused = error.code === 'EEXIST' || error.code === 'ERR_IOCP_FILE_REFUSED';
    if (isThere && isRefused) {
      // It had arrived when somebody died who could have said so.
      this.mustBeWhole(name);
      this.left.delete(name);
    } else if (error.code === 'ERR_IOCP_CHECK_FAILED' && this.powerWasCut) {
      seen.badParts++;
    } else if (error.message.includes('EBUSY') && !this.isQuiet) {
      seen.busyParts++; // what a dead connection brings is still being put away
    } else if (error.code !== 'ERR_IOCP_GONE') {
      throw error;
    }
  }

  async play(): Promise<void> {
    const { world } = this;
    let receiver = this.bootReceiver();
    let sender = this.bootSender();
    for (let sessions = 0; this.left.size > 0; sessions++) {
      if (sessions > 20) throw new Error('it does not come to an end');
      const over = await this.session(receiver, sender);
      if (!over) this.kills--;
      // Whoever dies now, or when all was done. The other one may live on, or not.
      const victim = over ? 'nobody' : ['receiver', 'sender', 'both'][world.below(3)];
      if (!over) seen.kills++;
      if (victim === 'receiver' || victim === 'both') {
        this.killedReceivers++;
        const power = this.options.durable === true && world.chance(0.5);
        if (power) seen.powerCuts++;
        this.powerWasCut ||= power;
        await world.kill(receiver, power, world.chance(0.5));
        receiver = this.bootReceiver();
      }
      if (victim === 'sender' || victim === 'both') {
        await world.kill(sender, false, world.chance(0.5));
        sender = this.bootSender();
      }
      this.checkAll();
      this.offsets = new Map();
      // The other side may have noticed, or not.
      this.isQuiet = world.chance(0.7);
      if (!this.isQuiet) continue;
      await world.untilQuiet();
      this.measureParts();
    }
    await world.end(receiver, sender);
    this.checkAll();
    // What was not to be gone on with has a name that nobody takes again, and whoever is killed cannot remove it.
    const abandoned = this.killedReceivers > 0 && this.options.protocol === 'classic';
    const isRubbish = (name: string): boolean => abandoned && /\.\d+\.part$/.test(name);
    const found = world.disk.list('/to').filter((name) => !isRubbish(name));
    expect(found).toEqual([...this.files.keys()].sort());
    const nothing = { sockets: 0, operations: 0, rawSockets: 0, files: 0 };
    expect(world.disk.held()).toEqual(nothing);
    expect(world.disk.loops()).toEqual([]);
    seen.steps += world.steps;
  }
}

async function play(seed: number): Promise<void> {
  const history = new History(seed);
  try {
    await history.play();
  } catch (error) {
    history.world.clock.uninstall();
    const problem = error as Error;
    problem.message = `seed ${seed} (replay it with --seed ${seed}): ${problem.message}`;
    throw problem;
  }
}

it(
  'a transfer survives the death of either side, at any point',
  async () => {
    const first = GIVEN === undefined ? 1 : Number(GIVEN);
    const count = GIVEN === undefined ? SEEDS : 1;
    for (let seed = first; seed < first + count; seed++) await play(seed);
    console.log(seen);
    if (count < 1000) return;
    expect(seen.kills).toBeGreaterThan(count);
    expect(seen.amidBytes).toBeGreaterThan(count / 10);
    expect(seen.resumed).toBeGreaterThan(count / 10);
    expect(seen.powerCuts).toBeGreaterThan(count / 10);
    expect(seen.badParts).toBeGreaterThan(0);
    expect(seen.wholeParts).toBeGreaterThan(0);
  },
  20 * MINUTES,
);
