// Checks every prebuilt addon without running it: format, processor, what it needs, imports and exports.
//   node scripts/prebuild/verify.mjs [target…]
// The formats are read by LLVM's tools, which know all of them whatever machine they run on.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

import { needTool, read, root } from '../run.mjs';
import { chosenTargets } from './targets.mjs';

const require = createRequire(import.meta.url);
const { binary } = require(path.join(root, 'package.json'));
const nodeApi = require('node-api-headers').symbols[`v${binary.napi_versions[0]}`];
const nodeApiNames = new Set([...nodeApi.js_native_api_symbols, ...nodeApi.node_api_symbols]);
const entryPoints = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];
const mostBytes = 1 << 20;

const readobj = needTool('llvm-readobj-14', 'llvm-readobj');
const objdump = needTool('llvm-objdump-14', 'llvm-objdump');

const formats = {
  'linux-x64': 'elf64-x86-64',
  'linux-arm64': 'elf64-littleaarch64',
  'darwin-x64': 'Mach-O 64-bit x86-64',
  'darwin-arm64': 'Mach-O arm64',
  'win32-x64': 'COFF-x86-64',
  'win32-arm64': 'COFF-ARM64',
};
const libraries = {
  glibc: /^(lib(c|m|dl|rt|pthread)\.so\.\d|ld-linux-(x86-64|aarch64)\.so\.\d)$/,
  musl: /^libc\.so$/,
  darwin: /^\/usr\/lib\/libSystem\.B\.dylib$/,
  // What every Windows 10 has; api-ms-win-* are the system's own names for parts of it.
  win32: /^(kernel32|ws2_32|mswsock|iphlpapi|ntdll|api-ms-win-[a-z0-9-]+)\.dll$/i,
};
const newestGlibc = [2, 17];
const oldestMacos = '11.0';

const all = (text, pattern) => [...text.matchAll(pattern)].map((match) => match[1]);
/** The `Name {…}` or `Name [...]` blocks of llvm-readobj's output. */
const blocks = (text, name) => all(text, new RegExp(`^ *${name} [{[]\\n([^]*?)^ *[}\\]]$`, 'gm'));

/** What a file needs and gives, in the same words for all three formats. */
function describeElf(file) {
  const text = read(readobj, ['--needed-libs', '--dyn-syms', '--sections', file]);
  const symbols = blocks(text, 'Symbol').map((block) => ({
    name: /Name: (\S+)/.exec(block)?.[1] ?? '',
    undefined: /Section: Undefined/.test(block),
  }));
  return {
    needed: blocks(text, 'NeededLibraries').flatMap((block) => all(block, /^ *(\S+)$/gm)),
    imports: symbols.filter((each) => each.undefined && each.name !== '').map((each) => each.name),
    exports: symbols.filter((each) => !each.undefined && each.name !== '').map((each) => each.name),
    stripped: !/Name: \.(symtab|debug)/.test(text),
    notes: [],
  };
}

function describeMachO(file) {
  const text = read(readobj, ['--needed-libs', '--symbols', '--sections', file]);
  const headers = read(objdump, ['--macho', '--private-headers', file]);
  const symbols = blocks(text, 'Symbol').map((block) => ({
    name: (/Name: _(\S+)/.exec(block)?.[1] ?? '').trim(),
    undefined: /^ *Type: Undef/m.test(block), // and not RefType
  }));
  // zig's linker takes no list of exports and adds its own, the weak operators new and delete of its libc++ (dyld puts
  // those of the process in their place) and two names of every library.
  const trie = read(objdump, ['--macho', '--exports-trie', file]);
  const linkers = /^(_Z(n|d)[wal]\S*|_mh_dylib_header|__dso_handle)$/;
  return {
    needed: blocks(text, 'NeededLibraries')
      .flatMap((block) => all(block, /^ *(\S+)$/gm))
      .filter((name) => name !== '@rpath/iocp.node'), // its own name
    imports: symbols.filter((each) => each.undefined).map((each) => each.name),
    exports: all(trie, /^0x\S+ +_(\S+)/gm).filter((name) => !linkers.test(name)),
    stripped: !/Name: __debug/.test(text),
    oldest:
      /minos (\S+)/.exec(headers)?.[1] ??
      /LC_VERSION_MIN_MACOSX[^]*?version (\S+)/.exec(headers)?.[1],
    notes: /LC_CODE_SIGNATURE/.test(headers) ? ['signed'] : [],
  };
}

