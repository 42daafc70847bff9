/** A set of small whole numbers. Written to while it is being built, and never after somebody else has it. */
export class Bitset {
  readonly #words: Uint32Array;

  /** Can hold the numbers below `size`. */
  constructor(size: number) {
    this.#words = new Uint32Array((size + 31) >>> 5);
  }

  has(number: number): boolean {
    return ((this.#words[number >>> 5] as number) & (1 << (number & 31))) !== 0;
  }

  add(number: number): void {
    this.#words[number >>> 5] = (this.#words[number >>> 5] as number) | (1 << (number & 31));
  }

  addAll(other: Bitset): void {
    other.#words.forEach((word, place) => {
      this.#words[place] = (this.#words[place] as number) | word;
    });
  }

  removeAll(other: Bitset): void {
    other.#words.forEach((word, place) => {
      this.#words[place] = (this.#words[place] as number) & ~word;
    });
  }

  isEmpty(): boolean {
    return this.#words.every((word) => word === 0);
  }

  /** How many numbers are in it. */
  get size(): number {
    return [...this].length;
  }

  /** The numbers in ascending order. */
  *[Symbol.iterator](): Generator<number> {
    for (let place = 0; place < this.#words.length; place += 1)
      for (let word = this.#words[place] as number; word !== 0; word &= word - 1)
        yield (place << 5) + 31 - Math.clz32(word & -word);
  }
}
