// The house rules that no compiler knows: which room may include what, files that say what they are for, files and
// functions of readable size, no test switched off, nothing of one machine in the tree. Prints each breach.
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { filesUnder } from './files.mjs';
import { root } from './run.mjs';

const maxFileLines = 600;
const maxFunctionLines = 100;

const breaches = [];
const report = (file, line, what) => breaches.push(`${file}:${line}: ${what}`);
const textOf = (file) => readFileSync(path.join(root, file), 'utf8');

/** Reports every line of `files` that matches. */
function forbid(files, pattern, what) {
  for (const file of files) {
    textOf(file)
      .split('\n')
      .forEach((line, index) => {
        if (pattern.test(line)) report(file, index + 1, what);
      });
  }
}

const cpp = ['.cc', '.h'];
const script = ['.ts', '.mts', '.cts', '.mjs', '.cjs', '.js'];
const all = filesUnder('.');
const sources = all.filter((file) => [...cpp, ...script].some((ending) => file.endsWith(ending)));

// --- rooms --------------------------------------------------------------------------------------

const core = filesUnder('native/core', ...cpp);
const binding = filesUnder('native/binding', ...cpp);
const nativeButBinding = filesUnder('native', ...cpp).filter((file) => !binding.includes(file));

const platformCondition =
  /^\s*#\s*(if|ifdef|ifndef|elif)\b.*\b(_WIN32|_MSC_VER|__linux__|__APPLE__|__\w*BSD__|__unix__)/;
const systemHeader =
  /#\s*include\s*<(sys\/|netinet\/|arpa\/|linux\/|unistd\.h|fcntl\.h|poll\.h|errno\.h|cerrno|netdb\.h|pthread\.h|windows\.h|winsock)/i;
const nodeHeader = /#\s*include\s*[<"](napi|node_api|js_native_api|node|v8|uv)\b/;

forbid(
  [...core, ...binding],
  platformCondition,
  'a platform condition; choose a file in native/port instead',
);
forbid(core, systemHeader, 'an operating-system header in native/core');
forbid(nativeButBinding, nodeHeader, 'a Node.js header outside native/binding');
forbid(
  core,
  /#\s*include\s*"(binding|port\/(epoll|posix|sim|kqueue|iocp))\//,
  'native/core knows only port/*.h',
);
forbid(
  filesUnder('native/port', ...cpp),
  /#\s*include\s*"(core|binding)\//,
  'native/port knows no room above it',
);

// --- files ----------------------------------------------------------------------------------------

for (const file of sources) {
  const lines = textOf(file).split('\n');
  const first = lines[0].startsWith('#!') ? lines[1] : lines[0];
  if (!/^\s*(\/\/|\/\*)/.test(first)) {
    report(file, 1, 'does not say what it is for in its first lines');
  }
  if (lines.length > maxFileLines) report(file, lines.length, `more than ${maxFileLines} lines`);
  longFunctions(file, lines);
}

/** Layout is settled by the formatters, so a function ends where a brace stands at the indent of its first line. */
function longFunctions(file, lines) {
  lines.forEach((line, end) => {
    const indent = /^( {0,4})\}\)?;?$/.exec(line)?.[1];
    if (indent === undefined) return;
    const opens = new RegExp(`^${indent}(?!#\\s*(?:if|el|en|def|und|inc|pra|err))[^\\s})/]`);
    let begin = end - 1;
    while (begin >= 0 && !opens.test(lines[begin])) begin -= 1;
    if (
      begin < 0 ||
      /^\s*(export |abstract |template )*(class|struct|enum|interface|namespace|union|describe)\b/.test(
        lines[begin],
      )
    ) {
      return;
    }
    if (/^\s*(export )?(const|type)\b.*[={]\s*$/.test(lines[begin]) && !/=>/.test(lines[begin])) {
      return;
    }
    if (end - begin >= maxFunctionLines) {
      report(file, begin + 1, `a function of ${end - begin + 1} lines`);
    }
  });
}

// --- tests ----------------------------------------------------------------------------------------

const tests = filesUnder('test', ...script, ...cpp);
forbid(
  tests,
  /\b(it|test|describe)\.(skip|only|todo|fails)\b/,
  'a test that is switched off or stands alone',
);

// --- nothing of one machine --------------------------------------------------------------------------

// Written in pieces, so that this file does not accuse itself.
const machinePath = new RegExp(
  ['/wo' + 'rk/', '/ho' + 'me/[a-z]', '/Us' + 'ers/[a-z]', '["\'`( =]/t' + 'mp/'].join('|'),
);
const registryHost = new RegExp('"reso' + 'lved":|regi' + 'stry\\.');
const unfinished = new RegExp('\\b(TO' + 'DO|FIX' + 'ME|X' + 'XX)\\b');
const written = [...all.filter((file) => !file.endsWith('.node')), ...filesUnder('.ci')];
forbid(written, machinePath, 'a path of one machine');
forbid([...written], registryHost, 'a registry host');
forbid(sources, unfinished, 'unfinished work; finish it or open an issue');

for (const breach of breaches) console.error(breach);
console.log(`house rules: ${sources.length} source files, ${breaches.length} breaches`);
process.exit(breaches.length > 0 ? 1 : 0);
