// Connections that nobody has seen: accepted, silent so far, and no listener wanted to hear of them. There may be tens of
// thousands, so until somebody asks for its context such a connection is a row of numbers and no object.

import type { Birth, LocalEnd } from './client-context.js';

/** Slots of a page: one that has emptied goes, and none is ever copied because there are more. */
const PAGE_SLOTS = 256;

/** Both ends of a connection but for the peer's port: one object for all that have them in common and come in a row. */
interface Ends {
  readonly remoteAddress: string;
  readonly local: LocalEnd;
}

interface Page {
  readonly generations: Uint32Array;
  readonly ports: Uint16Array;
  /** What a clock that is set says of them may be anything. */
  readonly ages: Float64Array;
  /** Undefined where there is no connection. */
  readonly ends: Array<Ends | undefined>;
  count: number;
}

/** The unseen connections of one engine, by slot. */
export class UnseenContexts {
  /** Above every slot that there ever was. */
  slots = 0;
  readonly #pages: Array<Page | undefined> = [];
  /** The page that emptied last: most connections are seen right after they came, and so it is wanted at once. */
  #spare: Page | undefined;
  #lastEnds: Ends | undefined;

  /** The connection in the slot came to be. Keeps nothing of `birth`. */
  add(birth: Birth, local: LocalEnd, age: number): void {
    const { slot, remoteAddress } = birth;
    if (this.#lastEnds?.remoteAddress !== remoteAddress || this.#lastEnds.local !== local) {
      this.#lastEnds = { remoteAddress, local };
    }
    const page = this.#pageOf(slot);
    const index = slot % PAGE_SLOTS;
    page.generations[index] = birth.generation;
    page.ports[index] = birth.remotePort;
    page.ages[index] = age;
    page.ends[index] = this.#lastEnds;
    page.count++;
    this.slots = Math.max(this.slots, slot + 1);
  }

  /** Somebody looks at the connection in `slot`, or it has gone: it is unseen no longer. Undefined = there was none. */
  take(slot: number): (Birth & { local: LocalEnd; age: number }) | undefined {
    const page = this.#pages[Math.floor(slot / PAGE_SLOTS)];
    const index = slot % PAGE_SLOTS;
    const ends = page?.ends[index];
    if (page === undefined || ends === undefined) return undefined;
    page.ends[index] = undefined;
    page.count--;
    if (page.count === 0) {
      this.#pages[Math.floor(slot / PAGE_SLOTS)] = undefined;
      this.#spare = page;
    }
    const { remoteAddress, local } = ends;
    const generation = page.generations[index] as number;
    const remotePort = page.ports[index] as number;
    return { slot, generation, remoteAddress, remotePort, local, age: page.ages[index] as number };
  }

  #pageOf(slot: number): Page {
    const number = Math.floor(slot / PAGE_SLOTS);
    const there = this.#pages[number];
    if (there !== undefined) return there;
    while (this.#pages.length < number) this.#pages.push(undefined);
    const page = this.#spare ?? {
      generations: new Uint32Array(PAGE_SLOTS),
      ports: new Uint16Array(PAGE_SLOTS),
      ages: new Float64Array(PAGE_SLOTS),
      ends: new Array<Ends | undefined>(PAGE_SLOTS).fill(undefined),
      count: 0,
    };
    this.#spare = undefined;
    this.#pages[number] = page;
    return page;
  }
}
