// Turns the verbose log of a ctest run into counts. A test program states its own cases in a last line
// "N passed, N failed"; a program that ended without one (a crash, a time-out) counts as one failed case.

/** Reads the text of `ctest -V`; returns the counts and one printable line per program. */
export function countNativeTests(log) {
  const stated = new Map(); // program number -> [passed, failed]
  const counts = { passed: 0, failed: 0, lines: [] };
  for (const line of log.split('\n')) {
    const statement = /^(\d+): .*?(\d+) passed, (\d+) failed/.exec(line);
    if (statement !== null) {
      stated.set(statement[1], [Number(statement[2]), Number(statement[3])]);
      continue;
    }
    const result = /^\s*\d+\/\d+ Test\s+#(\d+): (\S+) \.*\s*(.*?)\s+([\d.]+) sec/.exec(line);
    if (result === null) continue;
    const [, number, name, verdict, seconds] = result;
    const good = verdict === 'Passed';
    let [passed, failed] = stated.get(number) ?? (good ? [1, 0] : [0, 1]);
    if (!good && failed === 0) failed = 1;
    // The canary states failures that it made on purpose: its exit code is its one case.
    if (good && (failed > 0 || passed === 0)) [passed, failed] = [1, 0];
    counts.passed += passed;
    counts.failed += failed;
    const mark = good ? 'ok  ' : 'FAIL';
    counts.lines.push(
      `${mark} ${name.padEnd(20)} ${passed} passed, ${failed} failed, ${seconds} s${good ? '' : ` (${verdict})`}`,
    );
  }
  return counts;
}
