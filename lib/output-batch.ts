// The outgoing batch: one block of memory in which packages gather until a single native call queues them all.
// Knows the layout of output records and nothing about contexts, framing or limits.

import { OUTPUT_ALIGNMENT, OUTPUT_HEADER_BYTES } from './records.js';

/** Bytes of the batch. */
export const BATCH_BYTES = 256 * 1024;
/** A payload above this many bytes is cheaper in a native call of its own than copied twice. */
export const BATCHED_PAYLOAD_MAX = 16 * 1024;
/** Up to this many characters, writing ASCII one by one beats a call into the encoder. Measured. */
const SHORT_TEXT_MAX = 24;

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
  readonly #broadcastMax: number;
  #broadcast = 0;

  /** `broadcastMax`: bytes of broadcast packages, counted once each, that may wait for the next flush. */
  constructor(send: (bytes: number, more: boolean) => void, broadcastMax: number) {
    this.#send = send;
    this.#broadcastMax = broadcastMax;
  }

  /** Bytes that wait to be flushed. */
  get used(): number {
    return this.#used;
  }

  /** Gives everything to the engine, and has it go out. */
  flush(): void {
    if (this.#used + this.#broadcast > 0) this.#give(false);
  }

  /**
   * Gives everything to the engine, because a broadcast of so many bytes follows. All of it goes out with the next
   * flush: several broadcasts of one turn leave in one write per connection.
   */
  beforeBroadcast(bytes: number): void {
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

  /** Adds one payload of at most {@link BATCHED_PAYLOAD_MAX} bytes. */
  append(slot: number, generation: number, payload: Uint8Array, flags: number): void {
    const { length } = payload;
    this.#reserve(length);
    this.bytes.set(payload, this.#commit(slot, generation, length, flags));
  }

  /**
   * Writes text behind the last record without adding it yet, and returns its length in bytes: see `adopt`.
   * At most BATCHED_PAYLOAD_MAX / 3 characters.
   */
  stage(text: string): number {
    this.#reserve(text.length * 3);
    const start = this.#used + OUTPUT_HEADER_BYTES;
    const bytes = this.bytes;
    if (text.length > SHORT_TEXT_MAX) return bytes.write(text, start, 'utf8');
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 127) return bytes.write(text, start, 'utf8');
      bytes[start + index] = unit;
    }
    return text.length;
  }

  /** Adds what was just staged as a record; nothing may have been added or flushed in between. */
  adopt(slot: number, generation: number, length: number, flags: number): void {
    this.#commit(slot, generation, length, flags);
  }

  #reserve(length: number): void {
    if (this.#used + OUTPUT_HEADER_BYTES + padded(length) > BATCH_BYTES) this.flush();
  }

  #commit(slot: number, generation: number, length: number, flags: number): number {
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
