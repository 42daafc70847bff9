import { RolecallError } from '../../domain/errors.ts';
import { keptSteps } from './archive.ts';
import { pendingSteps, readLedger } from './ledger.ts';
import { effectOf, type TableEffect, tableMadeBy, warningFor } from './locks.ts';
import { connected, lockTimeoutMs, migrationLock, onSnapshot, type RunOptions } from './session.ts';
import { runsOutsideTransaction, splitStatements } from './statements.ts';
import type { Step } from './steps.ts';
import { findStep } from './up.ts';

export interface PlannedStatement extends TableEffect {
  readonly number: number;
  readonly line: number;
  readonly text: string;
  readonly warning: string | null;
}

export interface PlannedStep extends Pick<Step, 'position' | 'name' | 'hash' | 'downHash'> {
  readonly inTransaction: boolean;
  /** Whether rows of an earlier way down come back with it, which a printed plan cannot do. */
  readonly restores: boolean;
  readonly statements: readonly PlannedStatement[];
}

export interface Plan {
  /** The step that must be the newest for this plan to be run; null for an empty database. */
  readonly after: string | null;
  readonly steps: readonly PlannedStep[];
}

/** What `migrateUp` would run now, in order. Changes nothing. Throws as `migrationStatus` does. */
export function planUp(options: RunOptions, to?: string): Promise<Plan> {
  const last = to === undefined ? Number.POSITIVE_INFINITY : findStep(options.steps, to).position;
  return connected(options, (sql) =>
    onSnapshot(sql, async (transaction) => {
      const ledger = await readLedger(transaction);
      const kept = await keptSteps(transaction);
      const created = new Set<string>();
      const steps = pendingSteps(options.steps, ledger)
        .filter(({ position }) => position <= last)
        .map((step) => planStep(step, created, kept.includes(step.name)));
      return { after: ledger.at(-1)?.name ?? null, steps };
    }),
  );
}

function planStep(step: Step, created: Set<string>, restores: boolean): PlannedStep {
  const { position, name, hash, downHash, up } = step;
  const statements = splitStatements(up).map((statement) => {
    const effect = effectOf(statement, created);
    const made = tableMadeBy(statement);
    if (made) created.add(made);
    const { number, line, text } = statement;
    return { number, line, text, ...effect, warning: warningFor(effect) };
  });
  return { position, name, hash, downHash, inTransaction: !runsOutsideTransaction(up), restores, statements };
}

/**
 * The plan as a file for psql: the same statements in the same transactions with the same ledger rows. It stops at the
 * first failure, at another process that migrates, and on a database that is not where the plan begins. The journal is
 * left to the next `rolecall migrate up`, since its key has no place in a file. Throws `migration_refused` if rows of an
 * earlier way down are to come back.
 */
export function printPlan({ after, steps }: Plan): string {
  const restoring = steps.filter(({ restores }) => restores).map(({ name }) => name);
  if (restoring.length > 0)
    throw new RolecallError(
      'migration_refused',
      `rolecall_archive keeps rows of ${restoring.join(', ')}: only \`rolecall migrate up\` brings them back`,
    );
  const before = [after, ...steps.map(({ name }) => name)];
  return [
    '-- Run with psql; afterwards `rolecall migrate up` puts what was done into the journal.',
    '\\set ON_ERROR_STOP on',
    "SET application_name = 'rolecall migrate';",
    "SET TimeZone = 'UTC';",
    ...steps.flatMap((step, index) => ['', ...printStep(step, before[index] ?? null)]),
  ].join('\n');
}

function printStep(step: PlannedStep, after: string | null): readonly string[] {
  const begin = ['BEGIN;', guard(after), `SET LOCAL lock_timeout = '${lockTimeoutMs}ms';`];
  const ledgerRow = `INSERT INTO rolecall.migrations (position, name, hash, down_hash) VALUES (${step.position}, '${step.name}', '${step.hash}', '${step.downHash}');`;
  const statements = step.statements.flatMap(({ text, lock, table, warning }) => [
    ...(lock === 'none' ? [] : [`-- ${lock} on rolecall.${table}${warning ? `: ${warning}` : ''}`]),
    `${text};`,
  ]);
  const body = step.inTransaction ? [...begin, ...statements] : [...statements, ...begin];
  return [`-- ${step.name}`, ...body, ledgerRow, 'COMMIT;'];
}

/** Refuses to run beside another process, or on a database whose newest step is another one. */
function guard(after: string | null): string {
  const isElsewhere =
    after === null
      ? `to_regclass('rolecall.migrations') IS NOT NULL`
      : `(SELECT name FROM rolecall.migrations ORDER BY position DESC LIMIT 1) IS DISTINCT FROM '${after}'`;
  return `DO $plan$ BEGIN
  IF NOT pg_try_advisory_xact_lock(${migrationLock}) THEN RAISE EXCEPTION 'another process is migrating this database'; END IF;
  IF ${isElsewhere} THEN RAISE EXCEPTION 'this was planned for a database ${after === null ? 'with no step' : `whose newest step is ${after}`}: plan again'; END IF;
END $plan$;`;
}
