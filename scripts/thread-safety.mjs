// Runs Clang's thread-safety analysis over everything that takes a lock: port, core and binding. The annotations in
// native/port/mutex.h say who guards what; breaking one of them fails here, before any test can be lucky.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';

import { filesUnder } from './files.mjs';
import { needTool, root } from './run.mjs';

const compiler = needTool('clang++-14', 'clang++');
const system = (folder) => ['-isystem', path.join(root, 'node_modules', folder)];
const flags = [
  ...[
    '-std=c++20',
    '-fsyntax-only',
    '-Werror',
    '-Wall',
    '-Wextra',
    '-Wthread-safety',
    '-Wthread-safety-beta',
  ],
  ...[
    '-DNAPI_VERSION=8',
    '-DNAPI_DISABLE_CPP_EXCEPTIONS',
    '-DBUILDING_NODE_EXTENSION',
    '-DIOCP_DEBUG_CHECKS',
  ],
  ...['-I', path.join(root, 'native')],
  ...system('node-addon-api'),
  ...system('node-api-headers/include'),
];

// A backend needs its own system's headers: said, not passed over in silence.
const backends = { epoll: 'linux', kqueue: 'darwin', iocp: 'win32' };
// One file per family of processors; none of them takes a lock, and only one of them can be compiled here.
const processorsOnly = path.join('native', 'port', 'cpu') + path.sep;
const all = filesUnder('native', '.cc').filter((file) => !file.includes(processorsOnly));
const elsewhere = Object.keys(backends).filter((name) => backends[name] !== process.platform);
const sources = all.filter(
  (file) => !elsewhere.some((name) => file.startsWith(path.posix.join('native/port', name, '/'))),
);
console.log(
  `thread safety: ${all.length - sources.length} files of ${elsewhere.join(' and ')} need their own systems`,
);
let failed = 0;
const waiting = [...sources];
/** One file after another; as many of these go on at a time as there are processors. */
async function compileWaiting() {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    const child = spawn(compiler, [...flags, file], { cwd: root, stdio: 'inherit' });
    const [status] = await once(child, 'exit');
    if (status !== 0) failed += 1;
  }
}
await Promise.all(Array.from({ length: os.availableParallelism() }, compileWaiting));
console.log(`thread safety: ${sources.length - failed} files passed, ${failed} failed`);
process.exit(failed > 0 || sources.length === 0 ? 1 : 0);
