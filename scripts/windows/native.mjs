// The native tests under Wine: every program that was built, every case but those that test/windows/left-out.mjs names.
import { readdirSync } from 'node:fs';
import path from 'node:path';

import { nativeCases, nativeFiles } from '../../test/windows/left-out.mjs';
import { nativeFolder } from './build.mjs';
import { runWine } from './wine.mjs';

const LIMIT_MS = 200_000;

function announce() {
  console.log('native tests, left out:');
  for (const cases of Object.values(nativeCases)) {
    for (const [sentence, reason] of Object.entries(cases)) {
      console.log(`  "${sentence}": ${reason}`);
    }
  }
  for (const [what, reason] of Object.entries(nativeFiles)) console.log(`  ${what}: ${reason}`);
}

/** The canary states failures that it made on purpose: its exit code is its one case. */
function judgeCanary({ status }) {
  const good = status === 0;
  return { good, passed: good ? 1 : 0, failed: good ? 0 : 1 };
}

/** What a program's output says: its counts, and whether it left out exactly what it was meant to. */
function judge(name, { status, text }, meant) {
  const left = [...text.matchAll(/^left out {2}(.*?)\r?$/gm)].map((match) => match[1]);
  const strays = [
    ...left.filter((sentence) => !meant.includes(sentence)),
    ...meant.filter((sentence) => !left.includes(sentence)),
  ];
  for (const stray of strays) console.log(`  ${name}: left out is not what should be: "${stray}"`);
  const stated = /(\d+) passed, (\d+) failed\s*$/.exec(text);
  const [passed, failed] = stated === null ? [0, 1] : stated.slice(1).map(Number);
  const good = status === 0 && strays.length === 0;
  return { good, passed, failed: good ? 0 : Math.max(1, failed) };
}

/** Runs the native tests, which must have been built; returns how many cases passed and failed. */
export function nativeTests() {
  const programs = readdirSync(nativeFolder).filter((file) => /^test_.*\.exe$/.test(file));
  announce();
  const total = { passed: 0, failed: 0 };
  for (const program of programs.sort()) {
    const name = program.slice('test_'.length, -'.exe'.length);
    const meant = Object.keys(nativeCases[name] ?? {});
    const without = meant.flatMap((sentence) => ['--without', sentence]);
    const begin = Date.now();
    const result = runWine([path.join(nativeFolder, program), ...without], {
      log: name,
      limitMs: LIMIT_MS,
    });
    const { good, passed, failed } =
      name === 'canary' ? judgeCanary(result) : judge(name, result, meant);
    const seconds = ((Date.now() - begin) / 1000).toFixed(1);
    if (!good) console.log(result.text);
    console.log(
      `${good ? 'ok  ' : 'FAIL'} ${name.padEnd(20)} ${passed} passed, ${failed} failed, ${seconds} s`,
    );
    total.passed += passed;
    total.failed += failed;
  }
  if (total.passed === 0) total.failed += 1;
  return total;
}
