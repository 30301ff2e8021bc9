// Decodes the event records in the engine's slabs and hands them, one by one, to a sink.
// The hot path: per package it makes one Buffer and one call, and nothing else. The cursor always moves
// before the sink is called, so that a listener's exception loses no record and repeats none.

import { Kind, RANGE_WORDS, RECORD_ALIGNMENT, RECORD_HEADER_BYTES } from './records.js';
import type { Slab, SlabSupply } from './slabs.js';

/** A connection came to be, accepted (`token` 0) or outgoing. The reader fills the same object again for the next one. */
export interface ConnectedRecord {
  slot: number;
  generation: number;
  token: number;
  listener: number;
  family: number;
  remoteAddress: string;
  remotePort: number;
  localAddress: string;
  localPort: number;
}

/** The last record of a context. */
export interface DisconnectedRecord {
  slot: number;
  by: number;
  status: number;
  syscall: number;
  bytesReceived: number;
  bytesSent: number;
  packagesReceived: number;
  packagesSent: number;
  /** Empty = the status' own message. */
  message: string;
}

/** A peer that was turned away before it got a context. */
export interface RefusedRecord {
  status: number;
  family: number;
  remoteAddress: string;
  remotePort: number;
}

/** Something happened to a file on its way; see binding.d.ts. */
export interface FileRecord {
  token: number;
  event: number;
  status: number;
  value: number;
  extra: number;
  text: string;
}

/** Who gets the decoded records. A method may throw: `dispatch` then goes on with the next record when called again. */
export interface EventSink {
  onPackage(slot: number, payload: Buffer): void;
  onConnected(record: ConnectedRecord): void;
  onEnded(slot: number): void;
  onDrain(slot: number, queuedBytes: number): void;
  onWritten(slot: number, token: number): void;
  onDisconnected(record: DisconnectedRecord): void;
  onRefused(record: RefusedRecord): void;
  onConnectFailed(token: number, status: number, syscall: number): void;
  onListenerFailed(listener: number, status: number, syscall: number): void;
  onClosed(ended: number, reset: number): void;
  /** Of a logical worker only: let go of the context; `gone`: it is another's now. */
  onLeaving?(slot: number, gone: boolean): void;
  /** Of the engine only: what a transfer of a file came to. */
  onFile?(record: FileRecord): void;
}

type MakeBuffer = new (memory: ArrayBuffer, offset: number, length: number) => Buffer;

// `Buffer[Symbol.species]` is the class behind every Buffer. Constructing it makes the same true Buffer as
// Buffer.from(memory, offset, length) or subarray(), in less than half the time; both were measured.
const species = (Buffer as unknown as Record<symbol, unknown>)[Symbol.species];
const makesBuffers =
  typeof species === 'function' && species.prototype === (Buffer.prototype as unknown);
const PayloadView = (
  makesBuffers
    ? species
    : function (memory: ArrayBuffer, offset: number, length: number): Buffer {
        return Buffer.from(memory, offset, length);
      }
) as MakeBuffer;

/** A row that `deliver` announced. */
interface Row {
  slab: Slab;
  begin: number;
  end: number;
}

const NO_MEMORY = new ArrayBuffer(0);
const NO_SLAB: Slab = {
  lane: 0,
  memory: NO_MEMORY,
  words: new Uint32Array(NO_MEMORY),
  bytes: new Uint8Array(NO_MEMORY),
};

function text(memory: ArrayBuffer, offset: number, length: number): string {
  return Buffer.from(memory, offset, length).toString('utf8');
}

function wide(low: number, high: number): number {
  return high * 2 ** 32 + low;
}

function lost(): Error {
  return new Error(
    'packages were lost: a listener detached the memory that they shared with its payload ' +
      '(payload.buffer.transfer()); Buffer.from(payload) makes a copy that may be detached',
  );
}

/** Turns addresses into strings. Peers of one host tend to come together: they share one, and no other is made. */
class AddressReader {
  #last = '';
  /** Its bytes, as long as they are. */
  #bytes = Buffer.alloc(0);

  read(slab: Uint8Array, offset: number, length: number): string {
    const last = this.#bytes;
    let same = length === last.length;
    for (let index = 0; same && index < length; index++) {
      same = slab[offset + index] === last[index];
    }
    if (!same) {
      this.#bytes = Buffer.from(slab.subarray(offset, offset + length));
      this.#last = this.#bytes.toString('utf8');
    }
    return this.#last;
  }
}

