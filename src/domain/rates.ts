/** A bucket holds what one second gives, so whoever was quiet may come with that much at once. */
const fillMs = 1_000;

/** Of moments in milliseconds that were added up many times. */
const roundingMs = 1e-3;

/** Those for whom there is no room in a full table. */
const everybodyElse = '';

/**
 * How often something may happen in the name of each: a token bucket for every name, kept as the moment at which it will be
 * full again. One that is full is the same as none, so the table is forgotten by halves as time passes, and holds only the
 * names of the last two seconds, `mostNames` in each half; whoever comes beyond that shares one bucket. Moments are
 * milliseconds of a clock that never goes back.
 */
export class Rates {
  readonly #stepMs: number;
  readonly #mostNames: number;
  #young = new Map<string | number, number>();
  #old = new Map<string | number, number>();
  #turnedAt = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number, mostNames = Number.POSITIVE_INFINITY) {
    this.#stepMs = fillMs / perSecond;
    this.#mostNames = mostNames;
  }

  /** Milliseconds until the name has one left, 0 if it has. */
  wait(name: string | number, now: number): number {
    const missing = this.#fullAt(this.#placeOf(name), now) + this.#stepMs - now - fillMs;
    return missing > roundingMs ? missing : 0;
  }

  /** Takes one from the name, or what is left of it: nobody owes more than a whole bucket. */
  spend(name: string | number, now: number): void {
    this.#turn(now);
    const place = this.#placeOf(name);
    this.#young.set(place, Math.min(this.#fullAt(place, now) + this.#stepMs, now + fillMs));
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  #fullAt(place: string | number, now: number): number {
    return Math.max(now, this.#young.get(place) ?? this.#old.get(place) ?? now);
  }

  #placeOf(name: string | number): string | number {
    const isFull = this.#young.size >= this.#mostNames && !this.#young.has(name);
    return isFull ? everybodyElse : name;
  }

  /** What was last touched a whole fill ago is full by now. */
  #turn(now: number): void {
    if (now - this.#turnedAt < fillMs) return;
    this.#old = now - this.#turnedAt < 2 * fillMs ? this.#young : new Map();
    this.#young = new Map();
    this.#turnedAt = now;
  }
}
