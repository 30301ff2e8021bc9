// The classic file transfer against peers that share no code with ours: plain sockets with scripted bytes, the byte
// vectors of the protocol among them. And peers that do not keep to it.

import { once } from 'node:events';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { FileOffer, FileResult, FileTransferOptions } from 'iocp';
import { describe, expect, it } from 'vitest';

import {
  afterwards,
  engine,
  frame,
  gone,
  next,
  packages,
  pair,
  pattern,
  RawPeer,
  server,
  turns,
  until,
} from './support.js';

/** Offers "a.txt", 1000 bytes; "send it"; "I do not want it". */
const INFO = Buffer.from('0B00000001E8030000612E74787400', 'hex');
const START = Buffer.from('0100000002', 'hex');
const ABORT = Buffer.from('0100000003', 'hex');
/** Sends the text "Hi". */
const HI = Buffer.from('0400000000486900', 'hex');

const BYTES = pattern(1000, 5);

/** An engine and a plain socket that is connected to it. */
async function scripted(options: FileTransferOptions = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'iocp-classic-'));
  afterwards(() => rmSync(directory, { recursive: true, force: true }));
  const made = await server({ fileTransfer: { protocol: 'classic', directory, ...options } });
  const connected = next<[import('iocp').ClientContext]>(made.server, 'connection');
  const peer = await RawPeer.connect({ port: made.port });
  const [context] = await connected;
  const path = join(directory, 'a.txt');
  return { ...made, peer, context, directory, path };
}

describe('to a plain peer of the classic protocol', () => {
  it('a file goes out byte for byte, and sends wait until it has', async () => {
    const { context, peer, path } = await scripted();
    writeFileSync(path, BYTES);
    const sent = context.sendFile(path);
    await peer.bytes(INFO.length);
    context.send('held');
    context.send(Buffer.from('held'));
    context.sendRaw('back');
    await peer.write(START);
    expect(await sent).toMatchObject({ protocol: 'classic', size: 1000 });
    const all = await peer.bytes(INFO.length + 1000 + 2 * 8 + 4);
    const held = [frame('held'), frame('held'), Buffer.from('back')];
    expect(all).toEqual(Buffer.concat([INFO, BYTES, ...held]));
  });

  it('what a job sends from a logical worker waits as well', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'iocp-classic-'));
    afterwards(() => rmSync(directory, { recursive: true, force: true }));
    const path = join(directory, 'a.txt');
    writeFileSync(path, BYTES);
    const made = await server({
      fileTransfer: { protocol: 'classic' },
      jobs: new URL('fixtures/service.mjs', import.meta.url),
      workers: 1,
    });
    const connected = next<[import('iocp').ClientContext]>(made.server, 'connection');
    const peer = await RawPeer.connect({ port: made.port });
    const [context] = await connected;
    const send = (text: string) => made.server.addJob({ do: 'send', id: context.id, text });
    await send('before');
    const sent = context.sendFile(path);
    await peer.bytes(frame('before').length + INFO.length);
    expect(await send('held')).toMatchObject({ sent: true });
    expect(await send('x'.repeat(5000))).toMatchObject({ sent: true });
    await peer.write(START);
    await sent;
    await send('behind');
    const held = [frame('held'), frame('x'.repeat(5000)), frame('behind')];
    const all = Buffer.concat([frame('before'), INFO, BYTES, ...held]);
    expect(await peer.bytes(all.length)).toEqual(all);
    // Those of a file that is refused go out then.
    const refused = context.sendFile(path);
    await peer.bytes(all.length + INFO.length);
    await send('last');
    await peer.write(ABORT);
    await expect(refused).rejects.toMatchObject({ code: 'ERR_IOCP_FILE_REFUSED' });
    const whole = Buffer.concat([all, INFO, frame('last')]);
    expect(await peer.bytes(whole.length)).toEqual(whole);
  });

  it('a refused file fails, and what was held back goes out', async () => {
    const { context, peer, path } = await scripted();
    writeFileSync(path, BYTES);
    const sent = context.sendFile(path);
    await peer.bytes(INFO.length);
    context.send('held');
    await peer.write(ABORT);
    await expect(sent).rejects.toMatchObject({ code: 'ERR_IOCP_FILE_REFUSED' });
    expect(await peer.bytes(INFO.length + 8)).toEqual(Buffer.concat([INFO, frame('held')]));
  });

  it('goes out in the steps of the original class', async () => {
    const { context, peer, path } = await scripted();
    writeFileSync(path, BYTES);
    await context.prepareSendFile(path, { manualStart: true });
    await expect(context.prepareSendFile(path)).rejects.toMatchObject({
      code: 'ERR_IOCP_FILE_BUSY',
    });
    expect(await peer.bytes(INFO.length)).toEqual(INFO);
    await peer.write(START);
    const sent = context.startSendFile();
    await sent;
    expect(await peer.bytes(INFO.length + 1000)).toEqual(Buffer.concat([INFO, BYTES]));
    await context.prepareSendFile(path);
    expect(context.disableSendFile()).toBe(true);
    expect(context.disableSendFile()).toBe(false);
    const all = await peer.bytes(2 * INFO.length + 1000 + ABORT.length);
    expect(all.subarray(-ABORT.length)).toEqual(ABORT);
  });

  it('a file of 2 GiB is refused before a byte goes out', async () => {
    const { context, peer, path } = await scripted();
    writeFileSync(path, '');
    truncateSync(path, 2 ** 31);
    await expect(context.sendFile(path)).rejects.toThrow(RangeError);
    context.send('first');
    expect(await peer.bytes(9)).toEqual(frame('first'));
  });

  it('several files go out one after the other', async () => {
    const { context, peer, path } = await scripted();
    writeFileSync(path, BYTES);
    const all = Promise.all([context.sendFile(path), context.sendFile(path)]);
    await peer.bytes(INFO.length);
    await peer.write(START);
    const both = Buffer.concat([INFO, BYTES, INFO]);
    expect(await peer.bytes(both.length)).toEqual(both);
    await peer.write(START);
    await all;
  });
});

