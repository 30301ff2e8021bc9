// Everything outgoing: turns sends into batch records, keeps the promise of the water marks and the cap, and
// decides when the batch is flushed. A send normally makes no native call: `bound`, an upper bound of what a
// context has queued, is enough to answer, and the exact figure is asked for only when the bound says "maybe".

import type { Engine } from './binding.js';
import { type ClientContext, Phase, type SendHold } from './client-context.js';
import { errorFromStatus, goneError, type IocpError, overflowError } from './errors.js';
import type { OutgoingFraming } from './framing.js';
import { BATCHED_PAYLOAD_MAX, type OutputBatch } from './output-batch.js';
import { OutputFlag, TOKEN_LIMIT } from './records.js';
import type { OverflowPolicy, SendCallback } from './types.js';

/** The limits a sender keeps. */
export interface SenderLimits {
  highWaterMark: number;
  maxQueuedBytes: number;
  onOverflow: OverflowPolicy;
}

type Tables = Parameters<typeof errorFromStatus>[0];
type Context = ClientContext;

const STAGED_TEXT_MAX = Math.floor(BATCHED_PAYLOAD_MAX / 3);
/** The token of a callback whose package has no bytes: it is due as soon as those before it were called. */
const NO_TOKEN = -1;

function isPayload(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}

function badPayload(name: string): never {
  throw new TypeError(`${name} must be a string or a Uint8Array`);
}

function bytesOf(part: Uint8Array | string): Uint8Array {
  if (typeof part === 'string') return Buffer.from(part, 'utf8');
  return isPayload(part) ? part : badPayload('every part');
}

/** The outgoing side of one engine. */
export class Sender {
  /** True while listeners run inside `deliver`, which flushes when it is done. */
  delivering = false;
  /** True once the engine closes: nothing more is accepted. */
  closing = false;
  /** Packages that the `'drop'` policy dropped. */
  dropped = 0;
  readonly #engine: Engine;
  readonly #batch: OutputBatch;
  readonly #framing: OutgoingFraming;
  readonly #limits: SenderLimits;
  readonly #tables: Tables;
  /** With no more than this queued a send is always admitted, and nobody need wait. */
  readonly #plentyBelow: number;
  #scheduled = false;
  #finishing: Context[] = [];
  #token = 0;

  constructor(
    engine: Engine,
    batch: OutputBatch,
    framing: OutgoingFraming,
    limits: SenderLimits,
    tables: Tables,
  ) {
    this.#engine = engine;
    this.#batch = batch;
    this.#framing = framing;
    this.#limits = limits;
    this.#plentyBelow = Math.min(limits.highWaterMark, limits.maxQueuedBytes);
    this.#tables = tables;
  }

  /** Gives the batch to the engine; every other call that must come after earlier sends begins with this. */
  flush(): void {
    this.#batch.flush();
  }

  /** `send` and `sendRaw`. */
  send(
    context: Context,
    payload: Uint8Array | string,
    raw: boolean,
    callback: SendCallback | undefined,
  ): boolean {
    const plain = context.hold === undefined && callback === undefined;
    if (!plain || context.phase !== Phase.open || this.closing || !isPayload(payload)) {
      return this.#sendRare(context, payload, raw, callback);
    }
    const { length } = payload;
    const size = raw ? length : this.#framing.framedSize(length, payload);
    const bound = context.bound + size;
    const common = bound <= this.#plentyBelow && length <= BATCHED_PAYLOAD_MAX && size > 0;
    if (!common) return this.#sendRare(context, payload, raw, callback);
    context.bound = bound;
    this.#batch.append(context.slot, context.generation, payload, raw ? OutputFlag.raw : 0);
    if (!this.delivering) this.#schedule();
    return true;
  }

