// Runs Clang's thread-safety analysis over everything that takes a lock: port, core and binding. The annotations in
// native/port/mutex.h say who guards what; breaking one of them fails here, before any test can be lucky.
import path from 'node:path';

import { filesUnder } from './files.mjs';
import { needTool, root, run } from './run.mjs';

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
const failed = sources.filter((file) => run(compiler, [...flags, file]) !== 0);
console.log(
  `thread safety: ${sources.length - failed.length} files passed, ${failed.length} failed`,
);
process.exit(failed.length > 0 || sources.length === 0 ? 1 : 0);
