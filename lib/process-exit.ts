// Before the process exits, the I/O threads of its engines come to rest. Otherwise the system ends them wherever they
// are, and with the locks they hold: what runs after them, up to the very end, must not need one.

import { addon, type Engine } from './binding.js';
import { errorFromStatus } from './errors.js';

const engines = new Set<Engine>();

function rest(): void {
  for (const engine of engines) {
    engine.rest();
    // Whoever emits 'exit' without exiting goes on as before.
    setImmediate(rouse, engine);
  }
}

function rouse(engine: Engine): void {
  const status = engine.rouse();
  if (status !== 0) throw errorFromStatus(addon, status);
}

/** From now on until {@link forget} the engine rests when the process exits. */
export function restAtExit(engine: Engine): void {
  if (engines.size === 0) process.on('exit', rest);
  engines.add(engine);
}

/** The engine was destroyed. */
export function forget(engine: Engine): void {
  engines.delete(engine);
  if (engines.size === 0) process.off('exit', rest);
}
