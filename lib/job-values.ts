// What jobs and their results are made of on the way between threads: the cheapest form that keeps the value.
// Everything is copied, as structured clone does; what the serialiser cannot copy is posted by a message port instead.

import { types } from 'node:util';
import { deserialize, serialize } from 'node:v8';

/** How a value travels; the numbers are the addon's (binding.d.ts: JobForm). */
export const Form = {
  nothing: 0,
  serialized: 1,
  buffer: 2,
  text: 3,
  number: 4,
  posted: 5,
  held: 6,
} as const;
export type Form = (typeof Form)[keyof typeof Form];

/** A value on its way. */
export interface Packed {
  form: Form;
  value: unknown;
}

export const NOTHING: Packed = { form: Form.nothing, value: undefined };
export const POSTED: Packed = { form: Form.posted, value: undefined };
export const HELD: Packed = { form: Form.held, value: undefined };

/** What the queue can hold of one value. */
const BYTES_MAX = 2 ** 32 - 1;

function bounded(form: Form, bytes: Uint8Array): Packed {
  if (bytes.length <= BYTES_MAX) return { form, value: bytes };
  throw new RangeError(`a job's value takes ${bytes.length} bytes: it may take ${BYTES_MAX}`);
}

/** The value in a form that crosses threads, or undefined when only a message port can carry it. */
export function pack(value: unknown): Packed | undefined {
  if (value === undefined) return NOTHING;
  if (typeof value === 'string') return { form: Form.text, value };
  if (typeof value === 'number') return { form: Form.number, value };
  if (Buffer.isBuffer(value)) return bounded(Form.buffer, value);
  let bytes: Buffer;
  try {
    bytes = serialize(value);
  } catch {
    return undefined;
  }
  return bounded(Form.serialized, bytes);
}

/** What was packed. */
export function unpack(form: Form, value: unknown): unknown {
  return form === Form.serialized ? deserialize(value as Buffer) : value;
}

interface Thrown {
  thrown: unknown;
  /** Own properties of an error, such as `code`: structured clone drops them. */
  more?: Record<string, unknown>;
}

/** Packs what a job threw, with as much of it as can cross. */
export function packThrown(given: unknown): Packed {
  const thrown = clonable(given);
  const more = thrown instanceof Error ? { ...thrown } : undefined;
  const attempts: Thrown[] = [
    more === undefined || Object.keys(more).length === 0 ? { thrown } : { thrown, more },
    { thrown },
    { thrown: new Error(thrown instanceof Error ? thrown.message : String(thrown)) },
  ];
  for (const attempt of attempts) {
    const packed = pack(attempt);
    if (packed !== undefined) return packed;
  }
  return NOTHING;
}

/** The serialiser makes an empty object of what is an error by its prototype only, a DOMException above all. */
function clonable(thrown: unknown): unknown {
  const foreign = thrown instanceof DOMException || !types.isNativeError(thrown);
  if (!(thrown instanceof Error) || !foreign) return thrown;
  const { name, message, stack } = thrown;
  const { code } = thrown as { code?: unknown };
  return Object.assign(new Error(message), { name, stack, code });
}

/** What a job threw, put together again. */
export function unpackThrown(form: Form, value: unknown): unknown {
  const { thrown, more } = (unpack(form, value) ?? {}) as Thrown;
  return more === undefined ? thrown : Object.assign(thrown as object, more);
}
