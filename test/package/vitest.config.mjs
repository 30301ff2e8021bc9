// The JavaScript tests on the runtime that IOCP_LEFT_OUT names, less the ones that left-out.mjs names for it.
import path from 'node:path';

import { defineConfig, mergeConfig } from 'vitest/config';

import everywhere from '../../vitest.config.mjs';
import * as leftOut from './left-out.mjs';

const literally = (text) => text.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&');
const names = Object.keys(leftOut[process.env.IOCP_LEFT_OUT]).map(literally).join('|');

export default mergeConfig(
  everywhere,
  defineConfig({
    test: {
      root: path.resolve(import.meta.dirname, '../..'),
      testNamePattern: new RegExp(`^(?!(?:${names})$)`),
    },
  }),
);
