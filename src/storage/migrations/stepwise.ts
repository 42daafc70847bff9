import type postgres from 'postgres';
import { locked, type RunOptions, type Transaction } from './session.ts';

/** What one step came to, in words for people; `name` is null for what concerned no step alone. */
export interface StepDone {
  readonly name: string | null;
  readonly lines: readonly string[];
}

/** Does one step after the other until `next` has none left, and tells of each. Returns the names of the steps. */
export async function stepByStep(
  sql: postgres.Sql,
  options: RunOptions,
  next: (transaction: Transaction, done: number) => Promise<StepDone | undefined>,
): Promise<readonly string[]> {
  const names: string[] = [];
  const tell = ({ name, lines }: StepDone) => {
    if (name) names.push(name);
    for (const line of lines) options.onProgress?.(options.dryRun ? `dry run: ${line}` : line);
  };
  if (!options.dryRun) {
    for (;;) {
      const done = await locked(sql, options, (transaction) => next(transaction, names.length));
      if (!done) return names;
      tell(done);
    }
  }
  const steps = await rehearsed(sql, options, async (transaction) => {
    const all: StepDone[] = [];
    for (;;) {
      const done = await next(transaction, all.length);
      if (!done) return all;
      all.push(done);
    }
  });
  steps.forEach(tell);
  return names;
}

/** As `locked`, but what `work` did is taken back when it has ended. */
async function rehearsed<T>(
  sql: postgres.Sql,
  options: RunOptions,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const takenBack = new Error('taken back');
  const outcome: { done?: T } = {};
  await locked(sql, options, async (transaction) => {
    outcome.done = await work(transaction);
    throw takenBack;
  }).catch((error: unknown) => {
    if (error !== takenBack) throw error;
  });
  return outcome.done as T;
}
