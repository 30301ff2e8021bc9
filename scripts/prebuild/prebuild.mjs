// `npm run prebuilds`: makes the prebuilt addons of every platform on one x64 Linux machine, then verifies each.
//   npm run prebuilds -- [target…]   some of them only, such as linux-x64-musl
// A target takes a minute of two processors, and one more the first time, for zig compiles its libc++. Targets come one
// after another, because each of them uses all processors.
import { rmSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';

import { root, run } from '../run.mjs';
import { chosenTargets } from './targets.mjs';
import { needZig, runQuietly } from './zig.mjs';

const prebuildify = path.join(root, 'scripts/prebuild/node_modules/prebuildify/bin.js');
const chosen = chosenTargets(process.argv.slice(2));

needZig();
for (const target of chosen) {
  const begun = Date.now();
  const folder = path.join(root, 'build-prebuild', target.name);
  const log = path.join(folder, 'build.log');
  // From nothing, for what is published may not depend on what was left here; zig's own cache makes that quick.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const libc = target.libc === undefined ? [] : [`--libc=${target.libc}`, '--tag-libc'];
  runQuietly(
    process.execPath,
    [
      ...[prebuildify, '--napi', `--platform=${target.platform}`, `--arch=${target.arch}`, ...libc],
      ...[`--cwd=${folder}`, `--out=${root}`, '--name=iocp'],
      // Asked for by prebuildify; Node-API does not mind which.
      '--target=20.0.0',
      `--node-gyp=${path.join(root, 'scripts/prebuild/node-gyp.mjs')}`,
    ],
    target,
    log,
  );
  const kilobytes = (statSync(path.join(root, target.file)).size / 1024).toFixed(0);
  const seconds = ((Date.now() - begun) / 1000).toFixed(1);
  console.log(
    `${target.name.padEnd(18)} ${target.file.padEnd(40)} ${kilobytes.padStart(4)} KiB  ${seconds} s`,
  );
}
const names = chosen.map((target) => target.name);
process.exit(run(process.execPath, [path.join(root, 'scripts/prebuild/verify.mjs'), ...names]));
