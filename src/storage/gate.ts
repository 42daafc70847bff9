import { type Deadline, isPast, unavailable, within } from './deadline.ts';

/**
 * Lets a fixed number in at a time and a bounded number wait. The driver's own queue is unbounded and has no deadline,
 * so nobody reaches it without a place here.
 */
export class Gate {
  #free: number;
  readonly #longestQueue: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number, longestQueue: number) {
    this.#free = places;
    this.#longestQueue = longestQueue;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves to the function that gives the place back; rejects with `unavailable` when full or too late. */
  async enter(deadline: Deadline): Promise<() => void> {
    if (isPast(deadline)) throw unavailable('the request ran out of time');
    if (this.#free > 0) {
      this.#free -= 1;
      return this.#placeHolder();
    }
    if (this.#waiting.length >= this.#longestQueue)
      throw unavailable('too many requests are waiting for the database');
    let admit: () => void = () => {};
    const admitted = new Promise<void>((resolve) => {
      admit = resolve;
    });
    this.#waiting.push(admit);
    try {
      await within(deadline, admitted, () => unavailable('no database connection became free in time'));
    } catch (error) {
      const place = this.#waiting.indexOf(admit);
      // Not in the queue any more: the place was handed over in the same moment and must be passed on.
      if (place === -1) this.#leave();
      else this.#waiting.splice(place, 1);
      throw error;
    }
    return this.#placeHolder();
  }

  #placeHolder(): () => void {
    let held = true;
    return () => {
      if (held) this.#leave();
      held = false;
    };
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free += 1;
  }
}
