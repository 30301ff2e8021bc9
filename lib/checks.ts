// How options are checked, one value at a time. Every error names the option, the value and what is allowed.

import { inspect } from 'node:util';

/** The longest time a timer takes. */
export const MILLISECONDS_MAX = 2 ** 31 - 1;

/** Options before they are validated. */
export type Bag = Record<string, unknown>;

/** What a message shows of a value. */
export function show(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 80 });
}

/** Throws the TypeError of a value of the wrong type. */
export function wrongType(name: string, value: unknown, allowed: string): never {
  throw new TypeError(`${name} must be ${allowed}, not ${show(value)}`);
}

/** Throws the RangeError of a value that is not allowed. */
export function outOfRange(name: string, value: unknown, allowed: string): never {
  throw new RangeError(`${name} must be ${allowed}, not ${show(value)}`);
}

/** A plain options object whose every name is known. */
export function bag(owner: string, value: unknown, names: readonly string[]): Bag {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    wrongType(owner, value, 'an object');
  }
  for (const name of Object.keys(value)) {
    if (!names.includes(name)) {
      throw new TypeError(`${owner}.${name} is not an option; the options are ${names.join(', ')}`);
    }
  }
  return value as Bag;
}

/** An integer of a range. */
export function integer(
  name: string,
  value: unknown,
  fallback: number,
  min: number,
  max: number,
): number {
  if (value === undefined) return fallback;
  const allowed = `an integer from ${min} to ${max}`;
  if (typeof value !== 'number') wrongType(name, value, allowed);
  if (!Number.isInteger(value) || value < min || value > max) outOfRange(name, value, allowed);
  return value;
}

/** True or false. */
export function flag(name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value !== 'boolean') wrongType(name, value, 'true or false');
  return value;
}

/** One of several words. */
export function choice<T extends string>(
  name: string,
  value: unknown,
  fallback: T,
  of: readonly T[],
): T {
  if (value === undefined) return fallback;
  const allowed = of.map((one) => `'${one}'`).join(', ');
  if (typeof value !== 'string') wrongType(name, value, `one of ${allowed}`);
  if (!of.includes(value as T)) outOfRange(name, value, `one of ${allowed}`);
  return value as T;
}

/** A string that is neither empty nor has a NUL in it. */
export function words(name: string, value: unknown, fallback: string): string {
  if (value === undefined) return fallback;
  if (typeof value !== 'string') wrongType(name, value, 'a string');
  if (value === '' || value.includes('\0')) {
    outOfRange(name, value, 'a non-empty string without NUL characters');
  }
  return value;
}

/** An AbortSignal. */
export function abortSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined;
  if (!(value instanceof AbortSignal)) wrongType(name, value, 'an AbortSignal');
  return value;
}
