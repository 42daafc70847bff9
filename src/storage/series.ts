import type { Deadline } from './deadline.ts';
import type { Gate } from './gate.ts';

/** Gives what came of one member: returns its value or a promise of it, or throws what it failed with. */
export type Outcome<T> = () => T | Promise<T>;

/** One that waits to be done together with others. */
interface Waiting<Item, T> {
  readonly item: Item;
  readonly key: string;
  /** Set when the member is taken out of the queue to be performed. */
  outcome?: Promise<Outcome<T>>;
}

/** No more than this many are done at once: each waits for all of them. */
const mostTogether = 32;

/**
 * Opens a queue whose members are performed together. Whoever is let through the gate takes the waiting
 * members in the order in which they came, at most `mostTogether` and only up to the first whose key is among
 * those taken already, and calls `perform` once for all of them. `perform` gives one outcome for each and
 * never rejects. A member that nobody has taken by its deadline rejects with `unavailable`; once taken, only
 * its outcome counts.
 */
export function openSeries<Item, T>(
  gate: Gate,
  perform: (items: readonly Item[]) => Promise<readonly Outcome<T>[]>,
): (deadline: Deadline, key: string, item: Item) => Promise<T> {
  const waiting: Waiting<Item, T>[] = [];

  function takeNext(): readonly Waiting<Item, T>[] {
    const keys = new Set<string>();
    for (const { key } of waiting) {
      if (keys.has(key) || keys.size === mostTogether) break;
      keys.add(key);
    }
    return waiting.splice(0, keys.size);
  }

  async function lead(): Promise<void> {
    const taken = takeNext();
    const performing = perform(taken.map(({ item }) => item));
    for (const [place, one] of taken.entries())
      one.outcome = performing.then((outcomes) => outcomes[place] as Outcome<T>);
    await performing;
  }

  return async (deadline, key, item) => {
    const mine: Waiting<Item, T> = { item, key };
    waiting.push(mine);
    try {
      const leave = await gate.enter(deadline);
      try {
        while (!mine.outcome) await lead();
      } finally {
        leave();
      }
    } catch (error) {
      if (!mine.outcome) {
        waiting.splice(waiting.indexOf(mine), 1);
        throw error;
      }
    }
    const outcome = await (mine.outcome as unknown as Promise<Outcome<T>>);
    return outcome();
  };
}
