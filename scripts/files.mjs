// Lists the repository's own files for the checks; nothing built, fetched or hidden.
import { readdirSync } from 'node:fs';
import path from 'node:path';

import { root } from './run.mjs';

const skipped = /^(node_modules|dist|build|build-.*|prebuilds|coverage|results|\..*)$/;

/** Files below `folder` (relative to the root) whose names end in one of `endings`; relative, sorted. */
export function filesUnder(folder, ...endings) {
  const found = [];
  const visit = (at) => {
    for (const entry of readdirSync(path.join(root, at), { withFileTypes: true })) {
      const name = path.posix.join(at, entry.name);
      if (entry.name === '.git') continue; // a file, in a second working tree
      if (entry.isDirectory()) {
        if (!skipped.test(entry.name)) visit(name);
      } else if (endings.length === 0 || endings.some((ending) => name.endsWith(ending))) {
        found.push(name);
      }
    }
  };
  visit(folder);
  return found.sort();
}
