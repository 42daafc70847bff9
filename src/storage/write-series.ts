import { RolecallError } from '../domain/errors.ts';
import { millisecondsUntil, unavailable } from './deadline.ts';
import { type Outcome, openSeries } from './series.ts';
import type { Transactions, WriteContext, WriteHandle, Written } from './transaction.ts';

/** One of the changes that are made together. */
export interface Asked<Ask> {
  readonly ask: Ask;
  /** Notes what is done for this one. */
  readonly handle: WriteHandle;
}

/** Makes all of them; one outcome for each, in their order. What it refuses leaves the others alone. */
export type SeriesChange<Ask, T> = (asked: readonly Asked<Ask>[]) => Promise<readonly (T | RolecallError)[]>;

interface Member<Ask> {
  readonly context: WriteContext;
  readonly ask: Ask;
}

/** Whoever has no more than this left is late: timers fire some milliseconds early, and another try needs some. */
const lateMs = 10;

/**
 * Opens a way to write for changes that can be made several at once as though they were made one after the
 * other. Changes that wait at the same time share one transaction and what it reads; each has its own
 * revision and journal entries, and rejects with its own refusal. If the transaction fails and its outcome is
 * unknown, all reject. If it fails otherwise, those whose deadline is not over are made again: together if
 * the deadline of another was over, and if not, each by itself. Two changes with the same key are never in
 * one transaction.
 */
export function openWriteSeries<Ask, T>(
  { write, writeAll, openGate }: Pick<Transactions, 'write' | 'writeAll' | 'openGate'>,
  change: SeriesChange<Ask, T>,
  keyOf: (ask: Ask) => string,
): (context: WriteContext, ask: Ask) => Promise<Written<T>> {
  const join = openSeries(openGate(), perform);

  function alone({ context, ask }: Member<Ask>): Promise<Written<T>> {
    return write(context, async (handle) => {
      const [done] = await change([{ ask, handle }]);
      if (done instanceof RolecallError) throw done;
      return done as T;
    });
  }

  async function perform(members: readonly Member<Ask>[]): Promise<readonly Outcome<Written<T>>[]> {
    try {
      const contexts = members.map(({ context }) => context);
      const written = await writeAll(contexts, (handles) =>
        change(members.map(({ ask }, place) => ({ ask, handle: handles[place] as WriteHandle }))),
      );
      return written.map(({ value, ...rest }) =>
        value instanceof RolecallError ? failing(value) : () => ({ value, ...rest }),
      );
    } catch (error) {
      const { code } = error as RolecallError;
      if (members.length === 1 || code === 'outcome_unknown') return members.map(() => failing(error));
      return performAgain(members);
    }
  }

  /** What one of them failed at, or was too late for, is not the others' business; nobody waits for another here. */
  function performAgain(members: readonly Member<Ask>[]): readonly Outcome<Written<T>>[] {
    const inTime = members.filter(({ context }) => millisecondsUntil(context.deadline) > lateMs);
    if (inTime.length === members.length)
      return members.map((member) => {
        const done = alone(member);
        done.catch(() => {});
        return () => done;
      });
    const late = failing(unavailable('the write ran out of time and was undone'));
    if (inTime.length === 0) return members.map(() => late);
    const again = perform(inTime);
    return members.map((member) => {
      const place = inTime.indexOf(member);
      if (place === -1) return late;
      return async () => ((await again)[place] as Outcome<Written<T>>)();
    });
  }

  return (context, ask) =>
    // What is only tried is undone with its transaction, and what may be asked for again is looked up first.
    context.dryRun || context.idempotency
      ? alone({ context, ask })
      : join(context.deadline, keyOf(ask), { context, ask });
}

function failing(error: unknown): Outcome<never> {
  return () => {
    throw error;
  };
}