function describeCoff(file) {
  const text = read(readobj, ['--file-headers', '--coff-imports', '--coff-exports', file]);
  return {
    needed: blocks(text, 'Import').map((block) => /Name: (\S+)/.exec(block)[1]),
    imports: all(text, /^ *Symbol: (\S+)/gm),
    exports: blocks(text, 'Export').map((block) => /Name: (\S+)/.exec(block)[1]),
    stripped: /SymbolCount: 0\b/.test(text),
    notes: [],
  };
}

const olderThan = (version, limit) =>
  version[0] < limit[0] || (version[0] === limit[0] && version[1] <= limit[1]);

/** Everything that is wrong with the description. */
function* complaints(target, it, bytes) {
  const library = libraries[target.libc ?? target.platform];
  for (const name of it.needed) if (!library.test(name)) yield `needs ${name}`;
  if (it.needed.length === 0) yield 'needs no library at all, so it was not understood';
  for (const full of it.imports) {
    const [name, version] = full.split(/@+/);
    const glibc = /^GLIBC_(\d+)\.(\d+)/.exec(version ?? '');
    if (
      target.libc === 'glibc' &&
      glibc !== null &&
      !olderThan(glibc.slice(1).map(Number), newestGlibc)
    ) {
      yield `needs ${full}, newer than glibc ${newestGlibc.join('.')}`;
    }
    const ofHost = /^(napi|node_api)_/.test(name);
    if (target.libc === 'glibc' && !ofHost && version === undefined) {
      yield `needs ${name}, which the glibc it is for does not have`;
    }
    if (/^(napi|node_api)_/.test(name) && !nodeApiNames.has(name)) {
      yield `imports ${name}, which is not in Node-API ${binary.napi_versions[0]}`;
    }
    // The compiler's libraries are inside, and libuv is looked up by name at run time, where there is one.
    if (/^(_?_Z|uv_|__cxa_(?!finalize|atexit|thread_atexit_impl))/.test(name)) {
      yield `imports ${name}`;
    }
    if (target.platform === 'win32' && /^(napi|node_api)_/.test(name)) yield `imports ${name}`;
  }
  const nodeImports = it.imports.filter((name) => /^(napi|node_api)_/.test(name)).length;
  if (target.platform !== 'win32' && nodeImports < 10) {
    yield `imports ${nodeImports} functions of Node-API`;
  }
  if ([...it.exports].sort().join() !== entryPoints.join()) {
    yield `exports ${it.exports.join(', ')}`;
  }
  if (!it.stripped) yield 'has symbols or debugging information that nobody needs';
  if (target.platform === 'darwin' && it.oldest !== oldestMacos) yield `is for macOS ${it.oldest}`;
  if (target.name === 'darwin-arm64' && !it.notes.includes('signed')) {
    yield 'has no ad-hoc signature';
  }
  for (const place of [root, os.homedir()]) {
    if (bytes.includes(place)) yield `holds ${place}, a path of this machine`;
  }
  if (bytes.length > mostBytes) yield `has ${bytes.length} bytes, more than ${mostBytes}`;
}

function verify(target) {
  const file = path.join(root, target.file);
  if (!existsSync(file)) return ['is missing'];
  const wanted = formats[`${target.platform}-${target.arch}`];
  const format = /^Format: (.*)$/m.exec(read(readobj, ['--file-headers', file]))?.[1];
  if (format !== wanted) return [`is ${format}, not ${wanted}`];
  const describe = { linux: describeElf, darwin: describeMachO, win32: describeCoff }[
    target.platform
  ];
  return [...complaints(target, describe(file), readFileSync(file))];
}

let bad = 0;
for (const target of chosenTargets(process.argv.slice(2))) {
  const found = verify(target);
  bad += found.length === 0 ? 0 : 1;
  console.log(`${found.length === 0 ? 'ok  ' : 'FAIL'}  ${target.file}`);
  for (const complaint of found) console.log(`      it ${complaint}`);
}
process.exit(bad === 0 ? 0 : 1);
