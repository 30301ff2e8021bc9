// Servers under Wine for peers on the Linux side: started, found by the ports they print, and ended.
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { root } from '../run.mjs';
import { nodeProgram, readLog, startWine, windowsPath } from './wine.mjs';

const START_MS = 20_000;

/** Starts a server program and waits for the ports it prints. */
export async function startServer(major, script, env = {}) {
  const log = `server-${path.basename(script, '.mjs')}`;
  const file = windowsPath(path.join(root, script));
  const child = startWine([nodeProgram(major), file], { log, env });
  const gone = new Promise((resolve) =>
    child.once('exit', (code, signal) => resolve(signal ?? code)),
  );
  const stop = async () => {
    child.kill('SIGKILL');
    await gone;
  };
  const printed = (text, name) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1]);
  const begin = Date.now();
  for (;;) {
    const text = readLog(log);
    const port = printed(text, 'listening');
    if (port > 0) return { port, aboutPort: printed(text, 'about'), pid: child.pid, stop };
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (ended || Date.now() - begin > START_MS) {
      await stop();
      const how = ended ? `ended with ${child.signalCode ?? child.exitCode}` : 'does not listen';
      throw new Error(`${script} ${how} after ${Date.now() - begin} ms, and printed "${text}"`);
    }
    await sleep(20);
  }
}
