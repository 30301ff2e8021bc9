// First in, first out, however many there are: taking one does not move the others, as Array.prototype.shift does.

/** Items behind the taken ones are moved when these are as many. */
const MOVE_MIN = 1024;

export class Fifo<Item> {
  #items: Array<Item | undefined> = [];
  #taken = 0;

  get length(): number {
    return this.#items.length - this.#taken;
  }

  /** The next one to be taken; undefined when there is none. */
  get first(): Item | undefined {
    return this.#items[this.#taken];
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  shift(): Item | undefined {
    const item = this.first;
    if (this.length === 0) return undefined;
    this.#items[this.#taken++] = undefined;
    if (this.#taken >= MOVE_MIN && this.#taken * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#taken);
      this.#taken = 0;
    }
    return item;
  }

  takeAll(): Item[] {
    const items = this.#items.slice(this.#taken) as Item[];
    this.#items = [];
    this.#taken = 0;
    return items;
  }
}
