// The JavaScript tests under Wine: those of every system, less the ones that left-out.mjs names, and those of this folder.
import path from 'node:path';

import { defineConfig, mergeConfig } from 'vitest/config';

import everywhere from '../../vitest.config.mjs';
import { javaScriptTests } from './left-out.mjs';

const literally = (text) => text.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&');
const leftOut = Object.keys(javaScriptTests).map(literally).join('|');

export default mergeConfig(
  everywhere,
  defineConfig({
    test: {
      root: path.resolve(import.meta.dirname, '../..'),
      testTimeout: 120_000, // a limit against hanging: Wine takes a second to start a process, more on a busy machine
      include: ['test/windows/**/*.test.ts'],
      testNamePattern: new RegExp(`^(?!(?:${leftOut})$)`),
    },
  }),
);
