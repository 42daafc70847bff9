/** How many reads had begun at some moment: whoever came then may have the outcome of any that began later. */
export type Mark = number;

/**
 * One read for many who ask, one at a time. Whoever asks gets the outcome of a read that began after they came: all who
 * come while one is under way share the next.
 */
export class SharedRead<T> {
  readonly #read: () => Promise<T>;
  readonly #noteSharers: (sharers: number) => void;
  #begun: Mark = 0;
  #newest: Promise<T> | undefined;
  #next: Promise<T> | undefined;
  #sharers = 0;
  #waiting = 0;

  /** `noteSharers` is told at the end of each read how many had asked for its outcome by then. */
  constructor(read: () => Promise<T>, noteSharers: (sharers: number) => void = () => {}) {
    this.#read = read;
    this.#noteSharers = noteSharers;
  }

  get mark(): Mark {
    return this.#begun;
  }

  /** `since` is the mark at which whoever asks had come; left out, they come now. */
  ask(since: Mark = this.#begun): Promise<T> {
    if (this.#newest && since < this.#begun) {
      this.#sharers += 1;
      return this.#newest;
    }
    this.#waiting += 1;
    return this.begin();
  }

  /** Has a read begin as soon as none is under way, whether anybody asks or not. */
  begin(): Promise<T> {
    const begin = () => this.#begin();
    this.#next ??= (this.#newest ?? Promise.resolve()).then(begin, begin);
    return this.#next;
  }

  #begin(): Promise<T> {
    this.#next = undefined;
    this.#sharers = this.#waiting;
    this.#waiting = 0;
    const reading = this.#read();
    this.#begun += 1;
    this.#newest = reading;
    const note = () => this.#noteSharers(this.#sharers);
    reading.then(note, () => {
      note();
      // Whoever asks from now on may have more luck with the next.
      this.#newest = undefined;
    });
    return reading;
  }
}
