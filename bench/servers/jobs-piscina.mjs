// The same jobs on Piscina, with its defaults.
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { run } from './jobs-load.mjs';

const require = createRequire(new URL('../peers/', import.meta.url));
const { Piscina } = require('piscina');
const threads = Number(process.argv[3]);
const filename = path.join(path.dirname(fileURLToPath(import.meta.url)), 'jobs-work.mjs');
const pool = new Piscina({ filename, minThreads: threads, maxThreads: threads });
await run(
  (data) => pool.run(data),
  async () => {},
);
