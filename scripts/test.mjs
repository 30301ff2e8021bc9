// `npm test`: brings the build up to date, runs the native tests and then the JavaScript tests (both, even when the
// first ones fail), and ends with one line that says how many of each passed.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { localTool, mustRun, root, run } from './run.mjs';

const extra = process.argv.slice(2); // --require-all goes to the native tests
const vitestReport = path.join(root, 'build-native', 'vitest.json');
const summaryFile = path.join(root, 'build-native', 'summary.json');

function readCounts(file, pick) {
  try {
    return pick(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return { passed: 0, failed: 1 }; // it ended before it could count
  }
}

mustRun('npm', ['run', '--silent', 'build']);

const nativeStatus = run(process.execPath, [path.join(root, 'scripts/native-tests.mjs'), ...extra]);
const native = readCounts(path.join(root, 'build-native', 'counts.json'), (counts) => counts);

rmSync(vitestReport, { force: true });
const vitestStatus = run(localTool('vitest'), [
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${vitestReport}`,
]);
const vitest = readCounts(vitestReport, (report) => ({
  passed: report.numPassedTests,
  // A suite that could not be loaded has no tests to count, and still is a failure.
  failed: report.numFailedTests + (report.success || report.numFailedTests > 0 ? 0 : 1),
}));

const good = nativeStatus === 0 && vitestStatus === 0 && native.failed === 0 && vitest.failed === 0;
writeFileSync(summaryFile, JSON.stringify({ native, vitest }));
console.log(
  `\nnative: ${native.passed} passed, ${native.failed} failed; ` +
    `JavaScript: ${vitest.passed} passed, ${vitest.failed} failed`,
);
console.log(good ? 'all tests passed' : 'TESTS FAILED');
process.exit(good ? 0 : 1);
