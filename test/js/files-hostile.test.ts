// Peers that offer what must not be taken: names that lead elsewhere, sizes nobody has room for, chunks nobody asked for.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { FileTransferOptions } from 'iocp';
import { describe, expect, it } from 'vitest';

import { fileAccept, fileChunk, fileEnd, fileOffer, fileRefuse, read } from '../../lib/packages.js';
import { afterwards, frame, next, packages, pattern, RawPeer, server } from './support.js';

/** A server that takes everything into `in`, beside which lies a file that must stay as it is. */
async function victim(options: FileTransferOptions = {}) {
  const root = mkdtempSync(join(tmpdir(), 'iocp-hostile-'));
  afterwards(() => rmSync(root, { recursive: true, force: true }));
  const directory = join(root, 'in');
  mkdirSync(directory);
  writeFileSync(join(root, 'mine'), 'untouched');
  const made = await server({
    fileTransfer: { directory, autoAccept: true, onExists: 'overwrite', ...options },
  });
  const peer = await RawPeer.connect({ port: made.port });
  return { ...made, root, directory, peer };
}

const TRAVERSALS = [
  '../mine', '../../mine', './../mine', 'a/../../mine', '/mine', '//mine', '///etc/mine', '\\mine',
  '..\\mine', '..\\..\\mine', 'a\\..\\..\\mine', 'C:mine', 'C:\\mine', 'c:/mine', 'C:..\\mine',
  '\\\\server\\share\\mine', '//server/share/mine', '\\\\?\\C:\\mine', '\\\\.\\mine', '/dev/mine',
  'in/../mine', '../in/../mine', '....//mine', '..;/mine', '~/mine', '%2e%2e/mine', '.\\mine',
]; // prettier-ignore
const REFUSED = [
  '.', '..', '/', '\\', '../', '..\\', './', 'a/', 'a\\', 'C:', 'C:\\', '/..', 'a/..', 'a/.',
  'nul', 'NUL', 'nul.txt', 'con', 'CON.tar.gz', 'aux', 'prn', 'com1', 'COM9.txt', 'lpt1', 'LPT\u00b9',
  'conin$', 'CONOUT$', 'a\0b', 'a\nb', 'a\rb', '\u0001', 'a\u007fb', 'a\u202eb', '\u2028', 'ab:c',
  'ab:$DATA', 'a::$DATA', 'a*', 'a?', 'a"b', 'a<b', 'a>b', 'a|b', 'a.', 'a ', ' a', 'a...', 'mine.part',
  'x'.repeat(256), '\u00e9'.repeat(128),
]; // prettier-ignore

