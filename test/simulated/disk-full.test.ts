// A disk that fills up while a file is being written, on a file system that cannot reserve room: both sides are told,
// the connection stays usable, and with room the next try goes on where the disk ended.

import { expect, it } from 'vitest';

import { next, pattern } from '../js/support.js';
import { World } from './world.js';

const MEBIBYTE = 2 ** 20;

async function connected(seed: number, protocol: 'extended' | 'classic') {
  const world = new World(seed, seed % 2 === 0);
  world.disk.makeDirectory('/from');
  world.disk.makeDirectory('/to');
  const bytes = pattern(3 * MEBIBYTE, seed);
  world.disk.makeFile('/from/large', bytes);
  world.disk.makeFile('/from/small', bytes.subarray(0, 100));
  const receiver = world.boot('/to', {
    fileTransfer: { directory: '/to', autoAccept: true, protocol },
  });
  const sender = world.boot('/from', { fileTransfer: { protocol } });
  receiver.iocp.on('package', (client, payload) => client.send(payload));
  const host = '127.0.0.1';
  const { port } = await world.started(receiver, () => receiver.iocp.listen({ host }));
  const peer = await world.started(sender, () => sender.iocp.connect({ host, port }));
  /** A package there and back. */
  const echoed = async (): Promise<void> => {
    const back = next<[unknown, Buffer]>(sender.iocp, 'package');
    peer.send('\u0080still here');
    expect(String((await world.during(back))[1])).toBe('\u0080still here');
  };
  return { world, bytes, receiver, sender, peer, echoed };
}

it('is told to both sides, and the next try goes on where the disk ended', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const { world, bytes, receiver, sender, peer, echoed } = await connected(seed, 'extended');
    // What is sent, a page for the small one, and some of the copy.
    world.disk.limitDisk((4 + (seed % 8) / 4) * MEBIBYTE);
    const failed = next<[unknown, Error]>(receiver.iocp, 'fileFailed');
    await expect(world.during(peer.sendFile('/from/large'))).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    expect((await world.during(failed))[1]).toMatchObject({ code: 'ENOSPC' });
    await echoed();
    await world.untilQuiet();
    const kept = world.disk.contents('/to/large.part') as Buffer;
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.equals(bytes.subarray(0, kept.length))).toBe(true);
    world.disk.limitDisk(Infinity);
    await world.during(peer.sendFile('/from/small'));
    const result = await world.during(peer.sendFile('/from/large'));
    expect(result.resumedAt).toBe(kept.length);
    expect(world.disk.contents('/to/large')?.equals(bytes)).toBe(true);
    expect(world.disk.list('/to')).toEqual(['large', 'small']);
    await world.end(receiver, sender);
  }
});

it('by the classic protocol is told to the receiver, and costs no more than the file', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const { world, bytes, receiver, sender, peer, echoed } = await connected(seed, 'classic');
    world.disk.limitDisk((4 + (seed % 8) / 4) * MEBIBYTE);
    const failed = next<[unknown, Error]>(receiver.iocp, 'fileFailed');
    // The protocol has no word for it.
    await world.during(peer.sendFile('/from/large'));
    expect((await world.during(failed))[1]).toMatchObject({ code: 'ENOSPC' });
    await echoed();
    await world.untilQuiet();
    expect(world.disk.list('/to')).toEqual([]);
    world.disk.limitDisk(Infinity);
    const completed = next(receiver.iocp, 'fileCompleted');
    await world.during(peer.sendFile('/from/large'));
    await world.during(completed);
    expect(world.disk.contents('/to/large')?.equals(bytes)).toBe(true);
    await world.end(receiver, sender);
  }
});
