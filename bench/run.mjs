// Runs framed echo servers side by side and prints how ours compares with the best program on `net`, Bun and C++.
// Every cell is a fresh server process and a fresh generator process; rounds are interleaved so that a slow minute of
// the machine hits everybody; a cell's figure is the median of its rounds. A figure with errors is never printed.
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { root } from '../scripts/run.mjs';
import { cell, prepare } from './cells.mjs';
import { chart } from './chart.mjs';
import { markdownTable, ratios, summarise, textTable } from './report.mjs';
import { drivers, hold, parseScenario, scenarios } from './scenarios.mjs';

const help = `npm run bench -- [options]
  --scenario S       one of ${scenarios.map((scenario) => scenario.name).join(', ')},
                     or CxKxB: connections x outstanding packages each x payload bytes; may be repeated (default: all)
  --hold N           N mostly idle connections; shows memory per connection; and N that say nothing
  --rounds N         rounds per cell, interleaved (default 5)
  --seconds N        measured seconds per round (default 3)      --warmup N   seconds before (default 1)
  --drivers a,b      only these of ${Object.keys(drivers).join(', ')}
  --publish          also writes docs/benchmarks.md and docs/benchmarks.svg`;

const { values: options } = parseArgs({
  options: {
    scenario: { type: 'string', multiple: true },
    hold: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '1' },
    drivers: { type: 'string' },
    publish: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(help);
  process.exit(0);
}

function number(name, least) {
  const value = Number(options[name]);
  if (Number.isFinite(value) && value >= least) return value;
  throw new RangeError(`--${name} takes a number of at least ${least}, not '${options[name]}'`);
}
const rounds = number('rounds', 1);
const times = { seconds: number('seconds', 0), warmup: number('warmup', 0) };

const wanted = options.drivers?.split(',') ?? Object.keys(drivers);
const unknown = wanted.filter((name) => !(name in drivers));
if (unknown.length > 0) throw new RangeError(`unknown driver: ${unknown.join(', ')}\n${help}`);

function chosenScenarios() {
  const named = (options.scenario ?? []).map(parseScenario);
  if (options.hold !== undefined) {
    named.push(hold(number('hold', 1)), hold(number('hold', 1), 'silent'));
  }
  return (named.length > 0 ? named : scenarios)
    .map((scenario) => ({
      ...scenario,
      drivers: scenario.drivers.filter((name) => wanted.includes(name)),
    }))
    .filter((scenario) => scenario.drivers.length > 0);
}

async function measure(scenario) {
  const results = Object.fromEntries(scenario.drivers.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const name of scenario.drivers) {
      try {
        results[name].push(await cell(name, scenario, times));
      } catch (error) {
        throw new Error(`${name}, ${scenario.name}, round ${round + 1}: ${error.message}`, {
          cause: error,
        });
      }
    }
  }
  return results;
}

const chosen = chosenScenarios();
prepare([...new Set(chosen.flatMap((scenario) => scenario.drivers))]);

const machine = `${os.availableParallelism()} CPUs, ${os.type()} ${os.release()}, Node.js ${process.version}`;
const method = `median of ${rounds} interleaved rounds of ${times.seconds} s, generator on the same machine`;
console.log(`${machine}; ${method}`);

const finished = [];
for (const scenario of chosen) {
  const measured = await measure(scenario);
  const summary = Object.fromEntries(
    Object.entries(measured).map(([name, list]) => [name, summarise(list)]),
  );
  console.log(`\n${textTable(scenario, summary)}`);
  finished.push({ scenario, summary, measured });
}

function write(file, content) {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), content);
  console.log(`written: ${file}`);
}

const report = {
  date: new Date().toISOString(),
  machine,
  method,
  scenarios: Object.fromEntries(
    finished.map(({ scenario, summary, measured }) => [
      scenario.name,
      { summary, ratios: ratios(scenario, summary), rounds: measured },
    ]),
  ),
};
console.log('');
write('bench/results/latest.json', `${JSON.stringify(report, null, 2)}\n`);
write('bench/results/latest.svg', chart(finished, `${machine}; ${method}`));
if (options.publish) {
  const tables = finished.map(({ scenario, summary }) => markdownTable(scenario, summary));
  const head = `# Benchmarks\n\n${machine}; ${method}. Written by \`npm run bench -- --publish\`; docs/testing.md says what each driver is.\n`;
  write('docs/benchmarks.md', [head, ...tables].join('\n'));
  write('docs/benchmarks.svg', chart(finished, `${machine}; ${method}`));
}
