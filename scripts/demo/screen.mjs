// Shows figures as one block that is drawn again in place on a terminal, and as plain lines anywhere else.

const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export const count = (value) => number.format(value);

export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, value < 1024 ? 0 : Math.floor(Math.log2(value) / 10));
  return `${(value / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

export const milliseconds = (value) => `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;

/** Flattens the groups of `stats()`: { port: { waits: 1 } } becomes [['port.waits', 1]]. */
export function flatten(stats, prefix = '') {
  return Object.entries(stats).flatMap(([name, value]) =>
    typeof value === 'number' ? [[prefix + name, value]] : flatten(value, `${prefix}${name}.`),
  );
}

// A pseudo-terminal may say that it has 0 columns.
const width = () => process.stdout.columns || 80;
const height = () => process.stdout.rows || 24;

/** `name value` pairs in as many columns as the terminal has room for. */
export function grid(pairs) {
  const nameWidth = Math.max(...pairs.map(([name]) => name.length));
  const cells = pairs.map(
    ([name, value]) => `  ${name.padEnd(nameWidth)} ${count(value).padStart(12)}`,
  );
  const perRow = Math.max(1, Math.floor((width() - 1) / (nameWidth + 15)));
  const rows = [];
  for (let i = 0; i < cells.length; i += perRow) rows.push(cells.slice(i, i + perRow).join(''));
  return rows;
}

export class Screen {
  #live = process.stdout.isTTY === true;
  #drawn = 0;

  get live() {
    return this.#live;
  }

  /** Replaces the block on a terminal; elsewhere prints `line` alone. */
  draw(block, line) {
    if (!this.#live) {
      console.log(line);
      return;
    }
    const rows = block.slice(0, height() - 1).map((row) => row.slice(0, width() - 1));
    this.#erase();
    process.stdout.write(`${rows.join('\n')}\n`);
    this.#drawn = rows.length;
  }

  /** Prints lines that stay. */
  print(...lines) {
    this.#erase();
    for (const line of lines) console.log(line);
  }

  #erase() {
    if (this.#drawn > 0) process.stdout.write(`\u001b[${this.#drawn}A\u001b[0J`);
    this.#drawn = 0;
  }
}
