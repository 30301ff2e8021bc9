// What the scripts of this folder share: running a command, finding a tool, reading `--options`.
// Must never print anything of its own unless a command fails.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Runs a command from the repository's root with its output shown; returns its exit code. */
export function run(command, args, env = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (result.error !== undefined) {
    console.error(`${command}: ${result.error.message}`);
    return 127;
  }
  return result.status ?? 1;
}

/** As run(), but ends the script with the command's exit code when that is not 0. */
export function mustRun(command, args, env) {
  const status = run(command, args, env);
  if (status !== 0) {
    console.error(`failed (${status}): ${command} ${args.join(' ')}`);
    process.exit(status);
  }
}

/** Runs a command and returns its standard output; ends the script when it fails. */
export function read(command, args) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (result.error !== undefined || result.status !== 0) {
    console.error(
      `failed: ${command} ${args.join(' ')}\n${result.error?.message ?? result.stdout + result.stderr}`,
    );
    process.exit(1);
  }
  return result.stdout;
}

/** The first of `names` that can be run, or undefined. */
export function findTool(...names) {
  return names.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** As findTool(), but ends the script with a message when there is none. */
export function needTool(...names) {
  const found = findTool(...names);
  if (found === undefined) {
    console.error(`missing tool: ${names.join(' or ')}`);
    process.exit(127);
  }
  return found;
}

/** A tool that came with `npm install`. */
export function localTool(name) {
  return path.join(root, 'node_modules', '.bin', name);
}
