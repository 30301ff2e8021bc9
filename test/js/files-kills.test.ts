// Either process killed in the middle of a transfer, at another moment each time: no file under the final name until it
// is whole, and the next try goes on where the last one ended. And a disk that is full.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { afterwards, next, pair, PATIENCE, pattern, seeded, until } from './support.js';

const PEER = fileURLToPath(new URL('fixtures/files-peer.mjs', import.meta.url));
const KILLS = 50;
const SIZE = 96 * 1024 * 1024;

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'iocp-kills-'));
  afterwards(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

const sha = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

function start(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [PEER, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000 * PATIENCE,
    killSignal: 'SIGKILL',
  });
  afterwards(() => child.kill('SIGKILL'));
  return child;
}

describe('a process that is killed', () => {
  it(
    `at ${KILLS} moments leaves no partial file under the name, and the next try goes on`,
    async () => {
      const random = seeded(20);
      const root = folder();
      const to = join(root, 'to');
      mkdirSync(to);
      const path = join(root, 'data.bin');
      writeFileSync(path, randomBytes(SIZE));
      const digest = sha(path);
      const final = join(to, 'data.bin');
      const part = `${final}.part`;
      let resumed = 0;
      let serving = start('serve', to);
      let port = String((await once(serving.stdout!, 'data'))[0]).trim();
      for (let kill = 0; kill < KILLS; kill++) {
        const before = existsSync(part) ? statSync(part).size : 0;
        const goal = before + random() * (SIZE - before);
        const sending = start('send', port, path);
        const ended = once(sending, 'close');
        let over = false;
        void ended.then(() => (over = true));
        await until(
          () => over || existsSync(final) || (existsSync(part) && statSync(part).size >= goal),
        );
        if (existsSync(final)) {
          // It was quicker than the kill: what has the name is whole.
          expect(sha(final)).toBe(digest);
        }
        const victim = kill % 2 === 0 ? sending : serving;
        victim.kill('SIGKILL');
        if (victim === serving) {
          await once(serving, 'close');
          sending.kill('SIGKILL');
          serving = start('serve', to);
          port = String((await once(serving.stdout!, 'data'))[0]).trim();
        }
        await ended;
        if (existsSync(part) && statSync(part).size > 0) resumed++;
        if (existsSync(final)) {
          expect(sha(final)).toBe(digest);
          rmSync(final);
        }
      }
      expect(resumed).toBeGreaterThan(KILLS / 4);
      const left = existsSync(part) ? statSync(part).size : 0;
      const last = start('send', port, path);
      const result = JSON.parse(String((await once(last.stdout!, 'data'))[0]));
      await once(last, 'close');
      expect(result.resumedAt).toBeGreaterThanOrEqual(Math.min(left, 1));
      expect(sha(final)).toBe(digest);
      expect(readdirSync(to)).toEqual(['data.bin']);
    },
    120_000 * PATIENCE,
  );
});

const makesDisks = process.platform === 'linux' && process.getuid?.() === 0;

describe.runIf(makesDisks)('a disk that is full', () => {
  it('is told to both sides, before a byte is sent, and the connection stays usable', async () => {
    const root = folder();
    const to = join(root, 'disk');
    mkdirSync(to);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', to]);
    afterwards(() => execFileSync('umount', [to]));
    const fileTransfer = { directory: to, autoAccept: true };
    const { server, outgoing } = await pair({ fileTransfer });
    const path = join(root, 'big');
    writeFileSync(path, pattern(5_000_000, 1));
    const failed = next<[unknown, Error]>(server, 'fileFailed');
    await expect(outgoing.sendFile(path)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect((await failed)[1]).toMatchObject({ code: 'ENOSPC' });
    expect(readdirSync(to)).toEqual([]);
    const small = join(root, 'small');
    writeFileSync(small, pattern(1000, 1));
    await outgoing.sendFile(small);
    expect(sha(join(to, 'small'))).toBe(sha(small));
  });
});
