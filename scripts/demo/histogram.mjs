// Round-trip times in logarithmic buckets, 16 per doubling: within 6 % in constant memory, cheap to record.

const steps = 16;
const floor = 0.001; // milliseconds; anything faster counts as this

export class Histogram {
  #counts = new Uint32Array(steps * 40);
  #total = 0;

  record(milliseconds) {
    const bucket = Math.floor(Math.log2(Math.max(milliseconds, floor) / floor) * steps);
    this.#counts[Math.min(bucket, this.#counts.length - 1)] += 1;
    this.#total += 1;
  }

  /** The time, in milliseconds, that `share` (0…1) of the records stayed below; 0 without records. */
  percentile(share) {
    let left = this.#total * share;
    for (let bucket = 0; bucket < this.#counts.length; bucket += 1) {
      left -= this.#counts[bucket];
      if (left < 0) return floor * 2 ** ((bucket + 0.5) / steps);
    }
    return 0;
  }

  reset() {
    this.#counts.fill(0);
    this.#total = 0;
  }
}