describe('from a plain peer of the classic protocol', () => {
  it('a file comes in, and what follows its last byte is packages again', async () => {
    const { server: engine, peer, path } = await scripted({ autoAccept: true });
    const texts = packages(engine, 2);
    const received = next<[unknown, FileResult]>(engine, 'fileCompleted');
    await peer.write(Buffer.concat([HI, INFO]));
    expect(await peer.bytes(START.length)).toEqual(START);
    await peer.write(Buffer.concat([BYTES, HI]));
    expect((await received)[1]).toMatchObject({ path, size: 1000, check: undefined });
    expect(readFileSync(path).equals(BYTES)).toBe(true);
    expect(await texts).toEqual([HI.subarray(4), HI.subarray(4)]);
  });

  it('a file comes in that is cut into single bytes', async () => {
    const { server: engine, peer, path } = await scripted({ autoAccept: true });
    const received = next(engine, 'fileCompleted');
    await peer.write(INFO);
    await peer.bytes(START.length);
    for (const byte of BYTES) await peer.write(Buffer.of(byte));
    await received;
    expect(readFileSync(path).equals(BYTES)).toBe(true);
  });

  it('a file comes in although the peer closes behind its last byte', async () => {
    const { server: engine, peer, path } = await scripted({ autoAccept: true });
    const received = next(engine, 'fileCompleted');
    await peer.write(INFO);
    await peer.bytes(START.length);
    peer.socket.end(BYTES);
    await received;
    expect(readFileSync(path).equals(BYTES)).toBe(true);
  });

  it('a file that ends too early leaves nothing behind', async () => {
    const { server: engine, context, peer, directory } = await scripted({ autoAccept: true });
    const failed = next<[unknown, Error]>(engine, 'fileFailed');
    const ended = gone(engine, context);
    await peer.write(INFO);
    await peer.bytes(START.length);
    peer.socket.end(BYTES.subarray(0, 999));
    expect((await ended).code).toBe('ERR_IOCP_PACKAGE_INCOMPLETE');
    expect((await failed)[1]).toMatchObject({ code: 'ERR_IOCP_GONE' });
    await engine.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('an offer is answered in the steps of the original class', async () => {
    const { server: engine, context, peer, directory } = await scripted();
    const first = next<[unknown, FileOffer]>(engine, 'fileOffer');
    await peer.write(INFO);
    expect((await first)[1]).toMatchObject({ name: 'a.txt', size: 1000, protocol: 'classic' });
    expect(context.disableReceiveFile()).toBe(true);
    expect(await peer.bytes(ABORT.length)).toEqual(ABORT);
    const second = next(engine, 'fileOffer');
    await peer.write(INFO);
    await second;
    const received = context.prepareReceiveFile(join(directory, 'other'));
    expect(await peer.bytes(ABORT.length + START.length)).toEqual(Buffer.concat([ABORT, START]));
    expect(context.disableReceiveFile()).toBe(false);
    await peer.write(BYTES);
    expect((await received).path).toBe(join(directory, 'other'));
  });

  it.each([
    ['an unsolicited start', START],
    ['an unsolicited abort', ABORT],
    ['an announcement without its end', Buffer.from('0600000001E803000061', 'hex')],
    [
      'an answer to a file that nobody offered',
      frame(Buffer.from('11010000000000000000000000', 'hex')),
    ],
  ])('%s is ignored', async (what, bytes) => {
    const { server: engine, context, peer } = await scripted({ protocol: 'auto' });
    const silent = what.startsWith('an answer');
    const failed = silent ? undefined : next<[unknown, Error, unknown]>(engine, 'fileFailed');
    const texts = packages(engine, 1);
    await peer.write(Buffer.concat([bytes, HI]));
    await texts;
    if (failed !== undefined) {
      const [, error, transfer] = await failed;
      expect(error).toMatchObject({ code: 'ERR_IOCP_PROTOCOL' });
      expect(transfer).toBeUndefined();
    }
    expect(context.connected).toBe(true);
  });

  it('an announcement that is taken back fails', async () => {
    const { server: engine, peer, directory } = await scripted();
    const offered = next<[unknown, FileOffer]>(engine, 'fileOffer');
    await peer.write(INFO);
    const [, offer] = await offered;
    const failed = next<[unknown, Error]>(engine, 'fileFailed');
    await peer.write(ABORT);
    expect((await failed)[1]).toMatchObject({ code: 'ERR_IOCP_FILE_ABORTED' });
    await expect(offer.accept()).rejects.toThrow();
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('a file that the receiver gives up', () => {
  it('is thrown away as it comes, and what follows it is packages again', async () => {
    const { server: engine, peer, directory } = await scripted();
    const offered = next<[unknown, FileOffer]>(engine, 'fileOffer');
    await peer.write(INFO);
    const giveUp = new AbortController();
    const received = (await offered)[1].accept({ signal: giveUp.signal });
    await peer.bytes(START.length);
    await peer.write(BYTES.subarray(0, 400));
    giveUp.abort();
    await expect(received).rejects.toMatchObject({ code: 'ABORT_ERR' });
    const texts = packages(engine, 1);
    await peer.write(Buffer.concat([BYTES.subarray(400), HI]));
    expect(await texts).toEqual([HI.subarray(4)]);
    await until(() => readdirSync(directory).length === 0);
    // The next one is as good as any.
    const again = next<[unknown, FileOffer]>(engine, 'fileOffer');
    await peer.write(INFO);
    const second = (await again)[1].accept();
    await peer.bytes(2 * START.length);
    await peer.write(BYTES);
    await second;
  });
});

describe('with a plain peer that was connected to', () => {
  /** A plain server, and an engine that is connected to it. */
  async function connectedOut(options: FileTransferOptions = {}) {
    const directory = mkdtempSync(join(tmpdir(), 'iocp-classic-'));
    afterwards(() => rmSync(directory, { recursive: true, force: true }));
    const listener = net.createServer();
    listener.listen(0, '127.0.0.1');
    afterwards(() => listener.close());
    await once(listener, 'listening');
    const client = engine({ fileTransfer: { protocol: 'classic', directory, ...options } });
    const accepted = once(listener, 'connection') as Promise<[net.Socket]>;
    const { port } = listener.address() as net.AddressInfo;
    const context = await client.connect({ host: '127.0.0.1', port });
    const peer = new RawPeer((await accepted)[0]);
    return { client, context, peer, directory, path: join(directory, 'a.txt') };
  }

  it('files go both ways, byte for byte', async () => {
    const { client, context, peer, path } = await connectedOut({ autoAccept: true });
    const received = next<[unknown, FileResult]>(client, 'fileCompleted');
    await peer.write(INFO);
    expect(await peer.bytes(START.length)).toEqual(START);
    await peer.write(BYTES);
    await received;
    expect(readFileSync(path).equals(BYTES)).toBe(true);
    const sent = context.sendFile(path);
    const announced = Buffer.concat([START, INFO]);
    expect(await peer.bytes(announced.length)).toEqual(announced);
    await peer.write(START);
    await sent;
    const all = Buffer.concat([announced, BYTES]);
    expect(await peer.bytes(all.length)).toEqual(all);
  });

  it('the answer to its announcement goes out at once, although ours crossed it', async () => {
    const { client, context, peer, directory, path } = await connectedOut({ autoAccept: true });
    const source = join(directory, 'out');
    writeFileSync(source, BYTES);
    const sent = context.sendFile(source, { name: 'a.txt' });
    await peer.bytes(INFO.length);
    const received = next(client, 'fileCompleted');
    await peer.write(INFO);
    const announced = Buffer.concat([INFO, START]);
    expect(await peer.bytes(announced.length)).toEqual(announced);
    await peer.write(BYTES);
    await received;
    await peer.write(START);
    await sent;
    expect(readFileSync(path).equals(BYTES)).toBe(true);
    const all = Buffer.concat([announced, BYTES]);
    expect(await peer.bytes(all.length)).toEqual(all);
  });
});

describe('announcements that cross', () => {
  /** Both sides have announced a file, the peer's is accepted, and the place it is written to is open. */
  async function crossed() {
    const made = await scripted();
    const { server: engine, context, peer, directory } = made;
    const source = join(directory, 'out');
    writeFileSync(source, BYTES);
    const stop = new AbortController();
    const sent = context.sendFile(source, { name: 'a.txt', signal: stop.signal });
    await peer.bytes(INFO.length);
    const offered = next<[unknown, FileOffer]>(engine, 'fileOffer');
    await peer.write(INFO);
    const received = (await offered)[1].accept();
    await until(() => readdirSync(directory).length === 2);
    await turns(50); // what the disk said is heard
    return { ...made, sent, received, stop };
  }

  it('leave the answer to the second file where it is, behind the first', async () => {
    const { peer, path, sent, received } = await crossed();
    await peer.write(START);
    await sent;
    const all = Buffer.concat([INFO, BYTES, START]);
    expect(await peer.bytes(all.length)).toEqual(all);
    await peer.write(BYTES);
    await received;
    expect(readFileSync(path).equals(BYTES)).toBe(true);
  });

  it('and of which one is refused leave the other', async () => {
    const { peer, path, sent, received } = await crossed();
    await peer.write(ABORT);
    await expect(sent).rejects.toMatchObject({ code: 'ERR_IOCP_FILE_REFUSED' });
    const all = Buffer.concat([INFO, START]);
    expect(await peer.bytes(all.length)).toEqual(all);
    await peer.write(BYTES);
    await received;
    expect(readFileSync(path).equals(BYTES)).toBe(true);
  });

  it('and of which one is taken back end both, because the peer may have answered already', async () => {
    const { server: engine, context, peer, directory, sent, received, stop } = await crossed();
    const ended = gone(engine, context);
    stop.abort();
    await expect(sent).rejects.toMatchObject({ code: 'ABORT_ERR' });
    await expect(received).rejects.toMatchObject({ code: 'ERR_IOCP_FILE_ABORTED' });
    const all = Buffer.concat([INFO, ABORT, ABORT]);
    expect(await peer.bytes(all.length)).toEqual(all);
    await peer.write(START);
    await ended;
    await until(() => readdirSync(directory).length === 1);
  });

  it('are no trouble for two engines with a hundred small files each way', async () => {
    const from = mkdtempSync(join(tmpdir(), 'iocp-classic-'));
    const to = mkdtempSync(join(tmpdir(), 'iocp-classic-'));
    afterwards(() => [from, to].forEach((one) => rmSync(one, { recursive: true, force: true })));
    const fileTransfer = { protocol: 'classic', directory: to, autoAccept: true } as const;
    const { outgoing, incoming } = await pair({ fileTransfer });
    const sizes = [0, 1, 2, 5, 1000];
    for (const size of sizes) writeFileSync(join(from, String(size)), pattern(size, size));
    const names = Array.from({ length: 100 }, (_, index) => index);
    const send = (side: 'in' | 'out', index: number) =>
      (side === 'in' ? incoming : outgoing).sendFile(join(from, String(sizes[index % 5])), {
        name: `${side}${index}`,
      });
    await Promise.all(names.flatMap((index) => [send('in', index), send('out', index)]));
    await until(() => readdirSync(to).filter((name) => !name.endsWith('.part')).length === 200);
    for (const name of readdirSync(to)) {
      const size = sizes[Number(name.replace(/\D/g, '')) % 5] as number;
      expect(readFileSync(join(to, name)).equals(pattern(size, size))).toBe(true);
    }
  }, 20_000);
});
