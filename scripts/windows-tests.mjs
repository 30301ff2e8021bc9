// `npm run test:windows`: builds everything for 64-bit Windows with MinGW-w64 and tests it under Wine, on Windows' own
// node.exe. What is left out is named in test/windows/left-out.mjs, and the run prints it with its reasons.
//   node scripts/windows-tests.mjs [--only part …] [--node 20|22 …] [--rounds n] [--seconds n] [test file filter …]
// Parts: native, javascript, addon, trace, peers, comparison (whose rounds and seconds the two options set).
//   node scripts/windows-tests.mjs --prebuilt [--node 20|22 …] [test file filter …]
// The second form builds nothing: it runs the JavaScript tests on what `npm run prebuilds` made for win32-x64.
// Needs Debian's g++-mingw-w64-x86-64-posix, wine, wine64, cmake, ninja-build, netcat-openbsd; the rest comes from npm.
// Leaves its counts in build-windows/summary.json for continuous integration.
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { mustRun, root } from './run.mjs';
import { addonImports } from './windows/addon.mjs';
import { buildAddon, buildNativeTests } from './windows/build.mjs';
import { comparison } from './windows/comparison.mjs';
import { announceLeftOut, javaScriptTestsOn } from './windows/javascript.mjs';
import { nativeTests } from './windows/native.mjs';
import { peers } from './windows/peers.mjs';
import { traces } from './windows/trace.mjs';
import { finish, folder, NODE_MAJORS, prepareWine, windowsPath } from './windows/wine.mjs';

const PARTS = ['native', 'addon', 'trace', 'peers', 'comparison', 'javascript'];

const { values: options, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true, default: PARTS },
    node: { type: 'string', multiple: true, default: NODE_MAJORS },
    prebuilt: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '0.8' },
  },
});
function checkChoices(name, chosen, known) {
  const wrong = chosen.filter((one) => !known.includes(one));
  if (wrong.length === 0) return;
  console.error(`--${name} takes ${known.join(', ')}; not ${wrong.join(', ')}`);
  process.exit(2);
}
checkChoices('only', options.only, PARTS);
checkChoices('node', options.node, NODE_MAJORS);
const wanted = (part) => options.only.includes(part);
const [firstMajor] = options.node;

/** What a part counts; one that throws has failed, and does not keep the others from being run. */
async function attempt(part) {
  try {
    return await part();
  } catch (error) {
    console.error(error);
    return { passed: 0, failed: 1 };
  }
}

async function run() {
  const counted = [];
  const count = async (part) => counted.push(await attempt(part));
  if (wanted('native') || wanted('trace')) buildNativeTests();
  if (wanted('native')) await count(nativeTests);
  if (PARTS.some((part) => part !== 'native' && wanted(part))) {
    const addon = buildAddon();
    if (wanted('addon')) await count(() => addonImports(addon));
  }
  if (wanted('trace')) await count(() => traces(firstMajor));
  if (wanted('peers')) await count(() => peers(firstMajor));
  if (wanted('comparison')) {
    const times = { rounds: Number(options.rounds), seconds: Number(options.seconds) };
    await count(() => comparison(firstMajor, times));
  }
  if (wanted('javascript')) {
    announceLeftOut();
    for (const major of options.node) await count(() => javaScriptTestsOn(major, filters));
  }
  return counted;
}

function runOnPrebuilt() {
  mustRun('npm', ['run', '--silent', 'build:ts']);
  announceLeftOut();
  const env = { IOCP_PREBUILD: windowsPath(root), PREBUILDS_ONLY: '1' };
  return options.node.map((major) => javaScriptTestsOn(major, filters, env));
}

const summaryFile = path.join(folder, 'summary.json');
rmSync(summaryFile, { force: true });
prepareWine();
let counted = [];
try {
  counted = options.prebuilt ? runOnPrebuilt() : await run();
} finally {
  finish();
}
const sum = (of) => counted.reduce((total, counts) => total + counts[of], 0);
const summary = { passed: sum('passed'), failed: sum('failed') };
writeFileSync(summaryFile, JSON.stringify(summary));
console.log(`Windows: ${summary.passed} passed, ${summary.failed} failed`);
process.exit(summary.failed === 0 ? 0 : 1);
