// The timers of JavaScript in virtual time: they run when the world's clock has come so far, and the test says so.

interface Timer {
  callback: () => void;
  dueMs: number;
  repeatMs: number | undefined;
  ref(): Timer;
  unref(): Timer;
}

const REAL = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
};

/** See the head of this file. */
export class Clock {
  readonly #timers = new Set<Timer>();

  constructor(readonly now: () => number) {}

  /** Everybody who sets a timer from now on sets it here. */
  install(): void {
    const set =
      (repeats: boolean) =>
      (callback: () => void, ms = 1): Timer =>
        this.#set(callback, Math.max(1, ms), repeats);
    const clear = (timer: Timer): void => void this.#timers.delete(timer);
    const [setTimeout, setInterval] = [set(false), set(true)];
    Object.assign(globalThis, {
      setTimeout,
      setInterval,
      clearTimeout: clear,
      clearInterval: clear,
    });
  }

  uninstall(): void {
    Object.assign(globalThis, REAL);
  }

  nextDue(): number {
    return Math.min(Infinity, ...[...this.#timers].map(({ dueMs }) => dueMs));
  }

  /** Runs what is due. */
  run(): void {
    for (const timer of [...this.#timers].sort((one, other) => one.dueMs - other.dueMs)) {
      if (timer.dueMs > this.now() || !this.#timers.has(timer)) continue;
      if (timer.repeatMs === undefined) this.#timers.delete(timer);
      else timer.dueMs += timer.repeatMs;
      timer.callback();
    }
  }

  #set(callback: () => void, ms: number, repeats: boolean): Timer {
    const timer: Timer = {
      callback,
      dueMs: this.now() + ms,
      repeatMs: repeats ? ms : undefined,
      ref: () => timer,
      unref: () => timer,
    };
    this.#timers.add(timer);
    return timer;
  }
}
