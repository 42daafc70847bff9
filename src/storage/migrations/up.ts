import { RolecallError } from '../../domain/errors.ts';
import { restoreKept } from './archive.ts';
import { buildConcurrently } from './concurrently.ts';
import { findUnrecorded, pendingSteps, readLedger } from './ledger.ts';
import { openRecorder } from './recording.ts';
import { runFile } from './running.ts';
import { connected, type RunOptions, type Transaction } from './session.ts';
import { runsOutsideTransaction } from './statements.ts';
import type { Step } from './steps.ts';
import { stepByStep } from './stepwise.ts';

/**
 * Runs every pending step, or those up to the one named `to`, each in one transaction with its ledger row, so that a step
 * has happened wholly or not at all wherever the process is killed. What an earlier way down kept comes back with its
 * step. Any number of processes may call this at once: one works, the others wait and find nothing left to do. Returns
 * the names of the steps that this call ran.
 */
export function migrateUp(options: RunOptions, to?: string): Promise<readonly string[]> {
  const last = to === undefined ? Number.POSITIVE_INFINITY : findStep(options.steps, to).position;
  return connected(options, (sql) =>
    stepByStep(sql, options, async (transaction) => {
      const [next] = pendingSteps(options.steps, await readLedger(transaction));
      if (!next) return recordPrinted(transaction, options);
      if (next.position > last) return undefined;
      const run = runsOutsideTransaction(next.up) ? applyOutside : apply;
      const came = await run(transaction, options, next);
      return { name: next.name, lines: [`applied ${next.name}`, ...came] };
    }),
  );
}

/** The step of that name or number. Throws `invalid_input` for one that this release does not have. */
export function findStep(steps: readonly Step[], name: string): Step {
  const found = steps.find((step) => step.name === name || step.name.slice(0, 4) === name);
  if (found) return found;
  throw new RolecallError(
    'invalid_input',
    `there is no step ${name}; \`rolecall migrate status\` lists them`,
    {
      didYouMean: steps
        .map((step) => step.name)
        .filter((known) => known.includes(name.replace(/^\d+_?/, ''))),
    },
  );
}

async function apply(transaction: Transaction, options: RunOptions, step: Step): Promise<readonly string[]> {
  const record = await openRecorder(transaction, options.journalKey);
  await runFile(transaction, `${step.name}.sql`, step.up);
  return finish(transaction, options, step, record);
}

/**
 * A step that cannot run in a transaction runs on a connection of its own, while this one holds the lock and nothing
 * else. It is made so that it can be run again: see `concurrently.ts`.
 */
async function applyOutside(
  transaction: Transaction,
  options: RunOptions,
  step: Step,
): Promise<readonly string[]> {
  if (!options.dryRun)
    await buildConcurrently(transaction, options, `${step.name}.sql`, step.up, step.catalog);
  return finish(transaction, options, step, await openRecorder(transaction, options.journalKey));
}

/** Puts the steps into the journal that were run as a printed plan: the key that seals it is never printed. */
async function recordPrinted(transaction: Transaction, options: RunOptions) {
  const steps = (await readLedger(transaction)).length > 0 ? await findUnrecorded(transaction) : [];
  if (steps.length === 0) return undefined;
  const record = await openRecorder(transaction, options.journalKey);
  await record({ steps, direction: 'up' });
  return { name: null, lines: [`recorded ${steps.join(', ')} in the journal`] };
}

/** Brings back what was kept, writes the ledger row and the journal's. Restoring 0000 brings the journal itself back. */
async function finish(
  transaction: Transaction,
  options: RunOptions,
  step: Step,
  record: Awaited<ReturnType<typeof openRecorder>>,
): Promise<readonly string[]> {
  const came = await restoreKept(transaction, step);
  await insertLedgerRow(transaction, step);
  const isNewer = came.some(({ table }) => table === 'journal' || table === 'revision');
  const recordNow = isNewer ? await openRecorder(transaction, options.journalKey) : record;
  await recordNow({
    steps: [step.name],
    direction: 'up',
    hash: step.hash,
    restored: came.map(({ table, rows, left }) => ({ table, rows, left })),
  });
  return came.map(
    ({ table, rows, left }) =>
      `brought back ${rows} rows of ${table}${left > 0 ? `; ${left} were closed meanwhile and stay away` : ''}`,
  );
}

export async function insertLedgerRow(transaction: Transaction, step: Step): Promise<void> {
  await transaction`
    insert into rolecall.migrations (position, name, hash, down_hash)
    values (${step.position}, ${step.name}, ${step.hash}, ${step.downHash})`;
}
