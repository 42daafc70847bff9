import { RolecallError } from '../../domain/errors.ts';
import { describeCatalog } from './catalog.ts';
import { findDrift, isAsAfter } from './drift.ts';
import { findBreaches } from './invariants.ts';
import { type LedgerRow, readLedger } from './ledger.ts';
import { openRecorder } from './recording.ts';
import { connected, locked, type RunOptions, type Transaction } from './session.ts';
import { isStructural, splitStatements } from './statements.ts';
import type { Step } from './steps.ts';
import { insertLedgerRow } from './up.ts';

const mostNamed = 10;

/**
 * Makes the ledger say what the database proves: the catalog is exactly as after some step, and no row says what it must
 * not. Writes the rows that are missing, takes away those of steps that are not there, corrects hashes; in one transaction,
 * with a row of the journal. Returns what it did, a sentence each. Throws `migration_refused` without that proof, and for a
 * step whose work on rows leaves no trace in the catalog; there is no way to say otherwise.
 */
export function repairLedger(options: RunOptions): Promise<readonly string[]> {
  return connected(options, (sql) =>
    locked(sql, options, async (transaction) => {
      const { steps, journalKey } = options;
      const record = await openRecorder(transaction, journalKey);
      const ledger = await readLedger(transaction);
      const proven = await prove(transaction, steps, ledger);
      const missing = proven.filter((step) => !ledger.some((row) => row.name === step.name));
      const edited = proven.filter((step) =>
        ledger.some((row) => row.name === step.name && !isSame(row, step)),
      );
      const absent = ledger.filter((row) => !proven.some((step) => step.name === row.name));
      if (missing.length + edited.length + absent.length === 0) return [];
      refuseTraceless([...missing, ...edited]);
      const breaches = await findBreaches(transaction, journalKey ?? '');
      if (breaches.length > 0) throw unproven('the rows are not as they must be', breaches);

      for (const { name } of [...edited, ...absent])
        await transaction`delete from rolecall.migrations where name = ${name}`;
      for (const step of [...missing, ...edited]) await insertLedgerRow(transaction, step);
      const names = (list: readonly { name: string }[]) => list.map(({ name }) => name);
      await record({
        steps: names(proven),
        direction: 'repair',
        missing: names(missing),
        edited: names(edited),
        absent: names(absent),
      });
      return [
        ...names(missing).map((name) => `${name} is there and was missing from the ledger: recorded`),
        ...names(edited).map(
          (name) => `${name} was recorded with other files than these, which make the same: corrected`,
        ),
        ...names(absent).map((name) => `${name} is not there and was in the ledger: taken out`),
      ];
    }),
  );
}

/** The steps that the catalog proves to be there, and no others. */
async function prove(
  transaction: Transaction,
  steps: readonly Step[],
  ledger: readonly LedgerRow[],
): Promise<readonly Step[]> {
  const live = await describeCatalog(transaction);
  if (live.length === 0 && ledger.length === 0) return [];
  const fitting = steps.filter((step) => isAsAfter(step, live));
  // Steps that only work on rows leave the same catalog: of those, the ledger alone knows which have run.
  const head = fitting.findLast((step) => ledger.some((row) => row.name === step.name)) ?? fitting[0];
  if (head) return steps.slice(0, steps.indexOf(head) + 1);
  const newest = steps.find((step) => step.name === ledger.at(-1)?.name) ?? steps.at(-1);
  const drift = newest ? findDrift(steps.slice(0, steps.indexOf(newest) + 1), live) : [];
  throw unproven(
    `the catalog is as after no step of this release; compared with ${newest?.name ?? 'none'}`,
    drift.map(({ object, fault }) => `${object} is ${fault}`),
  );
}

/** The first step's rows are among what `findBreaches` looks at. */
function refuseTraceless(steps: readonly Step[]): void {
  const traceless = steps.filter(
    (step) => step.position > 0 && !splitStatements(step.up).every(isStructural),
  );
  if (traceless.length > 0)
    throw unproven(
      'what these steps do to rows leaves no trace in the catalog',
      traceless.map(({ name }) => name),
    );
}

function isSame(row: LedgerRow, step: Step): boolean {
  return row.hash === step.hash && row.downHash === step.downHash;
}

function unproven(why: string, details: readonly string[]): RolecallError {
  const more = details.length > mostNamed ? [`and ${details.length - mostNamed} more`] : [];
  return new RolecallError(
    'migration_refused',
    [`nothing was written, because it is not proven: ${why}`, ...details.slice(0, mostNamed), ...more].join(
      '\n',
    ),
  );
}
