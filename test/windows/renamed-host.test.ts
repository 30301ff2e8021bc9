// The addon finds Node-API in whatever program has loaded it: Electron's is not called node.exe.

import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { afterwards } from '../js/support.js';

const echo = fileURLToPath(new URL('fixtures/echo.mjs', import.meta.url));

describe('a host that is not called node.exe', () => {
  it.each(['electron.exe', 'My Application.exe'])(
    'such as %s loads the addon and echoes',
    async (name) => {
      const folder = mkdtempSync(path.join(tmpdir(), 'iocp-host-'));
      afterwards(() => rmSync(folder, { recursive: true, force: true }));
      const host = path.join(folder, name);
      copyFileSync(process.execPath, host);
      const { stdout, stderr } = await promisify(execFile)(host, [echo, '100'], {
        timeout: 15_000,
      });
      expect(stderr).toBe('');
      expect(JSON.parse(stdout)).toMatchObject({ echoed: 100 });
    },
  );
});
