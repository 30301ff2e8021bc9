// Proves that a prebuilt addon depends on its sources only: builds the targets again from nothing, in folders of other
// names, and compares byte for byte.
//   node scripts/prebuild/reproducible.mjs [target…]   (without: all that `npm run prebuilds` has made)
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';

import { root, run } from '../run.mjs';
import { chosenTargets } from './targets.mjs';

const digest = (file) => createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 16);

// Another place, as it would be on another machine; only what was fetched is shared.
const copy = mkdtempSync(path.join(root, 'build-again-'));
for (const part of ['cmake', 'native', 'scripts', 'CMakeLists.txt', 'package.json']) {
  cpSync(path.join(root, part), path.join(copy, part), {
    recursive: true,
    filter: (source) => !source.endsWith('node_modules'),
  });
}
symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
symlinkSync(
  path.join(root, 'scripts/prebuild/node_modules'),
  path.join(copy, 'scripts/prebuild/node_modules'),
);

let different = 0;
const made = chosenTargets(process.argv.slice(2)).filter((target) =>
  existsSync(path.join(root, target.file)),
);
for (const target of made) {
  const status = run(process.execPath, [
    path.join(copy, 'scripts/prebuild/prebuild.mjs'),
    target.name,
  ]);
  const [first, second] = [root, copy].map((place) =>
    status === 0 || place === root ? digest(path.join(place, target.file)) : 'not built',
  );
  if (first !== second) different += 1;
  console.log(`${first === second ? 'same' : 'DIFFERENT'}  ${target.file}  ${first} ${second}`);
}
rmSync(copy, { recursive: true, force: true });
console.log(`reproducible: ${made.length - different} of ${made.length}`);
process.exit(different === 0 && made.length > 0 ? 0 : 1);
