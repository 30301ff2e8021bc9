// File transfer as users see it: both protocols, both directions, every way of stepping the engine.

import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { FileOffer, FileResult, FileTransferInfo, FileTransferOptions } from 'iocp';
import { describe, expect, it } from 'vitest';

import { fileAccept } from '../../lib/packages.js';
import {
  afterwards,
  frame,
  gone,
  next,
  packages,
  pair,
  pattern,
  RawPeer,
  server,
  until,
  WORKERS,
} from './support.js';

/** A directory that is removed after the test. */
function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'iocp-files-'));
  afterwards(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** A connection between two engines, and a folder for each. */
async function connected(
  options: FileTransferOptions = {},
  ioWorkers: 'auto' | number = 'auto',
  receiving: FileTransferOptions = {},
) {
  const from = folder();
  const to = folder();
  const both = { ...options, directory: to };
  const made = await pair(
    { ioWorkers, fileTransfer: { ...both, ...receiving } },
    { ioWorkers, fileTransfer: both },
  );
  const write = (name: string, bytes: Uint8Array): string => {
    const path = join(from, name);
    writeFileSync(path, bytes);
    return path;
  };
  return { ...made, from, to, write };
}

const PROTOCOLS = ['extended', 'classic'] as const;

describe.each(PROTOCOLS)('a file sent by the %s protocol', (protocol) => {
  describe.each([...WORKERS, 'auto' as const])('with %s I/O workers', (ioWorkers) => {
    it.each(['outgoing', 'incoming'] as const)(
      'arrives whole from the %s side, with packages before and behind it',
      async (side) => {
        const made = await connected({ protocol, autoAccept: true }, ioWorkers);
        const { server, client, write, to } = made;
        const [sender, receiver] = side === 'outgoing' ? [client, server] : [server, client];
        const path = write('a.bin', pattern(3_000_001, 7));
        const texts = packages(receiver, 2);
        const received = next<[unknown, FileResult]>(receiver, 'fileCompleted');
        const announced = next<[unknown, FileResult]>(sender, 'fileCompleted');
        made[side].send('\u0080before');
        const sent = made[side].sendFile(path);
        made[side].send('\u0080behind');
        const result = await sent;
        expect(result).toMatchObject({
          direction: 'send',
          protocol,
          path,
          name: 'a.bin',
          size: 3_000_001,
          bytesTransferred: 3_000_001,
          resumedAt: 0,
        });
        const [[, got], [, told]] = await Promise.all([received, announced]);
        expect(told).toEqual(result);
        expect(got).toMatchObject({ direction: 'receive', path: join(to, 'a.bin') });
        expect(got.check).toEqual(result.check);
        expect(result.check?.kind).toBe(protocol === 'extended' ? 'crc32c' : undefined);
        expect(digest(got.path)).toBe(digest(path));
        expect(readdirSync(to)).toEqual(['a.bin']);
        expect((await texts).map(String)).toEqual(['\u0080before', '\u0080behind']);
      },
      20_000,
    );

    it('may be empty', async () => {
      const { outgoing, server, write, to } = await connected(
        { protocol, autoAccept: true },
        ioWorkers,
      );
      const received = next<[unknown, FileResult]>(server, 'fileCompleted');
      await outgoing.sendFile(write('empty', Buffer.alloc(0)));
      await received;
      expect(statSync(join(to, 'empty')).size).toBe(0);
    });
  });
});

describe('an offer', () => {
  it('whose failure nobody looks at is no unhandledRejection', async () => {
    const { client, outgoing, write } = await connected();
    const failed = next(client, 'fileFailed');
    void outgoing.sendFile(write('a', pattern(10, 1)));
    await failed;
  });

  it('is refused when nobody listens and nothing accepts by itself', async () => {
    const { outgoing, write, to } = await connected();
    await expect(outgoing.sendFile(write('a', pattern(10, 1)))).rejects.toMatchObject({
      code: 'ERR_IOCP_FILE_REFUSED',
    });
    expect(readdirSync(to)).toEqual([]);
  });

  it.each(PROTOCOLS)('by the %s protocol tells what it is about', async (protocol) => {
    const { server, outgoing, write, to } = await connected({ protocol });
    const offered = next<[unknown, FileOffer]>(server, 'fileOffer');
    const sent = outgoing.sendFile(write('a.txt', pattern(1000, 1)), { name: 'b.txt' });
    const [, offer] = await offered;
    expect(offer).toMatchObject({ name: 'b.txt', size: 1000, protocol });
    expect(offer.mtime !== undefined).toBe(protocol === 'extended');
    const result = await offer.accept(join(to, 'elsewhere'));
    await sent;
    expect(result.path).toBe(join(to, 'elsewhere'));
    expect(offer.refuse()).toBe(false);
    await expect(offer.accept()).rejects.toThrow('answered already');
  });

  it.each(PROTOCOLS)('by the %s protocol can be refused', async (protocol) => {
    const { server, outgoing, write } = await connected({ protocol });
    const offered = next<[unknown, FileOffer]>(server, 'fileOffer');
    const sent = outgoing.sendFile(write('a', pattern(10, 1)));
    const [, offer] = await offered;
    expect(offer.refuse('not today')).toBe(true);
    await expect(sent).rejects.toMatchObject({ code: 'ERR_IOCP_FILE_REFUSED' });
    await expect(offer.accept()).rejects.toMatchObject({ code: 'ERR_IOCP_FILE_REFUSED' });
  });

  it.each(PROTOCOLS)('by the %s protocol is refused when it stays unanswered', async (protocol) => {
    // The sender's own time is long: what follows must not race it.
    const impatient = { acceptTimeoutMs: 30 };
    const { server, outgoing, write } = await connected({ protocol }, 'auto', impatient);
    server.on('fileOffer', () => {});
    const failed = next<[unknown, Error]>(server, 'fileFailed');
    const sent = outgoing.sendFile(write('a', pattern(10, 1)));
    await expect(sent).rejects.toMatchObject({ code: /FILE_(TIMEOUT|REFUSED)$/ });
    expect((await failed)[1]).toMatchObject({ code: 'ERR_IOCP_FILE_TIMEOUT' });
    const offered = next<[unknown, FileOffer]>(server, 'fileOffer');
    const again = outgoing.sendFile(write('b', pattern(10, 2)));
    void (await offered)[1].accept();
    await again;
  });

  it.each([
    [{ maxFileSize: 9 }, 'ERR_IOCP_FILE_TOO_LARGE'],
    [{ onExists: 'refuse' as const }, 'EEXIST'],
  ])('that breaks %o is refused by the rule', async (rule, code) => {
    const { outgoing, write, to } = await connected({ autoAccept: true }, 'auto', rule);
    writeFileSync(join(to, 'a'), 'mine');
    await expect(outgoing.sendFile(write('a', pattern(10, 1)))).rejects.toMatchObject({ code });
    expect(readFileSync(join(to, 'a'), 'utf8')).toBe('mine');
    expect(readdirSync(to)).toEqual(['a']);
  });

  it('of a name that is taken may replace the file or get another name', async () => {
    const { server, outgoing, write, to } = await connected();
    writeFileSync(join(to, 'a.txt'), 'mine');
    const path = write('a.txt', pattern(10, 1));
    server.once('fileOffer', (_context, offer) => void offer.accept({ onExists: 'rename' }));
    await outgoing.sendFile(path);
    expect(readdirSync(to).sort()).toEqual(['a (2).txt', 'a.txt']);
    expect(readFileSync(join(to, 'a.txt'), 'utf8')).toBe('mine');
    server.once('fileOffer', (_context, offer) => void offer.accept({ onExists: 'overwrite' }));
    await outgoing.sendFile(path);
    expect(readFileSync(join(to, 'a.txt'))).toEqual(Buffer.from(pattern(10, 1)));
  });

  it('beyond maxConcurrentFiles is refused, and the next one is taken when there is room', async () => {
    const { server, outgoing, write } = await connected({}, 'auto', { maxConcurrentFiles: 1 });
    const offered = next<[unknown, FileOffer]>(server, 'fileOffer');
    const first = outgoing.sendFile(write('a', pattern(10, 1)));
    const [, offer] = await offered;
    await expect(outgoing.sendFile(write('b', pattern(10, 1)))).rejects.toMatchObject({
      code: 'ERR_IOCP_TOO_MANY_FILES',
    });
    await Promise.all([offer.accept(), first]);
    server.on('fileOffer', (_context, other) => void other.accept());
    await outgoing.sendFile(write('c', pattern(10, 1)));
  });
});

describe('an extended transfer', () => {
  it('goes on where an earlier one ended, and checks all of the file', async () => {
    const { outgoing, server, write, to } = await connected({ autoAccept: true });
    const bytes = pattern(2_000_000, 3);
    writeFileSync(join(to, 'a.part'), bytes.subarray(0, 1_234_567));
    const received = next<[unknown, FileResult]>(server, 'fileCompleted');
    const result = await outgoing.sendFile(write('a', bytes));
    expect(result).toMatchObject({ resumedAt: 1_234_567, bytesTransferred: 2_000_000 - 1_234_567 });
    expect((await received)[1].check).toEqual(result.check);
    expect(readFileSync(join(to, 'a')).equals(bytes)).toBe(true);
    expect(readdirSync(to)).toEqual(['a']);
  });

  it('notices that what was there is of another file, throws it away, and succeeds next time', async () => {
    const { outgoing, write, to } = await connected({ autoAccept: true });
    writeFileSync(join(to, 'a.part'), pattern(1000, 4));
    const path = write('a', pattern(5000, 3));
    await expect(outgoing.sendFile(path)).rejects.toMatchObject({ code: 'ERR_IOCP_CHECK_FAILED' });
    expect(readdirSync(to)).toEqual([]);
    expect(await outgoing.sendFile(path)).toMatchObject({ resumedAt: 0 });
  });

  it('carries several files at once both ways while packages flow between', async () => {
    const { client, server, outgoing, incoming, write, to } = await connected({ autoAccept: true });
    const files = Array.from({ length: 12 }, (_, index) => {
      return write(`file-${index}`, pattern(700_000 + index, index));
    });
    const echoes = packages(client, 50);
    server.on('package', (context, payload) => context.send(payload));
    const done = files.map((path, index) => (index % 2 ? outgoing : incoming).sendFile(path));
    for (let index = 0; index < 50; index++) outgoing.send(`\u0080${index}`);
    expect((await echoes).map(String)).toEqual(
      Array.from({ length: 50 }, (_, index) => `\u0080${index}`),
    );
    await Promise.all(done);
    for (const path of files) {
      expect(digest(join(to, path.split(/[/\\]/).at(-1)!))).toBe(digest(path));
    }
  });

  it('sends a part of a file', async () => {
    const { outgoing, write, to } = await connected({ autoAccept: true });
    const bytes = pattern(300_000, 1);
    await outgoing.sendFile(write('a', bytes), { offset: 1000, length: 250_000 });
    expect(readFileSync(join(to, 'a')).equals(bytes.subarray(1000, 251_000))).toBe(true);
    await expect(
      outgoing.sendFile(write('b', bytes), { offset: 299_999, length: 2 }),
    ).rejects.toThrow(RangeError);
  });

  it('given up by the sender leaves the connection usable and no file under the name', async () => {
    const { client, server, outgoing, write, to } = await connected({ autoAccept: true });
    const path = write('big', pattern(250_000_000, 1));
    const giveUp = new AbortController();
    const failures = [client, server].map((one) => next<[unknown, Error]>(one, 'fileFailed'));
    const sent = outgoing.sendFile(path, { signal: giveUp.signal });
    await until(() => existsSync(join(to, 'big.part')) && statSync(join(to, 'big.part')).size > 0);
    giveUp.abort();
    await expect(sent).rejects.toMatchObject({ code: 'ABORT_ERR' });
    await Promise.all(failures);
    expect(readdirSync(to)).toEqual(['big.part']);
    const again = write('small', pattern(1000, 2));
    await outgoing.sendFile(again);
    expect(digest(join(to, 'small'))).toBe(digest(again));
  });

  it('given up by the receiver leaves the connection usable and no file under the name', async () => {
    const { client, server, outgoing, write, to } = await connected();
    const path = write('big', pattern(250_000_000, 1));
    const giveUp = new AbortController();
    const failures = [client, server].map((one) => next<[unknown, Error]>(one, 'fileFailed'));
    const offered = next<[unknown, FileOffer]>(server, 'fileOffer');
    const sent = outgoing.sendFile(path);
    const received = (await offered)[1].accept({ signal: giveUp.signal });
    await until(() => existsSync(join(to, 'big.part')) && statSync(join(to, 'big.part')).size > 0);
    giveUp.abort();
    await expect(received).rejects.toMatchObject({ code: 'ABORT_ERR' });
    await expect(sent).rejects.toMatchObject({ code: 'ERR_IOCP_FILE_ABORTED' });
    await Promise.all(failures);
    expect(readdirSync(to)).toEqual(['big.part']);
    server.once('fileOffer', (_context, offer) => void offer.accept());
    await outgoing.sendFile(write('small', pattern(1000, 2)));
  });

  it('that the receiver has given up already is refused', async () => {
    const { server, outgoing, write, to } = await connected();
    const offered = next<[unknown, FileOffer]>(server, 'fileOffer');
    const sent = outgoing.sendFile(write('a', pattern(10, 1)));
    const received = (await offered)[1].accept({ signal: AbortSignal.abort() });
    await expect(received).rejects.toMatchObject({ code: 'ABORT_ERR' });
    await expect(sent).rejects.toMatchObject({ code: 'ERR_IOCP_FILE_ABORTED' });
    expect(readdirSync(to)).toEqual([]);
  });

  it('of a file that shrinks meanwhile fails on both sides and leaves the connection usable', async () => {
    const { client, server, outgoing, write, to } = await connected({ autoAccept: true });
    const path = write('big', pattern(250_000_000, 1));
    const failures = [client, server].map((one) => next<[unknown, Error]>(one, 'fileFailed'));
    const sent = outgoing.sendFile(path);
    await until(() => existsSync(join(to, 'big.part')) && statSync(join(to, 'big.part')).size > 0);
    truncateSync(path, 1000);
    await expect(sent).rejects.toMatchObject({ code: 'ERR_IOCP_FILE_SHRANK' });
    const [, [, told]] = await Promise.all([failures[0], failures[1]!]);
    expect(told).toMatchObject({ code: 'ERR_IOCP_FILE_SHRANK' });
    expect(existsSync(join(to, 'big'))).toBe(false);
    const again = write('small', pattern(1000, 2));
    await outgoing.sendFile(again);
    expect(digest(join(to, 'small'))).toBe(digest(again));
  });

  it('tells its progress', async () => {
    const { outgoing, client, write } = await connected({ autoAccept: true });
    const seen: FileTransferInfo[] = [];
    client.on('fileProgress', (_context, transfer) => seen.push(transfer));
    await outgoing.sendFile(write('big', pattern(60_000_000, 1)), {
      onProgress: (transfer) => seen.push(transfer),
    });
    for (const one of seen) {
      expect(one).toMatchObject({ direction: 'send', name: 'big', size: 60_000_000 });
      expect(one.bytesTransferred).toBeLessThanOrEqual(60_000_000);
    }
  });

  it('that ends with the connection fails on both sides before the disconnect, and is gone on with', async () => {
    const { client, server, outgoing, incoming, write, to, port } = await connected({
      autoAccept: true,
    });
    const path = write('big', pattern(250_000_000, 1));
    const order: string[] = [];
    for (const [name, one] of Object.entries({ client, server })) {
      one.on('fileFailed', () => order.push(`${name} failed`));
      one.on('disconnect', () => order.push(`${name} disconnect`));
    }
    const sent = outgoing.sendFile(path);
    await until(
      () => readdirSync(to).includes('big.part') && statSync(join(to, 'big.part')).size > 0,
    );
    const ends = [gone(client, outgoing), gone(server, incoming)];
    incoming.disconnect();
    await expect(sent).rejects.toMatchObject({ code: 'ERR_IOCP_GONE' });
    await Promise.all(ends);
    for (const name of ['client', 'server']) {
      expect(order.filter((one) => one.startsWith(name))).toEqual([
        `${name} failed`,
        `${name} disconnect`,
      ]);
    }
    expect(readdirSync(to)).toEqual(['big.part']);
    const again = await client.connect({ port });
    const result = await again.sendFile(path);
    expect(result.resumedAt).toBeGreaterThan(0);
    expect(digest(join(to, 'big'))).toBe(digest(path));
  });

  it('falls back to the classic protocol with a peer that knows no other', async () => {
    const made = await connected({}, 'auto', { protocol: 'classic', autoAccept: true });
    const { outgoing, write } = made;
    expect(await outgoing.sendFile(write('a', pattern(1000, 1)))).toMatchObject({
      protocol: 'classic',
    });
    // Known from now on: no more waiting.
    expect(await outgoing.sendFile(write('b', pattern(1000, 1)))).toMatchObject({
      protocol: 'classic',
    });
  }, 10_000);

  it.each([
    ['that is not there', 'missing', 'ENOENT'],
    ['that is a folder', '.', 'EISDIR'],
  ])('of a file %s fails with the system’s code', async (_what, name, code) => {
    const { outgoing, from } = await connected();
    await expect(outgoing.sendFile(join(from, name))).rejects.toMatchObject({ code });
  });
});

describe('close', () => {
  describe.each(PROTOCOLS)('during a transfer by the %s protocol', (protocol) => {
    it.each(['sender', 'receiver'] as const)('of the %s lets the file arrive', async (side) => {
      const { client, server, outgoing, write, to } = await connected({
        protocol,
        autoAccept: true,
      });
      const path = write('big', pattern(100_000_000, 1));
      const received = next<[unknown, FileResult]>(server, 'fileCompleted');
      const sent = outgoing.sendFile(path);
      const begun = () => readdirSync(to).some((name) => statSync(join(to, name)).size > 0);
      await until(begun);
      const report = await (side === 'sender' ? client : server).close({ graceMs: 15_000 });
      expect(report).toMatchObject({ drained: 1, reset: 0 });
      await Promise.all([sent, received]);
      expect(digest(join(to, 'big'))).toBe(digest(path));
      expect(readdirSync(to)).toEqual(['big']);
    });

    it('gives up what was not answered yet, and tells the other side', async () => {
      for (const side of ['sender', 'receiver']) {
        const { client, server, outgoing, write } = await connected({ protocol });
        const offered = next<[unknown, FileOffer]>(server, 'fileOffer');
        const failures = [client, server].map((one) => next<[unknown, Error]>(one, 'fileFailed'));
        const sent = outgoing.sendFile(write('a', pattern(10, 1)));
        await offered;
        const closed = (side === 'sender' ? client : server).close();
        await expect(sent).rejects.toMatchObject({
          code: side === 'sender' ? 'ERR_IOCP_CLOSED' : 'ERR_IOCP_FILE_REFUSED',
        });
        const [, [, told]] = await Promise.all([failures[0], failures[1]!]);
        const aborted = 'ERR_IOCP_FILE_ABORTED';
        expect(told).toMatchObject({ code: side === 'sender' ? aborted : 'ERR_IOCP_FILE_REFUSED' });
        await closed;
      }
    });
  });

  it('begins no new transfer, and ends one that goes nowhere after the grace period', async () => {
    const fileTransfer = { protocol: 'extended' } as const;
    const { server: made, port } = await server({ fileTransfer });
    const accepted = next<[import('iocp').ClientContext]>(made, 'connection');
    const peer = await RawPeer.connect({ port });
    const [context] = await accepted;
    const path = join(folder(), 'a');
    writeFileSync(path, pattern(10, 1));
    const sent = context.sendFile(path);
    await peer.bytes(5);
    await peer.write(frame(fileAccept(2, 0n))); // and never any credit
    const begun = next(made, 'fileProgress');
    await Promise.race([begun, until(() => context.queuedBytes === 0)]);
    const closed = made.close({ graceMs: 200 });
    await expect(context.sendFile(path)).rejects.toMatchObject({ code: 'ERR_IOCP_GONE' });
    await expect(sent).rejects.toMatchObject({ code: /ERR_IOCP_(GONE|CLOSED)/ });
    await closed;
  });
});