/** Reads the slabs of one engine. */
export class EventReader {
  readonly #ranges: Int32Array;
  readonly #slabs: SlabSupply;
  readonly #sink: EventSink;
  /** Used again and again: the first `#rowCount` are announced, and those from `#nextRow` on not begun. */
  readonly #rows: Row[] = [];
  #rowCount = 0;
  #nextRow = 0;
  #larges: Buffer[] = [];
  #nextLarge = 0;
  #words = NO_SLAB.words;
  #memory = NO_SLAB.memory;
  #bytes = NO_SLAB.bytes;
  #at = 0;
  #end = 0;
  readonly #room: number;
  // The series that is being read.
  #seriesSlot = 0;
  #seriesAt = 0;
  #seriesEnd = 0;
  readonly #remoteAddresses = new AddressReader();
  readonly #localAddresses = new AddressReader();
  readonly #connection: ConnectedRecord = {
    slot: 0,
    generation: 0,
    token: 0,
    listener: 0,
    family: 0,
    remoteAddress: '',
    remotePort: 0,
    localAddress: '',
    localPort: 0,
  };

  /** `room`: bytes before each payload of a series. */
  constructor(ranges: Int32Array, slabs: SlabSupply, sink: EventSink, room: number) {
    this.#room = room;
    this.#ranges = ranges;
    this.#slabs = slabs;
    this.#sink = sink;
  }

  /**
   * Notes the announced rows, and replaces the slabs that are used up so that reading from the network goes
   * on while listeners run. The rows array belongs to the engine again afterwards.
   */
  take(count: number, larges: Buffer[] | undefined): void {
    for (let row = 0; row < count; row++) {
      const word = row * RANGE_WORDS;
      const index = this.#ranges[word] as number;
      const begin = this.#ranges[word + 1] as number;
      const end = this.#ranges[word + 2] as number;
      if (begin < end) this.#announce(this.#slabs.at(index), begin, end);
      if (this.#ranges[word + 3] !== 0) this.#slabs.replace(index);
    }
    if (larges !== undefined) {
      this.#larges =
        this.#nextLarge < this.#larges.length
          ? this.#larges.slice(this.#nextLarge).concat(larges)
          : larges;
      this.#nextLarge = 0;
    }
  }

  #announce(slab: Slab, begin: number, end: number): void {
    const row = this.#rows[this.#rowCount];
    if (row === undefined) {
      this.#rows.push({ slab, begin, end });
    } else {
      row.slab = slab;
      row.begin = begin;
      row.end = end;
    }
    this.#rowCount++;
  }

  /** Hands every noted record to the sink, going on behind the last one it was given. */
  dispatch(): void {
    if (this.#seriesAt < this.#seriesEnd) this.#dispatchSeries();
    while (this.#at < this.#end || this.#advance()) this.#dispatchRow();
  }

  #dispatchSeries(): void {
    const sink = this.#sink;
    const bytes = this.#bytes;
    const memory = this.#memory;
    const slot = this.#seriesSlot;
    const end = this.#seriesEnd;
    let at = this.#seriesAt;
    while (at < end) {
      const low = bytes[at];
      if (low === undefined) {
        this.#seriesAt = end;
        throw lost();
      }
      const length = low | ((bytes[at + 1] as number) << 8);
      const body = at + this.#room;
      at = body + length;
      this.#seriesAt = at;
      sink.onPackage(slot, new PayloadView(memory, body, length));
    }
  }

  #dispatchRow(): void {
    const sink = this.#sink;
    const words = this.#words;
    const memory = this.#memory;
    const end = this.#end;
    let at = this.#at;
    while (at < end) {
      const word = at >>> 2;
      const kind = words[word];
      if (kind === undefined) {
        this.#at = end; // of what is not there any more; the engine's own view of the slab stays good
        throw lost();
      }
      const slot = words[word + 1] as number;
      const length = words[word + 2] as number;
      const body = at + RECORD_HEADER_BYTES;
      at = body + ((length + (RECORD_ALIGNMENT - 1)) & -RECORD_ALIGNMENT);
      this.#at = at;
      if (kind === Kind.series) {
        this.#seriesSlot = slot;
        this.#seriesAt = body;
        this.#seriesEnd = body + length;
        this.#dispatchSeries();
      } else if (kind === Kind.package) {
        sink.onPackage(slot, new PayloadView(memory, body, length));
      } else if (kind === Kind.large) {
        sink.onPackage(slot, this.#large(words[word + 4] as number, words[word + 5] as number));
      } else {
        this.#dispatchRare(kind, slot, words, word + 4, words[word + 3] as number);
      }
    }
  }

  /** The next large payload: a Buffer of its own, or `length` bytes of the block it was received into. */
  #large(length: number, offset: number): Buffer {
    const buffer = this.#larges[this.#nextLarge++] as Buffer;
    if (length === 0) return buffer;
    if (buffer.length === 0) throw lost();
    return new PayloadView(buffer.buffer as ArrayBuffer, buffer.byteOffset + offset, length);
  }

  /** Moves to the next row; false = everything was read. */
  #advance(): boolean {
    if (this.#nextRow === this.#rowCount) {
      this.#rowCount = this.#nextRow = 0;
      if (this.#nextLarge > 0) this.#larges = [];
      this.#nextLarge = 0;
      this.#enter(NO_SLAB, 0, 0);
      return false;
    }
    const row = this.#rows[this.#nextRow++] as Row;
    this.#enter(row.slab, row.begin, row.end);
    row.slab = NO_SLAB; // it may be collected once it was read
    return true;
  }

  #enter(slab: Slab, begin: number, end: number): void {
    this.#words = slab.words;
    this.#bytes = slab.bytes;
    this.#memory = slab.memory;
    this.#at = begin;
    this.#end = end;
  }

  #dispatchRare(kind: number, slot: number, words: Uint32Array, body: number, extra: number): void {
    const sink = this.#sink;
    if (kind === Kind.connected) {
      return sink.onConnected(this.#connected(slot, words, body)); // apart, for no garbage is made of it
    }
    const at = (index: number): number => words[body + index] as number;
    switch (kind) {
      case Kind.ended:
        return sink.onEnded(slot);
      case Kind.drain:
        return sink.onDrain(slot, extra);
      case Kind.written:
        return sink.onWritten(slot, extra);
      case Kind.disconnected:
        return sink.onDisconnected(this.#disconnected(slot, at, body * 4));
      case Kind.refused:
        return sink.onRefused({
          status: at(0),
          remotePort: at(1),
          family: at(2),
          remoteAddress: text(this.#memory, body * 4 + 16, at(3)),
        });
      case Kind.connectFailed:
        return sink.onConnectFailed(extra, at(0), at(1));
      case Kind.listenerFailed:
        return sink.onListenerFailed(extra, at(0), at(1));
      case Kind.closed:
        return sink.onClosed(at(0), at(1));
      case Kind.leaving:
        return sink.onLeaving?.(slot, extra === 1);
      case Kind.file:
        return sink.onFile?.({
          token: extra,
          event: at(0),
          status: at(1),
          value: wide(at(2), at(3)),
          extra: wide(at(4), at(5)),
          text: text(this.#memory, body * 4 + 7 * 4, at(6)),
        });
      default:
        throw new Error(`the engine wrote a record of the unknown kind ${kind}`);
    }
  }

  #connected(slot: number, words: Uint32Array, body: number): ConnectedRecord {
    const connection = this.#connection;
    connection.slot = slot;
    connection.generation = words[body] as number;
    connection.token = words[body + 1] as number;
    connection.listener = words[body + 2] as number;
    connection.remotePort = words[body + 3] as number;
    connection.localPort = words[body + 4] as number;
    connection.family = words[body + 5] as number;
    const remoteBytes = words[body + 6] as number;
    const localBytes = words[body + 7] as number;
    const texts = (body + 8) * 4;
    const bytes = this.#bytes;
    connection.remoteAddress = this.#remoteAddresses.read(bytes, texts, remoteBytes);
    connection.localAddress = this.#localAddresses.read(bytes, texts + remoteBytes, localBytes);
    return connection;
  }

  #disconnected(slot: number, at: (index: number) => number, offset: number): DisconnectedRecord {
    return {
      slot,
      by: at(0),
      status: at(1),
      syscall: at(2),
      bytesReceived: wide(at(3), at(4)),
      bytesSent: wide(at(5), at(6)),
      packagesReceived: wide(at(7), at(8)),
      packagesSent: wide(at(9), at(10)),
      message: text(this.#memory, offset + 12 * 4, at(11)),
    };
  }
}
