// The outgoing batch: one block of memory in which packages gather until a single native call queues them all.
// Knows the layout of output records and nothing about contexts, framing or limits.
//
// Packages of one context that follow each other are a series: one record, in which each has room for its header
// before it, so that the engine need not copy them to put the headers in.

import { OUTPUT_ALIGNMENT, OUTPUT_HEADER_BYTES, OutputFlag } from './records.js';

/** Bytes of the batch. */
export const BATCH_BYTES = 256 * 1024;
/** A payload above this many bytes has a native call of its own. Measured up to here: docs/performance.md. */
export const BATCHED_PAYLOAD_MAX = 48 * 1024;
/** No context's slot. */
const NOBODY = -1;
/** Up to this many characters, writing ASCII one by one beats a call into the encoder. Measured. */
const SHORT_TEXT_MAX = 24;
// Looked up once: optimised code would look it up for every package, which takes 3 ns. Measured.
const { set } = Uint8Array.prototype;

function padded(length: number): number {
  return (length + (OUTPUT_ALIGNMENT - 1)) & -OUTPUT_ALIGNMENT;
}

/** Gathers output records; `send` gets the bytes of each batch and whether more follows, so that it need not go out yet. */
export class OutputBatch {
  /** The memory the engine reads. */
  readonly bytes = Buffer.allocUnsafeSlow(BATCH_BYTES);
  /** Native calls made so far. */
  flushes = 0;
  readonly #words = new Uint32Array(this.bytes.buffer);
  readonly #send: (bytes: number, more: boolean) => void;
  #used = 0;
  readonly #room: number;
  // The series that the last record is: whose, and where its packages begin.
  #slot = NOBODY;
  #generation = 0;
  #seriesStart = 0;
  readonly #broadcastMax: number;
  #broadcast = 0;

  /**
   * `room`: bytes to leave for a header before each payload of a series, 2 or more; 0 = no series.
   * `broadcastMax`: bytes of broadcast packages, counted once each, that may wait for the next flush.
   */
  constructor(send: (bytes: number, more: boolean) => void, room: number, broadcastMax: number) {
    this.#send = send;
    this.#room = room;
    this.#broadcastMax = broadcastMax;
  }

  /** Bytes that wait to be flushed. */
  get used(): number {
    return padded(this.#used);
  }

  /** Gives everything to the engine, and has it go out. */
  flush(): void {
    this.#endSeries();
    if (this.#used + this.#broadcast > 0) this.#give(false);
  }

  /**
   * Gives everything to the engine, because a broadcast of so many bytes follows. All of it goes out with the next
   * flush: several broadcasts of one turn leave in one write per connection.
   */
  beforeBroadcast(bytes: number): void {
    this.#endSeries();
    if (this.#broadcast + bytes > this.#broadcastMax) this.flush();
    else if (this.#used > 0) this.#give(true);
    this.#broadcast += bytes;
  }

  #give(more: boolean): void {
    const used = this.#used;
    this.#used = 0;
    if (!more) this.#broadcast = 0;
    this.flushes++;
    this.#send(used, more);
  }

  /** Adds one payload of at most {@link BATCHED_PAYLOAD_MAX} bytes. Without flags it may join a series. */
  append(slot: number, generation: number, payload: Uint8Array, flags: number): void {
    const { length } = payload;
    if (flags === 0 && this.#room > 0) {
      const at = this.#place(slot, generation, length);
      this.#join(at, length);
      set.call(this.bytes, payload, at + this.#room);
    } else {
      this.#reserve(length);
      set.call(this.bytes, payload, this.#commit(slot, generation, length, flags));
    }
  }

  /**
   * Writes text behind the last package without adding it yet, and returns its length in bytes: see `adopt`.
   * At most BATCHED_PAYLOAD_MAX / 3 characters. `alone`: it will be adopted with flags.
   */
  stage(slot: number, generation: number, text: string, alone: boolean): number {
    const start = this.#placeText(slot, generation, text.length * 3, alone);
    const bytes = this.bytes;
    if (text.length > SHORT_TEXT_MAX) return bytes.write(text, start, 'utf8');
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 127) return bytes.write(text, start, 'utf8');
      bytes[start + index] = unit;
    }
    return text.length;
  }

  /** Adds what was just staged; nothing may have been added or flushed in between. */
  adopt(slot: number, generation: number, length: number, flags: number): void {
    if (flags === 0 && this.#room > 0) this.#join(this.#used, length);
    else this.#commit(slot, generation, length, flags);
  }

  #placeText(slot: number, generation: number, most: number, alone: boolean): number {
    if (!alone && this.#room > 0) return this.#place(slot, generation, most) + this.#room;
    this.#reserve(most);
    return padded(this.#used) + OUTPUT_HEADER_BYTES;
  }

  /** Where in a series the context's next package goes, with a payload of at most so many bytes. */
  #place(slot: number, generation: number, most: number): number {
    const end = this.#used + this.#room + most;
    if (slot !== this.#slot || generation !== this.#generation || end > BATCH_BYTES) {
      this.#reserve(this.#room + most);
      this.#seriesStart = this.#commit(slot, generation, 0, OutputFlag.series);
      this.#slot = slot;
      this.#generation = generation;
    }
    return this.#used;
  }

  /** The package there has a payload of so many bytes. */
  #join(at: number, length: number): void {
    const bytes = this.bytes;
    bytes[at] = length;
    bytes[at + 1] = length >>> 8;
    this.#used = at + this.#room + length;
  }

  /** What follows is a record of its own. A series that nothing was added to is forgotten. */
  #endSeries(): void {
    if (this.#slot === NOBODY) return;
    this.#slot = NOBODY;
    const start = this.#seriesStart;
    const length = this.#used - start;
    this.#words[(start >>> 2) - 2] = length;
    this.#used = length > 0 ? padded(this.#used) : start - OUTPUT_HEADER_BYTES;
  }

  #reserve(length: number): void {
    if (padded(this.#used) + OUTPUT_HEADER_BYTES + padded(length) > BATCH_BYTES) this.flush();
  }

  /** Writes a record's header, and returns where its body goes. */
  #commit(slot: number, generation: number, length: number, flags: number): number {
    this.#endSeries();
    const start = this.#used;
    const words = this.#words;
    const word = start >>> 2;
    words[word] = slot;
    words[word + 1] = generation;
    words[word + 2] = length;
    words[word + 3] = flags;
    this.#used = start + OUTPUT_HEADER_BYTES + padded(length);
    return start + OUTPUT_HEADER_BYTES;
  }
}
