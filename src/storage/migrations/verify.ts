import { RolecallError } from '../../domain/errors.ts';
import { isSealedWith } from '../chain.ts';
import { describeCatalog } from './catalog.ts';
import { type Drift, findDrift } from './drift.ts';
import { findBreaches } from './invariants.ts';
import { findUnrecorded, pendingSteps, readLedger } from './ledger.ts';
import { connected, onSnapshot, type RunOptions } from './session.ts';
import type { Step } from './steps.ts';

export interface Verification {
  /** The newest step that has run; null for none. */
  readonly head: string | null;
  readonly drift: readonly Drift[];
  /** What the rows say that they should not; null when tables are missing or changed, so that it could not be read. */
  readonly breaches: readonly string[] | null;
  /** Steps that ran as a printed plan and are not in the journal yet; the next `migrate up` puts them there. */
  readonly unrecorded: readonly string[];
  readonly pending: readonly string[];
}

/**
 * Compares the live catalog with what the ledger's newest step promises, and the rows with what must always hold, on one
 * snapshot. Reads the whole journal. Changes nothing. Throws `migration_refused` when files and ledger contradict each
 * other, when the newest step was never described, or when the journal was sealed with another key.
 */
export function verifyDatabase(options: RunOptions & { journalKey: string }): Promise<Verification> {
  return connected(options, (sql) =>
    onSnapshot(sql, async (transaction) => {
      const ledger = await readLedger(transaction);
      const pending = pendingSteps(options.steps, ledger).map(({ name }) => name);
      const applied = options.steps.slice(0, ledger.length);
      const head = requireDescribed(applied.at(-1));
      const drift = findDrift(applied, await describeCatalog(transaction));
      const readable =
        head !== null &&
        drift.every(({ object, fault }) => fault === 'unexpected' || !/^(?:table|column) /.test(object));
      if (!readable) return { head, drift, breaches: head === null ? [] : null, unrecorded: [], pending };
      if (!(await isSealedWith(transaction, options.journalKey)))
        throw new RolecallError(
          'migration_refused',
          'the journal was sealed with another ROLECALL_JOURNAL_KEY: use that one',
        );
      const breaches = await findBreaches(transaction, options.journalKey);
      return { head, drift, breaches, unrecorded: await findUnrecorded(transaction), pending };
    }),
  );
}

/** Whether nothing needs anybody's attention. */
export function isWhole({ drift, breaches, unrecorded }: Verification): boolean {
  return drift.length === 0 && breaches?.length === 0 && unrecorded.length === 0;
}

function requireDescribed(step: Step | undefined): string | null {
  if (step && !step.catalog)
    throw new RolecallError(
      'migration_refused',
      `drizzle/catalog/${step.name}.txt is missing: nobody said what is to be there after ${step.name} (\`npm run db:describe\`)`,
    );
  return step?.name ?? null;
}
