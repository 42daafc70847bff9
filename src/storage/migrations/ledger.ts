import { RolecallError } from '../../domain/errors.ts';
import type { Sql } from '../database.ts';
import type { Step } from './steps.ts';
import { lacksRights } from './troubleshooting.ts';

/** A step that has run: its row was committed together with what it did. */
export interface LedgerRow {
  readonly position: number;
  readonly name: string;
  readonly hash: string;
  readonly downHash: string;
  /** UTC, as the database printed it. */
  readonly appliedAt: string;
}

/**
 * What has run, in order; nothing if the ledger's own table is not there yet. Throws `migration_refused` when its policies
 * may be hiding it from this database user: a ledger that looks empty would have every step run again.
 */
export async function readLedger(sql: Sql): Promise<readonly LedgerRow[]> {
  const [found] = await sql<
    { exists: boolean }[]
  >`select to_regclass('rolecall.migrations') is not null as exists`;
  if (!found?.exists) return [];
  const rows = await sql<LedgerRow[]>`
    select position, name, hash, down_hash as "downHash",
      to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "appliedAt"
    from rolecall.migrations order by position`;
  if (rows.length === 0 && (await mayBeHidden(sql)))
    throw lacksRights('the policies of table rolecall.migrations hide its rows');
  return rows;
}

async function mayBeHidden(sql: Sql): Promise<boolean> {
  const [row] = await sql<{ hidden: boolean }[]>`
    select row_security_active(oid) and not pg_has_role(relowner, 'USAGE') as hidden
    from pg_class where oid = 'rolecall.migrations'::regclass`;
  return row?.hidden ?? false;
}

/**
 * The steps that ran when the journal was in use already, and whose coming is not the last that it says of them: their
 * SQL was printed and run by hand.
 */
export async function findUnrecorded(sql: Sql): Promise<readonly string[]> {
  const rows = await sql<{ name: string }[]>`
    select name from rolecall.migrations
    where applied_at > (select time from rolecall.journal order by revision, number limit 1) and coalesce((
      select after ->> 'direction' = 'down' from rolecall.journal
      where kind = 'schema_changed' and after -> 'steps' ? name order by revision desc limit 1), true)
    order by position`;
  return rows.map(({ name }) => name);
}

/**
 * The steps still to run. Throws `migration_refused` naming each file that was edited after it ran, that ran but is
 * missing from this release, or that would run before one that already has: such a database needs a person.
 */
export function pendingSteps(steps: readonly Step[], ledger: readonly LedgerRow[]): readonly Step[] {
  const faults = [...ledger.flatMap((row) => faultsOf(row, steps)), ...outOfOrder(steps, ledger)];
  if (faults.length > 0) throw new RolecallError('migration_refused', faults.join('\n'));
  const done = new Set(ledger.map((row) => row.name));
  return steps.filter((step) => !done.has(step.name));
}

/** The ledger without what a newer release of Rolecall added after all that this one knows. */
export function withoutNewer(steps: readonly Step[], ledger: readonly LedgerRow[]): readonly LedgerRow[] {
  const newest = steps.at(-1)?.position ?? -1;
  return ledger.filter(({ position }) => position <= newest);
}

function faultsOf(row: LedgerRow, steps: readonly Step[]): string[] {
  const step = steps.find((candidate) => candidate.name === row.name);
  if (!step)
    return [
      `${row.name}.sql is missing: it was applied at ${row.appliedAt}, perhaps by a newer release of Rolecall`,
    ];
  const edited = (file: string) =>
    `${file} was edited after it was applied at ${row.appliedAt}: restore it, and put the change into a new step`;
  return [
    ...(step.hash === row.hash ? [] : [edited(`${row.name}.sql`)]),
    ...(step.downHash === row.downHash ? [] : [edited(`${row.name}.down.sql`)]),
  ];
}

function outOfOrder(steps: readonly Step[], ledger: readonly LedgerRow[]): string[] {
  const done = new Set(ledger.map((row) => row.name));
  const newest = ledger.at(-1);
  if (!newest) return [];
  return steps
    .filter((step) => !done.has(step.name) && step.position <= newest.position)
    .map((step) => `${step.name}.sql is out of order: ${newest.name} has already run; number it after that`);
}
