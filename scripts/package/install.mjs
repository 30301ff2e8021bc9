// Installing the packed package as somebody does who has Node.js and nothing else. Throws what went wrong.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { localTool, read, root } from '../run.mjs';

const consumers = path.join(root, 'test/package');
const limitMs = 600_000;

/** The first levels of what is published; whoever adds one says so here. */
const published = [
  'CHANGELOG.md',
  'CMakeLists.txt',
  'LICENSE',
  'README.md',
  'binding.d.ts',
  'cmake/addon.cmake',
  'cmake/compiler.cmake',
  'cmake/exports.map',
  'cmake/targets.cmake',
  'cmake/win_node_api.cc.in',
  'dist',
  'docs',
  'examples',
  'native/binding',
  'native/core',
  'native/port/cpu',
  'native/port/epoll',
  'native/port/iocp',
  'native/port/kqueue',
  'native/port/posix',
  'package.json',
  'prebuilds',
  'scripts/install.cjs',
];
const looseFiles = /^native\/port\/[a-z0-9_]+\.(h|cc)$|^native\/port\/README\.md$/;

/** Runs a command and returns what it printed; throws with that when it fails. */
export function must(command, args, settings = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', timeout: limitMs, ...settings });
  const said = `${result.stdout ?? ''}${result.stderr ?? ''}`;
  if (result.status !== 0) {
    const how = result.error?.message ?? result.status ?? result.signal;
    throw new Error(`${path.basename(command)} ${args.join(' ')}: ${how}\n${said}`);
  }
  return said;
}

export function checkContents(tarball) {
  const files = must('tar', ['tzf', tarball])
    .trim()
    .split('\n')
    .map((name) => name.replace(/^package\//, ''));
  const known = (file) => published.some((one) => file === one || file.startsWith(`${one}/`));
  const strange = files.filter((file) => !known(file) && !looseFiles.test(file));
  if (strange.length > 0) throw new Error(`also published: ${strange.join(', ')}`);
  const missing = published.filter(
    (one) => !files.some((file) => file === one || file.startsWith(`${one}/`)),
  );
  if (missing.length > 0) throw new Error(`not published: ${missing.join(', ')}`);
  return `${files.length} files`;
}

/** An environment whose PATH holds Node.js, npm and a shell: no compiler, no CMake, no make. */
function bareEnvironment(folder) {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  const found = (name) => must('sh', ['-c', `command -v ${name}`]).trim();
  for (const name of ['npm', 'sh', 'env']) symlinkSync(found(name), path.join(bin, name));
  symlinkSync(process.execPath, path.join(bin, 'node'));
  const env = { HOME: process.env.HOME, PATH: bin, npm_config_cache: process.env.npm_config_cache };
  for (const tool of ['cmake', 'cc', 'c++', 'gcc', 'g++', 'clang', 'make', 'ninja', 'python3']) {
    const there = spawnSync('/bin/sh', ['-c', `command -v ${tool}`], { env });
    if (there.status === 0) throw new Error(`${tool} is on the PATH that should hold no compiler`);
  }
  return env;
}

/** Installs into `user`, an empty folder, and echoes; answers how long that took. */
export function installPacked(tarball, user) {
  const env = bareEnvironment(`${user}-path`);
  writeFileSync(path.join(user, 'package.json'), '{"private": true, "type": "module"}\n');
  for (const name of ['echo.mjs', 'echo.cjs', 'consumer.ts']) {
    cpSync(path.join(consumers, name), path.join(user, name));
  }
  const begun = Date.now();
  const said = must(
    'npm',
    ['install', '--no-audit', '--no-fund', '--foreground-scripts', tarball],
    {
      cwd: user,
      env,
    },
  );
  const installed = Date.now();
  if (/building from source/.test(said)) throw new Error(`no prebuild was used:\n${said}`);
  must('node', ['echo.mjs'], { cwd: user, env });
  const seconds = (milliseconds) => (milliseconds / 1000).toFixed(1);
  return `install ${seconds(installed - begun)} s, to the first echo ${seconds(Date.now() - begun)} s`;
}

/** Both consumers on one runtime; `prefix` runs it (an emulator and its arguments). */
export function echoes(runtime, user, { prefix = [], env = {}, settings = {} } = {}) {
  const [command, ...rest] = [...prefix, runtime];
  for (const [file, answer] of [
    ['echo.mjs', 'import: echo of hello'],
    ['echo.cjs', 'require: echo of 100000 bytes'],
  ]) {
    const said = must(command, [...rest, file], {
      cwd: user,
      timeout: 60_000,
      env: { ...process.env, ...env },
      ...settings,
    });
    if (!said.includes(answer)) throw new Error(`${file} said ${said}`);
  }
}

export function checkTypes(user) {
  const types = path.join(root, 'node_modules/@types');
  for (const [module, resolution, skipLibCheck] of [
    ['node16', 'node16', 'false'],
    // The declarations themselves have been checked once then, Node.js' own included.
    ['esnext', 'bundler', 'true'],
  ]) {
    must(
      localTool('tsc'),
      [
        ...['--noEmit', '--strict', '--target', 'es2022', '--skipLibCheck', skipLibCheck],
        ...['--lib', 'es2023,esnext.disposable', '--module', module],
        ...['--moduleResolution', resolution, '--typeRoots', types, '--types', 'node'],
        'consumer.ts',
      ],
      { cwd: user },
    );
  }
}

/** Where no prebuild fits and nothing can be built, npm fails with a sentence that helps. */
export function cannotBuild(tarball, folder) {
  mkdirSync(folder);
  const env = bareEnvironment(`${folder}-path`);
  writeFileSync(path.join(folder, 'package.json'), '{"private": true}\n');
  const result = spawnSync(
    'npm',
    ['install', '--no-audit', '--no-fund', '--foreground-scripts', tarball],
    {
      cwd: folder,
      encoding: 'utf8',
      timeout: limitMs,
      env: { ...env, npm_config_build_from_source: 'iocp' },
    },
  );
  const said = result.stdout + result.stderr;
  for (const sentence of ['building from source (', 'CMake', 'C++20 compiler', 'apt-get install']) {
    if (!said.includes(sentence)) throw new Error(`"${sentence}" is missing in:\n${said}`);
  }
  if (result.status === 0) throw new Error('npm install succeeded without an addon');
  rmSync(folder, { recursive: true, force: true });
}

export const cacheFolder = path.join(
  process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'),
  'iocp-runtimes',
);

/** A package with a runtime in it, from npm, kept for the next time. */
export function fetchRuntime(name, version, file) {
  const folder = path.join(cacheFolder, `${name}@${version}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), '{"private": true}\n');
  read('npm', [
    ...['install', '--silent', '--no-audit', '--no-fund', '--force', '--prefix', folder],
    ...(name === 'bun' ? [] : ['--ignore-scripts']),
    `${name}@${version}`,
  ]);
  return path.join(folder, 'node_modules', file);
}