describe('a peer that offers a file', () => {
  it.each(TRAVERSALS)('called %j writes it into the directory or nowhere', async (name) => {
    const { server: engine, root, directory, peer } = await victim();
    const done = Promise.race([next(engine, 'fileCompleted'), next(engine, 'fileFailed')]);
    const offer = { id: 1, size: 4n, modifiedMs: 0n, check: 'none' as const, name };
    await peer.write(frame(fileOffer(offer)));
    await peer.bytes(5);
    await peer.write(
      Buffer.concat([frame(fileChunk(1, Buffer.from('evil'))), frame(fileEnd(1, 0))]),
    );
    await done;
    expect(readdirSync(root).sort()).toEqual(['in', 'mine']);
    expect(readFileSync(join(root, 'mine'), 'utf8')).toBe('untouched');
    expect(readdirSync(directory)).toEqual(['mine']);
  });

  it.each(REFUSED)('called %j is refused', async (name) => {
    const { server: engine, root, directory, peer } = await victim();
    const failed = next<[unknown, Error]>(engine, 'fileFailed');
    const offer = { id: 1, size: 4n, modifiedMs: 0n, check: 'none' as const, name };
    await peer.write(frame(fileOffer(offer)));
    expect((await failed)[1]).toMatchObject({ code: 'ERR_IOCP_FILE_NAME' });
    await peer.bytes(5);
    expect(read(peer.received.subarray(4))).toMatchObject({ kind: 'fileRefuse', id: 1, code: 3 });
    expect(readdirSync(root).sort()).toEqual(['in', 'mine']);
    expect(readdirSync(directory)).toEqual([]);
  });

  it.runIf(process.platform !== 'win32').each(['refuse', 'overwrite', 'rename'] as const)(
    'under the name of a symbolic link does not follow it (%s)',
    async (onExists) => {
      const { server: engine, root, directory, peer } = await victim({ onExists, resume: true });
      symlinkSync(join(root, 'mine'), join(directory, 'link'));
      symlinkSync(join(root, 'mine'), join(directory, 'other.part'));
      const done = Promise.race([next(engine, 'fileCompleted'), next(engine, 'fileFailed')]);
      const offer = { size: 4n, modifiedMs: 0n, check: 'crc32c' as const };
      await peer.write(frame(fileOffer({ ...offer, id: 1, name: 'other' })));
      await done;
      const second = Promise.race([next(engine, 'fileCompleted'), next(engine, 'fileFailed')]);
      await peer.write(frame(fileOffer({ ...offer, id: 3, check: 'none', name: 'link' })));
      const answers = [Buffer.of(17, 3, 0, 0, 0), Buffer.of(18, 3, 0, 0, 0)];
      await peer.when(() => answers.some((answer) => peer.received.includes(answer)));
      await peer.write(
        Buffer.concat([frame(fileChunk(3, Buffer.from('evil'))), frame(fileEnd(3, 0))]),
      );
      await second;
      expect(readFileSync(join(root, 'mine'), 'utf8')).toBe('untouched');
      expect(readdirSync(root).sort()).toEqual(['in', 'mine']);
    },
  );

  it.each([2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n])(
    'of %s bytes is refused and costs nothing',
    async (size) => {
      const { server: engine, directory, peer } = await victim();
      const failed = next<[unknown, Error]>(engine, 'fileFailed');
      await peer.write(
        frame(fileOffer({ id: 1, size, modifiedMs: 2n ** 64n - 1n, check: 'none', name: 'a' })),
      );
      expect((await failed)[1]).toMatchObject({ code: 'ERR_IOCP_FILE_TOO_LARGE' });
      expect(readdirSync(directory)).toEqual([]);
    },
  );

  it.each([
    ['more bytes than it said', Buffer.alloc(5)],
    ['fewer bytes than it said', Buffer.alloc(3)],
    ['nothing', Buffer.alloc(0)],
  ])('and sends %s leaves no file behind', async (_what, bytes) => {
    const { server: engine, directory, peer } = await victim();
    const failed = next<[unknown, Error]>(engine, 'fileFailed');
    await peer.write(
      frame(fileOffer({ id: 1, size: 4n, modifiedMs: 0n, check: 'none', name: 'a' })),
    );
    await peer.when(() => peer.received.length >= 17);
    await peer.write(Buffer.concat([frame(fileChunk(1, bytes)), frame(fileEnd(1, 0))]));
    await failed;
    await engine.close();
    expect(existsSync(join(directory, 'a'))).toBe(false);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('and sends more than it was given credit for is stopped', async () => {
    const { server: engine, directory, peer } = await victim();
    const failed = next<[unknown, Error]>(engine, 'fileFailed');
    const size = 5n * 2n ** 20n;
    await peer.write(frame(fileOffer({ id: 1, size, modifiedMs: 0n, check: 'none', name: 'a' })));
    await peer.when(() => peer.received.length >= 17);
    const flood = Array.from({ length: 400 }, () => frame(fileChunk(1, pattern(1_000_000, 1))));
    void peer.write(Buffer.concat(flood.slice(0, 9)));
    expect((await failed)[1]).toMatchObject({ code: 'ERR_IOCP_PROTOCOL' });
    await engine.close({ graceMs: 0 });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('and uses ids that are not its own, or twice, is refused', async () => {
    const { server: engine, peer } = await victim({ autoAccept: false });
    engine.on('fileOffer', () => {});
    const offer = { size: 4n, modifiedMs: 0n, check: 'none' as const, name: 'a' };
    const refusal = frame(fileRefuse(2, 12, 'the id is taken'));
    await peer.write(frame(fileOffer({ ...offer, id: 2 })));
    expect(await peer.bytes(refusal.length)).toEqual(refusal);
    await peer.write(frame(fileOffer({ ...offer, id: 1 })));
    await peer.write(frame(fileOffer({ ...offer, id: 1 })));
    await peer.when(() => peer.received.includes('the id is taken', refusal.length));
  });

  it('and answers what was not asked is ignored', async () => {
    const { server: engine, peer } = await victim();
    const texts = packages(engine, 1);
    const nonsense = [
      fileAccept(2, 5n),
      fileChunk(9, Buffer.from('x')),
      fileEnd(7, 1),
      Buffer.of(19),
    ];
    await peer.write(Buffer.concat([...nonsense.map((one) => frame(one)), frame('\0end\0')]));
    await texts;
  });
});
