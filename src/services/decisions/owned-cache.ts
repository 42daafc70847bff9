/** Something that is kept of a user: found by its own key, forgotten by whose it is. */
export interface Owned {
  readonly userPk: number;
}

/**
 * Keeps what was used last, within a bound of weight. Two generations instead of a list: what is used moves to the young
 * one, and when that is half full the old one is forgotten whole, so finding something costs one look-up.
 */
export class OwnedCache<Key, Value extends Owned> {
  #young = new Generation<Key, Value>();
  #old = new Generation<Key, Value>();
  readonly #bound: number;
  readonly #weightOf: (value: Value) => number;

  constructor(bound: number, weightOf: (value: Value) => number) {
    this.#bound = bound;
    this.#weightOf = weightOf;
  }

  get(key: Key): Value | undefined {
    const young = this.#young.values.get(key);
    if (young !== undefined) return young;
    const old = this.#old.values.get(key);
    if (old !== undefined) {
      this.#old.delete(key, old);
      this.set(key, old);
    }
    return old;
  }

  set(key: Key, value: Value): void {
    this.#old.delete(key, this.#old.values.get(key));
    this.#young.delete(key, this.#young.values.get(key));
    this.#young.add(key, value, this.#weightOf(value));
    if (this.#young.weight <= this.#bound / 2) return;
    this.#old = this.#young;
    this.#young = new Generation();
  }

  /** Forgets everything of a user. */
  dropOf(userPk: number): void {
    for (const generation of [this.#young, this.#old])
      for (const key of generation.keysOf.get(userPk) ?? [])
        generation.delete(key, generation.values.get(key));
  }

  clear(): void {
    this.#young = new Generation();
    this.#old = new Generation();
  }

  *values(): Iterable<Value> {
    yield* this.#young.values.values();
    yield* this.#old.values.values();
  }

  get size(): number {
    return this.#young.values.size + this.#old.values.size;
  }
}

class Generation<Key, Value extends Owned> {
  readonly values = new Map<Key, Value>();
  readonly keysOf = new Map<number, readonly Key[]>();
  weight = 0;

  add(key: Key, value: Value, weight: number): void {
    this.values.set(key, value);
    this.keysOf.set(value.userPk, [...(this.keysOf.get(value.userPk) ?? []), key]);
    this.weight += weight;
  }

  /** What leaves takes no weight with it: a generation that was full stays full until it is forgotten. */
  delete(key: Key, value: Value | undefined): void {
    if (value === undefined) return;
    this.values.delete(key);
    const others = (this.keysOf.get(value.userPk) ?? []).filter((other) => other !== key);
    if (others.length > 0) this.keysOf.set(value.userPk, others);
    else this.keysOf.delete(value.userPk);
  }
}
