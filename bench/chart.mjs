// The results as one picture: for every scenario a group of bars, each relative to ours, so that different units fit.
import { drivers, figures } from './scenarios.mjs';

const colours = {
  iocp: '#2563eb',
  net: '#9ca3af',
  bun: '#d97706',
  c: '#059669',
  asio: '#65a30d',
  engine: '#1e3a8a',
  stepped: '#93c5fd',
};
const other = '#d1d5db';

const width = 860;
const labelWidth = 150;
const barHeight = 15;
const groupGap = 34;
const plotWidth = width - labelWidth - 190;

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

function text(x, y, content, attributes = '') {
  return `<text x="${x}" y="${y}" ${attributes}>${escape(content)}</text>`;
}

function bars(scenario, summary, top) {
  const figure = figures[scenario.figure];
  const values = Object.entries(summary).map(([name, s]) => [name, figure.of(s)]);
  const most = Math.max(...values.map(([, value]) => value));
  const goal = figure.lessIsBetter ? `${figure.unit}, less is better` : figure.unit;
  const parts = [text(0, top + 12, `${scenario.name}: ${goal}`, 'font-weight="600"')];
  values.forEach(([name, value], index) => {
    const y = top + 20 + index * (barHeight + 3);
    const length = Math.max(1, Math.round((value / most) * plotWidth));
    const fill = colours[drivers[name].family] ?? other;
    parts.push(
      text(labelWidth - 8, y + 12, name, 'text-anchor="end"'),
      `<rect x="${labelWidth}" y="${y}" width="${length}" height="${barHeight}" rx="2" fill="${fill}"/>`,
      text(
        labelWidth + length + 6,
        y + 12,
        value.toLocaleString('en', { maximumFractionDigits: figure.digits }),
      ),
    );
  });
  return { parts, height: 20 + values.length * (barHeight + 3) + groupGap - 20 };
}

/** An SVG document. `results` is a list of `{ scenario, summary }`; `caption` says where they come from. */
export function chart(results, caption) {
  const body = [];
  let top = 10;
  for (const { scenario, summary } of results) {
    const { parts, height } = bars(scenario, summary, top);
    body.push(...parts);
    top += height;
  }
  body.push(text(0, top + 4, caption, 'fill="#6b7280"'));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 0 ${width} ${top + 20}" width="${width}" ` +
      'font-family="system-ui, sans-serif" font-size="12" fill="#111827">',
    `<rect x="-10" width="${width}" height="${top + 20}" fill="#ffffff"/>`,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}
