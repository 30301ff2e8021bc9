// The arithmetic of outgoing packages: how long a payload becomes once it is framed, and whether the framing
// can express it at all. The framing itself is done natively, by the same rules.

import type { NativeFraming } from './binding.js';

const VARINT_BYTES_MAX = 10;

/** Bytes of a varint holding `value`. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** Whether a beginning of `delimiter` is also its end: then a payload's tail and the delimiter can spell an earlier one. */
function overlapsItself(delimiter: Uint8Array): boolean {
  for (let length = 1; length < delimiter.length; length++) {
    const tail = delimiter.subarray(delimiter.length - length);
    if (Buffer.compare(delimiter.subarray(0, length), tail) === 0) return true;
  }
  return false;
}

/** The value of a length field, or undefined when the bytes end before it does. */
function readField(
  framing: NativeFraming,
  header: Buffer,
): { value: number; end: number } | undefined {
  const { offset, width, bigEndian } = framing;
  if (framing.type === 'length') {
    if (header.length < offset + width) return undefined;
    const field = header.subarray(offset, offset + width);
    const ordered = bigEndian ? field : Buffer.from(field).reverse();
    const value = ordered.reduce((sum, byte) => sum * 256 + byte, 0);
    return { value, end: offset + width };
  }
  let value = 0;
  for (let index = 0; index < VARINT_BYTES_MAX; index++) {
    const byte = header[offset + index];
    if (byte === undefined) return undefined;
    value += (byte & 127) * 128 ** index;
    if (byte < 128) return { value, end: offset + index + 1 };
  }
  return undefined;
}

/** Checks payloads against one framing and tells their framed size. */
export class OutgoingFraming {
  /** Whether a payload's bytes matter to {@link framedSize}, not only its length. */
  readonly readsPayload: boolean;
  /** Bytes of header that the engine can put before each package of a series; 0 = this framing has no series. */
  readonly seriesRoom: number;
  readonly #framing: NativeFraming;
  readonly #headerBytes: number;
  readonly #fieldLimit: number;
  readonly #delimiter: Buffer;
  readonly #overlaps: boolean;
  readonly #keepsHeader: boolean;
  /** Bytes that are added to every payload of at most `#plainMax` bytes, and nothing else is to be checked. */
  readonly #plainBytes: number;
  readonly #plainMax: number;

  constructor(framing: NativeFraming) {
    const { type, offset, width, strip } = framing;
    this.#framing = framing;
    this.#headerBytes = offset + width;
    this.#fieldLimit = width === 8 ? Infinity : 256 ** width;
    this.#delimiter = Buffer.from(framing.delimiter ?? []);
    this.#overlaps = overlapsItself(this.#delimiter);
    this.#keepsHeader =
      (type === 'length' && strip >= 0 && strip < offset + width) ||
      (type === 'varint' && strip >= 0);
    this.readsPayload = type === 'delimiter' || this.#keepsHeader;
    const plain = type === 'length' && !this.#keepsHeader;
    this.#plainBytes = strip < 0 ? this.#headerBytes : strip;
    this.#plainMax = plain ? this.#longestPlain() : -1;
    this.seriesRoom = plain && this.#plainBytes >= 2 ? this.#plainBytes : 0;
  }

  /** The longest payload a length field can announce; -1 = short ones need a look as well. */
  #longestPlain(): number {
    const { adjust, maxLength } = this.#framing;
    const counted = this.#plainBytes - this.#headerBytes;
    if (counted < adjust) return -1;
    return Math.min(maxLength, this.#fieldLimit - 1 + adjust) - counted;
  }

  /**
   * Bytes that a payload of `length` bytes needs on the wire. Throws RangeError when the framing cannot express
   * it. `payload` may be left out unless {@link readsPayload}.
   */
  framedSize(length: number, payload?: Uint8Array): number {
    if (length <= this.#plainMax) return length + this.#plainBytes;
    if (this.readsPayload) {
      const { buffer, byteOffset } = payload as Uint8Array;
      const bytes = Buffer.from(buffer, byteOffset, length);
      return this.#keepsHeader ? this.#keptSize(bytes) : this.#delimitedSize(bytes);
    }
    const { type } = this.#framing;
    if (type === 'length') return this.#lengthSize(length);
    if (type === 'varint') return this.#varintSize(length);
    if (type === 'fixed') return this.#fixedSize(length);
    return length;
  }

  #lengthSize(length: number): number {
    const { strip, adjust, width } = this.#framing;
    const framed = length + (strip < 0 ? this.#headerBytes : strip);
    const rest = framed - this.#headerBytes;
    const field = rest - adjust;
    this.#checkLimits(length, rest, field);
    if (field >= this.#fieldLimit) {
      throw new RangeError(
        `a payload of ${length} bytes needs the length ${field}: ` +
          `a field of framing.width ${width} holds at most ${this.#fieldLimit - 1}`,
      );
    }
    return framed;
  }

  #varintSize(length: number): number {
    const { offset, adjust } = this.#framing;
    this.#checkLimits(length, length, length - adjust);
    return offset + varintBytes(length - adjust) + length;
  }

  /** The listener's side keeps (part of) the header, so the payload must bring it, and it must be right. */
  #keptSize(payload: Buffer): number {
    const { strip, adjust } = this.#framing;
    const front = Buffer.concat([Buffer.alloc(strip), payload.subarray(0, 128)]);
    const field = readField(this.#framing, front);
    const framed = strip + payload.length;
    if (field === undefined || field.end + field.value + adjust !== framed) {
      const announced = field === undefined ? 'no whole header' : field.end + field.value + adjust;
      throw new RangeError(
        `with framing.strip ${strip} a payload must begin with its own header: this one of ` +
          `${payload.length} bytes makes a package of ${framed} bytes and announces ${announced}`,
      );
    }
    this.#checkLimits(payload.length, field.value + adjust, field.value);
    return framed;
  }

  #fixedSize(length: number): number {
    if (length === this.#framing.maxLength) return length;
    throw new RangeError(
      `a payload of ${length} bytes does not fit: framing.length is ${this.#framing.maxLength} bytes`,
    );
  }

  #delimitedSize(payload: Buffer): number {
    const delimiter = this.#delimiter;
    const at = payload.indexOf(delimiter);
    const keeps = this.#framing.strip === 0;
    const whole = keeps && at >= 0 && at + delimiter.length === payload.length;
    this.#checkLimits(payload.length, whole ? at : payload.length, 0);
    if (whole) return payload.length;
    if (at >= 0 || this.#tailSplits(payload)) {
      throw new RangeError(
        `the payload contains the delimiter ${JSON.stringify(delimiter.toString('latin1'))}: ` +
          'it would arrive as more than one package',
      );
    }
    return payload.length + delimiter.length;
  }

  #tailSplits(payload: Buffer): boolean {
    if (!this.#overlaps) return false;
    const tail = payload.subarray(Math.max(0, payload.length - this.#delimiter.length + 1));
    return Buffer.concat([tail, this.#delimiter]).indexOf(this.#delimiter) !== tail.length;
  }

  #checkLimits(length: number, counted: number, field: number): void {
    const { maxLength, adjust } = this.#framing;
    if (counted > maxLength) {
      throw new RangeError(
        `a payload of ${length} bytes exceeds framing.maxLength (${maxLength} bytes)`,
      );
    }
    if (field < 0) {
      throw new RangeError(
        `a payload of ${length} bytes would need the length ${field}: framing.adjust is ${adjust}`,
      );
    }
  }
}
