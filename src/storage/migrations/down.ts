import { gainsOf } from '../../domain/decision/gains.ts';
import { RolecallError } from '../../domain/errors.ts';
import type { Instant } from '../../domain/ids.ts';
import type { Sql } from '../database.ts';
import { accessTables, readAccessState } from './access-state.ts';
import { keepLosses } from './archive.ts';
import { type CatalogObject, describeCatalog } from './catalog.ts';
import { buildConcurrently } from './concurrently.ts';
import { exposedBetween } from './exposure.ts';
import { pendingSteps, readLedger } from './ledger.ts';
import { columnsThatStay, lossesBetween } from './losses.ts';
import { openRecorder } from './recording.ts';
import { runFile } from './running.ts';
import { connected, type RunOptions, type Transaction } from './session.ts';
import { isStructural, runsOutsideTransaction, splitStatements } from './statements.ts';
import type { Step } from './steps.ts';
import { stepByStep } from './stepwise.ts';
import { findStep } from './up.ts';

export interface DownOptions extends RunOptions {
  /** Agrees to lose what the steps hold. Names the backup that still has it, for the record. */
  readonly destroy?: { readonly backupRef: string };
}

/**
 * Undoes the newest steps, so many or all that came after the one named, newest first, each in one transaction with its
 * ledger row. What a step would drop is kept and comes back with its way up; a way down that cannot keep it is refused
 * unless `destroy` is given, one that would let anybody do more always. Returns the names of the steps undone.
 */
export function migrateDown(options: DownOptions, target: number | string): Promise<readonly string[]> {
  const [count, last] =
    typeof target === 'number'
      ? [target, -1]
      : [Number.POSITIVE_INFINITY, findStep(options.steps, target).position];
  return connected(options, (sql) =>
    stepByStep(sql, options, async (transaction, done) => {
      if (done >= count) return undefined;
      const ledger = await readLedger(transaction);
      pendingSteps(options.steps, ledger);
      const newest = ledger.at(-1);
      const step = options.steps.find((candidate) => candidate.name === newest?.name);
      if (!step || step.position <= last) return undefined;
      const run = runsOutsideTransaction(step.down) ? undoOutside : undo;
      const kept = await run(transaction, options, step);
      const lines = kept.map((what) => `kept ${what} in rolecall_archive`);
      return { name: step.name, lines: [`undid ${step.name}`, ...lines] };
    }),
  );
}

async function undo(transaction: Transaction, options: DownOptions, step: Step): Promise<readonly string[]> {
  const file = `${step.name}.down.sql`;
  const record = await openRecorder(transaction, options.journalKey);
  const { gains, kept, unkept } = await foresee(transaction, file, step.down);
  if (gains.length > 0)
    throw new RolecallError(
      'migration_refused',
      `${file} would let people do more, so it was not run:\n${gains.join('\n')}\nTake that from them first, or keep the step.`,
    );
  const { destroy } = options;
  if (unkept.length > 0 && !destroy)
    throw new RolecallError(
      'migration_refused',
      `${file} would lose what cannot be kept:\n${unkept.join('\n')}\nMake a backup, then say --destroy with --backup-ref and where it is.`,
    );
  const names = kept.map(({ table, columns }) =>
    columns === null ? table : `${table} (${columns.join(', ')})`,
  );
  const backup = destroy ? { backupRef: destroy.backupRef } : {};
  await record({
    steps: [step.name],
    direction: 'down',
    hash: step.downHash,
    kept: destroy ? [] : names,
    ...backup,
  });
  await transaction`delete from rolecall.migrations where name = ${step.name}`;
  const said = kept.length > 0 && !destroy ? await keepLosses(transaction, step, kept) : [];
  await runFile(transaction, file, step.down);
  return said;
}

/** Only an index goes: no row is lost, and nobody gains. */
async function undoOutside(
  transaction: Transaction,
  options: DownOptions,
  step: Step,
): Promise<readonly string[]> {
  if (!options.dryRun)
    await buildConcurrently(transaction, options, `${step.name}.down.sql`, step.down, null);
  const record = await openRecorder(transaction, options.journalKey);
  await record({ steps: [step.name], direction: 'down', hash: step.downHash, kept: [] });
  await transaction`delete from rolecall.migrations where name = ${step.name}`;
  return [];
}

/** Runs a way down, looks at what it did, and takes it back. */
async function foresee(sql: Transaction, file: string, down: string) {
  const mayChangeRows = !splitStatements(down).every(isStructural);
  const before = await describeCatalog(sql);
  await sql`savepoint foreseeing`;
  await runFile(sql, file, down);
  const after = await describeCatalog(sql);
  const stay = mayChangeRows ? columnsThatStay(before, after) : new Map<string, readonly string[]>();
  const rowsAfter = await hashRows(sql, stay);
  const concernsAccess = mayChangeRows || touches(accessTables, before, after);
  const accessAfter = concernsAccess ? await readAccessState(sql) : undefined;
  await sql`rollback to savepoint foreseeing`;
  const { kept, unkept } = lossesBetween(before, after);
  const rowsBefore = await hashRows(sql, stay);
  const altered = [...stay.keys()].filter((table) => rowsBefore.get(table) !== rowsAfter.get(table));
  const gains = accessAfter ? gainsOf(await readAccessState(sql), accessAfter, await readClock(sql)) : [];
  return {
    gains: [...gains, ...(await exposedBetween(sql, before, after))],
    kept,
    unkept: [...unkept, ...altered.map((table) => `rows of ${table} would change or go`)],
  };
}

async function readClock(sql: Sql): Promise<Instant> {
  const [row] = await sql<{ now: Instant }[]>`
    select floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now`;
  return row?.now ?? Number.NaN;
}

function touches(
  tables: readonly string[],
  before: readonly CatalogObject[],
  after: readonly CatalogObject[],
): boolean {
  const columns = (objects: readonly CatalogObject[]) =>
    objects
      .filter(({ name }) => tables.includes(/^column (\w+)/.exec(name)?.[1] ?? ''))
      .map(({ name, definition }) => `${name}: ${definition}`)
      .join('\n');
  return columns(before) !== columns(after);
}

async function hashRows(
  sql: Sql,
  tables: ReadonlyMap<string, readonly string[]>,
): Promise<ReadonlyMap<string, string>> {
  const hashes = new Map<string, string>();
  for (const [table, columns] of tables) {
    const [row] = await sql<{ hash: string }[]>`
      select md5(coalesce(string_agg(hash, '' order by hash), '')) as hash
      from (select md5(row(${sql([...columns])})::text) as hash from ${sql(`rolecall.${table}`)}) as rows`;
    hashes.set(table, row?.hash ?? '');
  }
  return hashes;
}
