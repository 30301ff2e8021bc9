// `npm run test:package`: packs the package as it would be published, installs it as a stranger would, and runs it on
// every platform and runtime this machine can offer. Prints a table of platform x {built, verified, loaded, suite}.
//   npm run test:package [-- --quick]   --quick: this platform only, nothing fetched, no suites; where no prebuilt addon
//                                       was made for it, the local build stands in for one
//   npm run test:package [-- --only name…] name: node, bun, musl, arm64 or wine; the other cells are "not here"
// Built are the files that `npm run prebuilds` left in prebuilds/; a runtime that cannot be had is "not here", never ok.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import {
  cannotBuild,
  checkContents,
  checkTypes,
  echoes,
  installPacked,
} from './package/install.mjs';
import { onArm64, onBun, onMusl, onNodeVersions, onWine } from './package/runtimes.mjs';
import { read, root, run } from './run.mjs';
import { targets } from './prebuild/targets.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
  },
});
const scratch = mkdtempSync(path.join(os.tmpdir(), 'iocp-package-'));
let failures = 0;
const table = [];

/** Runs one check; a thrown error is a failure that is shown and does not hide the next ones. */
function check(name, body) {
  const begun = Date.now();
  try {
    const note = body() ?? '';
    console.log(`ok    ${name} (${Date.now() - begun} ms)${note && `: ${note}`}`);
    return note || 'ok';
  } catch (error) {
    failures += 1;
    console.log(`FAIL  ${name}\n${error.message.replace(/^/gm, '      ')}`);
    return 'FAIL';
  }
}

const verified = (target) =>
  run(process.execPath, [path.join(root, 'scripts/prebuild/verify.mjs'), target.name]) === 0;

function pack() {
  read('npm', ['pack', '--silent', '--pack-destination', scratch]);
  return path.join(
    scratch,
    readdirSync(scratch).find((name) => name.endsWith('.tgz')),
  );
}

function here(tarball, user) {
  check('the package contains what is needed and nothing else', () => checkContents(tarball));
  const loaded = check('it installs and echoes where there is no compiler', () =>
    installPacked(tarball, user),
  );
  check('import and require are one package', () => echoes(process.execPath, user));
  check('TypeScript finds its types (node16, bundler)', () => checkTypes(user));
  check('without prebuild and compiler the error says what to install', () =>
    cannotBuild(tarball, path.join(scratch, 'hopeless')),
  );
  return loaded;
}

const runtimes = {
  node: ['linux-x64-glibc', onNodeVersions],
  bun: ['Bun (linux-x64)', onBun],
  musl: ['linux-x64-musl', onMusl],
  arm64: ['linux-arm64-glibc', onArm64],
  wine: ['win32-x64', onWine],
};

function elsewhere(user) {
  const chosen = options.only.length > 0 ? options.only : Object.keys(runtimes);
  return new Map(chosen.map((name) => [runtimes[name][0], runtimes[name][1](check, user)]));
}

if (options.quick && process.platform === 'linux') {
  const own = path.join(root, `prebuilds/linux-${process.arch}/iocp.glibc.node`);
  if (!existsSync(own)) {
    console.log('no prebuilt addon for this platform: the local build stands in for it');
    mkdirSync(path.dirname(own), { recursive: true });
    cpSync(path.join(root, 'build/Release/iocp.node'), own);
    process.on('exit', () => rmSync(own));
  }
}
const user = path.join(scratch, 'user');
mkdirSync(user);
const tarball = pack();
const loadedHere = here(tarball, user);
const others = options.quick ? new Map() : elsewhere(user);
for (const target of options.quick ? [] : targets) {
  const built = existsSync(path.join(root, target.file));
  const at = others.get(target.name) ?? {};
  table.push({
    platform: target.name,
    built: built ? 'yes' : 'no',
    verified: built ? (verified(target) ? 'yes' : 'NO') : '-',
    loaded: at.loaded ?? (target.name === 'linux-x64-glibc' ? loadedHere : 'not here'),
    suite: at.suite ?? 'not here',
  });
}
const bun = others.get('Bun (linux-x64)');
if (bun !== undefined) {
  table.push({ platform: 'Bun (linux-x64)', built: '-', verified: '-', ...bun });
}
if (!options.quick) console.table(table);
rmSync(scratch, { recursive: true, force: true });
console.log(failures === 0 ? 'package: all checks passed' : `package: ${failures} CHECKS FAILED`);
process.exit(failures === 0 ? 0 : 1);