  /** `send` with everything that a small package on a healthy connection does not need. */
  #sendRare(
    context: Context,
    payload: Uint8Array | string,
    raw: boolean,
    callback: SendCallback | undefined,
  ): boolean {
    if (callback !== undefined && typeof callback !== 'function') {
      throw new TypeError('callback must be a function');
    }
    if (context.hold !== undefined) return this.#holdBack(context, bytesOf(payload), raw, callback);
    if (typeof payload === 'string') return this.#sendText(context, payload, raw, callback);
    if (!isPayload(payload)) badPayload('payload');
    return this.#sendBytes(context, payload, raw, callback);
  }

  /** A package of the file layer's own, which passes what is held back. */
  sendControl(context: Context, payload: Uint8Array): void {
    this.#sendBytes(context, payload, false, undefined);
  }

  #sendBytes(
    context: Context,
    payload: Uint8Array,
    raw: boolean,
    callback: SendCallback | undefined,
  ): boolean {
    if (context.phase !== Phase.open || this.closing) return this.#refuse(context, callback);
    const length = payload.length;
    const size = raw ? length : this.#framing.framedSize(length, payload);
    if (!this.#admits(context, size, callback)) return false;
    if (size === 0) return this.#nothing(context, callback);
    const flags = this.#flags(context, raw, callback);
    if (length <= BATCHED_PAYLOAD_MAX) {
      this.#batch.append(context.slot, context.generation, payload, flags);
    } else if (!this.#sendLarge(context, payload, flags)) {
      return false;
    }
    return this.#queued(context, size);
  }

  /** `sendv`. */
  sendParts(
    context: Context,
    parts: ReadonlyArray<Uint8Array | string>,
    callback: SendCallback | undefined,
  ): boolean {
    if (!Array.isArray(parts)) throw new TypeError('parts must be an array');
    return this.send(context, Buffer.concat(parts.map(bytesOf)), false, callback);
  }

  /** One package for several contexts; returns how many got it. */
  sendToAll(contexts: readonly Context[], payload: Uint8Array | string): number {
    const bytes =
      typeof payload === 'string' || isPayload(payload) ? bytesOf(payload) : badPayload('payload');
    const size = this.#framing.framedSize(bytes.length, bytes);
    const live = this.closing ? [] : contexts.filter((one) => one.phase === Phase.open);
    const held = live.filter((one) => one.hold !== undefined);
    const open = held.length === 0 ? live : live.filter((one) => one.hold === undefined);
    if (size === 0) return live.length;
    const kept = held.filter((one) => this.#keep(one, bytes, false, undefined)).length;
    if (open.length === 0) return kept;
    const only = new Uint32Array(open.length * 2);
    open.forEach((context, index) => {
      only[index * 2] = context.slot;
      only[index * 2 + 1] = context.generation;
      context.bound += size;
    });
    this.#batch.beforeBroadcast(size);
    if (!this.delivering) this.#schedule();
    return kept + this.#engine.broadcast(bytes, -1, only);
  }

  /** What was held back goes out. True = `drain` is due. */
  releaseHold(context: Context): boolean {
    const { hold } = context;
    context.hold = undefined;
    if (hold === undefined) return false;
    for (const { bytes, raw, callback } of hold.sends) this.send(context, bytes, raw, callback);
    return hold.full && context.phase === Phase.open && !context.needDrain;
  }

  #holdBack(
    context: Context,
    bytes: Uint8Array,
    raw: boolean,
    callback: SendCallback | undefined,
  ): boolean {
    if (context.phase !== Phase.open || this.closing) return this.#refuse(context, callback);
    if (!this.#keep(context, bytes, raw, callback)) return false;
    const hold = context.hold as SendHold;
    hold.full ||= context.bound + hold.bytes > this.#limits.highWaterMark;
    return !hold.full;
  }

  /** Copies it into the hold, if the cap admits it. */
  #keep(
    context: Context,
    bytes: Uint8Array,
    raw: boolean,
    callback: SendCallback | undefined,
  ): boolean {
    const hold = context.hold as SendHold;
    const size = raw ? bytes.length : this.#framing.framedSize(bytes.length, bytes);
    const { maxQueuedBytes, onOverflow } = this.#limits;
    if (context.bound + hold.bytes + size > maxQueuedBytes) {
      const error = overflowError(context.id, context.bound + hold.bytes, size, maxQueuedBytes);
      if (onOverflow === 'throw') throw error;
      if (callback !== undefined) process.nextTick(callback, error);
      if (onOverflow === 'disconnect') this.disconnect(context, false, 0);
      else this.dropped++;
      return false;
    }
    hold.bytes += size;
    hold.sends.push({ bytes: Uint8Array.from(bytes), raw, callback });
    return true;
  }

  /** Ends a context from this side; false = it has gone already. */
  disconnect(context: Context, graceful: boolean, graceMs: number): boolean {
    if (context.phase >= Phase.aborted) return false;
    if (graceful) {
      context.resume();
      this.releaseHold(context);
    } else {
      context.held = undefined;
    }
    this.flush();
    context.phase = graceful ? Phase.ending : Phase.aborted;
    return this.#engine.disconnect(context.slot, context.generation, graceful, graceMs);
  }

  /**
   * The peer has finished sending. Answered when this turn of the event loop is over, so that what listeners
   * send in reply goes out first, even from promise continuations.
   */
  finishSoon(context: Context): void {
    this.#finishing.push(context);
    this.#schedule();
  }

  /** The engine says that a queue fell below the low-water mark; false = not any more. */
  drained(context: Context): boolean {
    context.needDrain = false;
    if (context.phase !== Phase.open) return false;
    return this.#belowMark(context);
  }

  /** A package with a callback was given to the system. Callbacks before it that got no answer never will. */
  written(context: Context, token: number): void {
    const waiting = context.waiting ?? [];
    let next = waiting.shift();
    for (; next !== undefined && next.token !== token; next = waiting.shift()) {
      process.nextTick(next.callback, next.token === NO_TOKEN ? null : this.#lost(context));
    }
    while (waiting[0]?.token === NO_TOKEN) process.nextTick(waiting.shift()!.callback, null);
    next?.callback(null);
  }

  #sendText(
    context: Context,
    text: string,
    raw: boolean,
    callback: SendCallback | undefined,
  ): boolean {
    const readsPayload = this.#framing.readsPayload && !raw;
    if (text.length > STAGED_TEXT_MAX || text === '' || readsPayload) {
      return this.send(context, Buffer.from(text, 'utf8'), raw, callback);
    }
    if (context.phase !== Phase.open || this.closing) return this.#refuse(context, callback);
    const alone = raw || callback !== undefined;
    const length = this.#batch.stage(context.slot, context.generation, text, alone);
    const size = raw ? length : this.#framing.framedSize(length);
    if (context.bound + size > this.#limits.maxQueuedBytes) {
      return this.send(context, Buffer.from(text, 'utf8'), raw, callback);
    }
    const flags = this.#flags(context, raw, callback);
    this.#batch.adopt(context.slot, context.generation, length, flags);
    return this.#queued(context, size);
  }

  #sendLarge(context: Context, payload: Uint8Array, flags: number): boolean {
    this.flush();
    const { slot, generation } = context;
    const status = this.#engine.sendLarge(slot, generation, payload, flags);
    if (status === 0) return true;
    if ((flags & OutputFlag.notify) !== 0) {
      const { callback } = context.waiting?.pop() as { callback: SendCallback };
      const error = errorFromStatus(this.#tables, status, { context: context.id });
      process.nextTick(callback, error);
    }
    return false;
  }

  /** Books `size` bytes that were just queued, and answers for `send`. */
  #queued(context: Context, size: number): boolean {
    if (!this.delivering) this.#schedule();
    context.bound += size;
    if (context.bound <= this.#limits.highWaterMark) return true;
    return !context.needDrain && this.#belowMark(context);
  }

  /** Asks for the exact figure; when it is above the mark the engine will send a `drain` record. */
  #belowMark(context: Context): boolean {
    const exact = this.#exact(context);
    return exact >= 0 && !context.needDrain;
  }

  #exact(context: Context): number {
    this.flush();
    const exact = this.#engine.queued(context.slot, context.generation);
    if (exact >= 0) {
      context.bound = exact;
      context.needDrain = exact > this.#limits.highWaterMark;
    }
    return exact;
  }

  /** Applies the cap; false = nothing may be queued, and the callback was told. */
  #admits(context: Context, size: number, callback: SendCallback | undefined): boolean {
    const { maxQueuedBytes, onOverflow } = this.#limits;
    if (context.bound + size <= maxQueuedBytes) return true;
    const exact = this.#exact(context);
    if (exact < 0) return this.#refuse(context, callback);
    if (exact + size <= maxQueuedBytes || onOverflow === 'disconnect') return true;
    const error = overflowError(context.id, exact, size, maxQueuedBytes);
    if (onOverflow === 'throw') throw error;
    this.dropped++;
    if (callback !== undefined) process.nextTick(callback, error);
    return false;
  }

  #refuse(context: Context, callback: SendCallback | undefined): boolean {
    if (callback !== undefined) process.nextTick(callback, goneError(context.id));
    return false;
  }

  /** A package without any bytes, which only `sendRaw` and the framing `'none'` know: there is nothing to queue. */
  #nothing(context: Context, callback: SendCallback | undefined): boolean {
    if (callback !== undefined) {
      if (context.waiting !== undefined && context.waiting.length > 0) {
        context.waiting.push({ token: NO_TOKEN, callback });
      } else {
        process.nextTick(callback, null);
      }
    }
    return context.bound <= this.#limits.highWaterMark;
  }

  #flags(context: Context, raw: boolean, callback: SendCallback | undefined): number {
    const flags = raw ? OutputFlag.raw : 0;
    if (callback === undefined) return flags;
    this.#token = (this.#token + 1) % TOKEN_LIMIT;
    (context.waiting ??= []).push({ token: this.#token, callback });
    return (flags | OutputFlag.notify | (this.#token << 8)) >>> 0;
  }

  #lost(context: Context): IocpError {
    const { maxQueuedBytes } = this.#limits;
    return overflowError(context.id, maxQueuedBytes, 0, maxQueuedBytes);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  /** Once per turn of the event loop, after promise continuations. */
  readonly #turn = (): void => {
    this.#scheduled = false;
    this.flush();
    const finishing = this.#finishing;
    if (finishing.length === 0) return;
    this.#finishing = [];
    for (const context of finishing) {
      if (context.phase >= Phase.aborted) continue;
      context.phase = Phase.ending;
      this.#engine.finish(context.slot, context.generation);
    }
  };
}
