// The JavaScript tests under Wine, run by Windows' own node.exe: the same files as everywhere, and test/windows.
import { readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

import { javaScriptTests } from '../../test/windows/left-out.mjs';
import { root } from '../run.mjs';
import { folder, nodeProgram, runWine } from './wine.mjs';

const LIMIT_MS = 1_200_000;
const require = createRequire(import.meta.url);

/** The bundler of the tests is native; its Windows half must be of the same version. */
function checkBundler() {
  const { version } = require('rolldown/package.json');
  const { dependencies } = require('./package.json');
  if (dependencies['@rolldown/binding-win32-x64-msvc'] === version) return;
  console.error(`scripts/windows/package.json must name rolldown's version, ${version}`);
  process.exit(1);
}

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined; // it ended before it could count
  }
}

/** Tests that were not run and should have been, and names that belong to no test. */
function strays(report) {
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const ran = (test) => test.status === 'passed' || test.status === 'failed';
  const leftOut = tests.filter((test) => !ran(test)).map((test) => test.fullName);
  return [
    ...leftOut
      .filter((name) => !(name in javaScriptTests))
      .map((name) => `was not run, and nothing says why: "${name}"`),
    ...Object.keys(javaScriptTests)
      .filter((name) => !leftOut.includes(name))
      .map((name) => `left out, but no test has this name: "${name}"`),
  ];
}

/** Says what is left out and why, the names of one reason together. */
export function announceLeftOut() {
  console.log('JavaScript tests, left out:');
  for (const reason of new Set(Object.values(javaScriptTests))) {
    console.log(`  ${reason}:`);
    for (const [name, why] of Object.entries(javaScriptTests)) {
      if (why === reason) console.log(`    "${name}"`);
    }
  }
}

/**
 * Runs the tests on one major of Node.js; `filters` choose files, `env` another addon. Returns how many tests passed and
 * failed.
 */
export function javaScriptTestsOn(major, filters, env = {}) {
  checkBundler();
  const reportFile = path.join(folder, `vitest-${major}.json`);
  rmSync(reportFile, { force: true });
  const begin = Date.now();
  const { status, text } = runWine(
    [
      nodeProgram(major),
      path.join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      ...['--config', 'test/windows/vitest.config.mjs'],
      ...['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`],
      ...filters,
    ],
    { log: `vitest-${major}`, limitMs: LIMIT_MS, env },
  );
  const report = readReport(reportFile);
  const faults = report === undefined ? ['ended without a report'] : [];
  if (report !== undefined && filters.length === 0) faults.push(...strays(report));
  const counted = { passed: report?.numPassedTests ?? 0, failed: report?.numFailedTests ?? 0 };
  if (status !== 0 || faults.length > 0) {
    console.log(text);
    counted.failed = Math.max(1, counted.failed + faults.length);
  }
  for (const fault of faults) console.log(`  ${fault}`);
  const seconds = ((Date.now() - begin) / 1000).toFixed(0);
  console.log(
    `${counted.failed === 0 ? 'ok  ' : 'FAIL'} JavaScript tests, node.exe ${major}: ` +
      `${counted.passed} passed, ${counted.failed} failed, ${seconds} s`,
  );
  return counted;
}
