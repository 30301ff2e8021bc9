// What becomes of the file names that peers suggest, hostile ones above all.

import { createRequire } from 'node:module';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

const require = createRequire(import.meta.url);
const { safeFileName } =
  require('../../../dist/file-names.js') as typeof import('../../../lib/file-names.js');

const FOLDER = path.resolve('folder');
const long = (bytes: number): string => 'n'.repeat(bytes);

const kept = [
  'a.txt',
  'a',
  '.gitignore',
  '..a',
  '...a',
  'a b.txt',
  'größe.bin',
  '文件.bin',
  '👍.png',
  "it's $HOME `x` ;rm -rf ~ &",
  '-rf',
  '~',
  '%2e%2e%2fa',
  'console.log',
  'com10.txt',
  'com.txt',
  'lpt',
  'nul_.txt',
  'auxiliary',
  'part',
  'a.partial',
  '__proto__',
  long(250),
];

const reduced: ReadonlyArray<readonly [suggested: string, name: string]> = [
  ['../a.txt', 'a.txt'],
  ['../../../../etc/passwd', 'passwd'],
  ['..\\..\\windows\\system32\\drivers\\etc\\hosts', 'hosts'],
  ['/etc/shadow', 'shadow'],
  ['\\\\server\\share\\a.txt', 'a.txt'],
  ['//server/share/a.txt', 'a.txt'],
  ['\\\\?\\C:\\a.txt', 'a.txt'],
  ['\\\\.\\PhysicalDrive0', 'PhysicalDrive0'],
  ['C:\\a.txt', 'a.txt'],
  ['C:a.txt', 'a.txt'],
  ['c:/a.txt', 'a.txt'],
  ['a:b', 'b'],
  ['a/../../b.txt', 'b.txt'],
  ['a\\..\\..\\b.txt', 'b.txt'],
  ['./a.txt', 'a.txt'],
  ['a//b', 'b'],
  ['../..\\../mixed.txt', 'mixed.txt'],
  ['/proc/self/mem', 'mem'],
  ['file:///etc/passwd', 'passwd'],
];

const refused: ReadonlyArray<readonly [suggested: string, problem: RegExp]> = [
  ['', /names no file/],
  ['/', /names no file/],
  ['\\', /names no file/],
  ['C:', /names no file/],
  ['C:\\', /names no file/],
  ['a/', /names no file/],
  ['.', /names a folder/],
  ['..', /names a folder/],
  ['../..', /names a folder/],
  ['..\\..', /names a folder/],
  ['a/..', /names a folder/],
  ['/.', /names a folder/],
  ['...', /ends with a dot/],
  ['. ', /ends with a dot or a space/],
  ['.. ', /ends with a dot or a space/],
  ['a.', /ends with a dot/],
  ['a ', /ends with a dot or a space/],
  ['a.txt...', /ends with a dot/],
  [' ', /ends with a dot or a space/],
  [' a', /begins with a space/],
  ['a\0.txt', /control character/],
  ['a.txt\0', /control character/],
  ['\0', /control character/],
  ['../a\0/../b\0', /control character/],
  ['a\n.txt', /control character/],
  ['a\r\n', /control character/],
  ['\x1b[2Ja', /control character/],
  ['a\x7f', /control character/],
  ['a\u0085', /control character/],
  ['photo\u202egpj.exe', /control character/],
  ['a\u2066b', /control character/],
  ['a\u2028b', /control character/],
  ['\ufeffa', /control character/],
  ['a\ud800', /is not Unicode/],
  ['\udc00a', /is not Unicode/],
  ['ab:c', /holds :, which Windows does not take/],
  ['a.txt:stream', /holds :/],
  ['a.txt::$DATA', /holds :/],
  ['C:D:a', /holds :/],
  ['a?', /holds \?/],
  ['*', /holds \*/],
  ['a<b', /holds </],
  ['a>b', /holds >/],
  ['a|b', /holds \|/],
  ['"a"', /holds "/],
  ['CON', /names the device CON/],
  ['con', /names the device CON/],
  ['Con.txt', /names the device CON/],
  ['con .txt', /names the device CON/],
  ['con.tar.gz', /names the device CON/],
  ['PRN', /names the device PRN/],
  ['aux.c', /names the device AUX/],
  ['nul', /names the device NUL/],
  ['C:NUL', /names the device NUL/],
  ['../nul.txt', /names the device NUL/],
  ['COM1', /names the device COM1/],
  ['com0.log', /names the device COM0/],
  ['com\u00b9', /names the device COM/],
  ['LPT9.x', /names the device LPT9/],
  ['lpt\u00b3.txt', /names the device LPT/],
  ['CONIN$', /names the device CONIN\$/],
  ['conout$.txt', /names the device CONOUT\$/],
  ['CLOCK$', /names the device CLOCK\$/],
  ['a.part', /ends with .part/],
  ['a.PART', /ends with .part/],
  ['.part', /ends with .part/],
  [long(251), /takes 251 bytes, of 250 at most/],
  [long(100_000), /takes 100000 bytes/],
  ['ü'.repeat(126), /takes 252 bytes/],
];

describe('a suggested file name', () => {
  it.each(kept.map((name) => [name.slice(0, 40), name]))('%j is taken as it is', (_, name) => {
    expect(safeFileName(name)).toEqual({ name });
  });

  it.each(reduced)('%j becomes %j', (suggested, name) => {
    expect(safeFileName(suggested)).toEqual({ name });
  });

  it.each(refused.map((row) => [row[0].slice(0, 40), ...row] as const))(
    '%j is refused',
    (...row) => {
      const [, suggested, problem] = row;
      expect(safeFileName(suggested)).toEqual({ problem: expect.stringMatching(problem) });
    },
  );

  it('stays in its folder, on this system and on Windows', () => {
    const all = [...kept, ...reduced.map(([one]) => one), ...refused.map(([one]) => one)];
    expect(refused.length + reduced.length).toBeGreaterThanOrEqual(60);
    for (const suggested of all) {
      const safe = safeFileName(suggested);
      if (!('name' in safe)) continue;
      expect(path.dirname(path.resolve(FOLDER, safe.name))).toBe(FOLDER);
      expect(path.win32.dirname(path.win32.resolve('C:\\folder', safe.name))).toBe('C:\\folder');
    }
  });

  it('is told without what would garble a terminal', () => {
    const answers = refused.map(([suggested]) => safeFileName(suggested) as { problem: string });
    for (const { problem } of answers) {
      expect(problem).not.toMatch(/[\p{Cc}\u202e\u2066\ufeff]/u);
      expect(problem.length).toBeLessThan(200);
    }
  });
});
