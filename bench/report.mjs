// From the rounds of each cell to what is printed: medians, and ours against the best program of each family.
import { drivers, figures } from './scenarios.mjs';

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The medians of a cell's rounds. */
export function summarise(rounds) {
  const of = (pick) => median(rounds.map(pick));
  return {
    frames_per_second: of((r) => r.frames_per_second),
    megabytes_per_second: of((r) => r.megabytes_per_second),
    p50_us: of((r) => r.p50_us),
    p99_us: of((r) => r.p99_us),
    p999_us: of((r) => r.p999_us),
    cpu_us_per_package: of((r) => (r.server_cpu_seconds * 1e6) / Math.max(1, r.frames)),
    rss_megabytes: of((r) => r.server_rss_bytes / 2 ** 20),
    bytes_per_connection: of(
      (r) => (r.server_rss_bytes - r.server_rss_at_start_bytes) / r.connections,
    ),
    generator_cpu: of((r) => r.generator_cpu),
  };
}

/** The best driver of a family in this scenario by its figure, or undefined. */
function best(scenario, summary, family) {
  const figure = figures[scenario.figure];
  const names = Object.keys(summary).filter((name) => drivers[name].family === family);
  const order = (name) => figure.of(summary[name]) * (figure.lessIsBetter ? 1 : -1);
  return names.sort((a, b) => order(a) - order(b))[0];
}

/** Ours over the best of each other family, as `{ net: 1.4, … }`, for the scenario's figure and for CPU per package. */
export function ratios(scenario, summary) {
  const ours = best(scenario, summary, 'iocp');
  if (ours === undefined) return { figure: {}, cpu: {} };
  const against = { figure: {}, cpu: {} };
  for (const family of ['net', 'slices', 'bun', 'c', 'asio', 'engine', 'stepped']) {
    const peer = best(scenario, summary, family);
    if (peer === undefined) continue;
    const { of } = figures[scenario.figure];
    against.figure[family] = of(summary[ours]) / of(summary[peer]);
    against.cpu[family] = summary[ours].cpu_us_per_package / summary[peer].cpu_us_per_package;
  }
  return against;
}

const packageColumns = [
  ['packages/s', (s) => s.frames_per_second.toFixed(0)],
  ['MB/s', (s) => s.megabytes_per_second.toFixed(1)],
  ['p50 µs', (s) => s.p50_us.toFixed(0)],
  ['p99 µs', (s) => s.p99_us.toFixed(0)],
  ['p99.9 µs', (s) => s.p999_us.toFixed(0)],
  ['cpu µs/pkg', (s) => s.cpu_us_per_package.toFixed(2)],
];

const memoryColumns = [
  ['RSS MB', (s) => s.rss_megabytes.toFixed(0)],
  ['B/conn', (s) => s.bytes_per_connection.toFixed(0)],
  ['gen. cpu', (s) => s.generator_cpu.toFixed(2)],
];

// Where next to nothing is sent, next to nothing can be said of packages.
const hasPackages = (scenario) => scenario.mode !== 'silent';

const columnsOf = (scenario) =>
  hasPackages(scenario) ? [...packageColumns, ...memoryColumns] : memoryColumns;

const names = {
  net: 'best net that finds packages',
  slices: 'net that echoes slices',
  bun: 'Bun',
  c: 'C epoll',
  asio: 'Asio',
  engine: 'our engine without Node.js',
  stepped: 'ioWorkers 0',
};

function comparison(scenario, summary) {
  const against = ratios(scenario, summary);
  const list = (values) =>
    Object.entries(values)
      .map(([family, ratio]) => `${ratio.toFixed(2)} x ${names[family]}`)
      .join(', ');
  const figure = figures[scenario.figure];
  const goal = figure.lessIsBetter ? 'less is better' : 'more is better';
  const first = `iocp, ${figure.unit} (${goal}): ${list(against.figure)}`;
  return hasPackages(scenario) ? `${first}; server CPU per package: ${list(against.cpu)}` : first;
}

/** The scenario's table for a terminal. */
export function textTable(scenario, summary) {
  const columns = columnsOf(scenario);
  const lines = [
    scenario.name,
    ['driver'.padEnd(16), ...columns.map(([title]) => title.padStart(11))].join(''),
  ];
  for (const [name, s] of Object.entries(summary)) {
    lines.push([name.padEnd(16), ...columns.map(([, text]) => text(s).padStart(11))].join(''));
  }
  if (Object.keys(ratios(scenario, summary).figure).length > 0) {
    lines.push(comparison(scenario, summary));
  }
  return lines.join('\n');
}

/** The same as Markdown, with a heading. */
export function markdownTable(scenario, summary) {
  const columns = columnsOf(scenario);
  const row = (cells) => `| ${cells.join(' | ')} |`;
  return [
    `## ${scenario.name}`,
    '',
    row(['driver', ...columns.map(([title]) => title)]),
    row(['---', ...columns.map(() => '--:')]),
    ...Object.entries(summary).map(([name, s]) =>
      row([name, ...columns.map(([, text]) => text(s))]),
    ),
    '',
    comparison(scenario, summary),
    '',
  ].join('\n');
}
