import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { RolecallError } from '../../domain/errors.ts';
import { unlessLost } from '../database.ts';
import { stateOf, toRolecallError } from '../errors.ts';
import { type LedgerRow, pendingSteps, readLedger } from './ledger.ts';
import type { Step } from './steps.ts';

export interface MigrationStatus {
  readonly applied: readonly LedgerRow[];
  readonly pending: readonly Step[];
}

export interface RunOptions {
  readonly url: string;
  readonly steps: readonly Step[];
  /** Told about each step as it ends and about waiting for another process; for people, on stderr. */
  readonly onProgress?: (line: string) => void;
  /** How long to wait while another process migrates. */
  readonly lockWaitMs?: number;
}

/** Any number that nobody else would choose; advisory locks are per database. */
const migrationLock = 7_203_512_966_114;
const defaultLockWaitMs = 300_000;

/** What has run and what has not. Throws `migration_refused` when files and ledger contradict each other. */
export function migrationStatus(options: RunOptions): Promise<MigrationStatus> {
  return connected(options, async (sql) => {
    const applied = await readLedger(sql);
    return { applied, pending: pendingSteps(options.steps, applied) };
  });
}

/**
 * Runs every pending step, each in one transaction with its ledger row, so that a step has happened wholly or not at
 * all wherever the process is killed. Any number of processes may call this at once: one works, the others wait and
 * find nothing left to do. Returns the names of the steps that this call ran.
 */
export function migrateUp(options: RunOptions): Promise<readonly string[]> {
  return connected(options, async (sql) => {
    const ran: string[] = [];
    for (;;) {
      const step = await locked(sql, options, async (transaction) => {
        const [next] = pendingSteps(options.steps, await readLedger(transaction));
        if (!next) return undefined;
        await runFile(transaction, `${next.name}.sql`, next.up);
        await transaction`
          insert into rolecall.migrations (position, name, hash, down_hash)
          values (${next.position}, ${next.name}, ${next.hash}, ${next.downHash})`;
        return next;
      });
      if (!step) return ran;
      ran.push(step.name);
      options.onProgress?.(`applied ${step.name}`);
    }
  });
}

/** Undoes the newest `count` steps, newest first, each in one transaction with its ledger row. Returns their names. */
export function migrateDown(options: RunOptions, count: number): Promise<readonly string[]> {
  return connected(options, async (sql) => {
    const undone: string[] = [];
    while (undone.length < count) {
      const name = await locked(sql, options, async (transaction) => {
        const ledger = await readLedger(transaction);
        pendingSteps(options.steps, ledger);
        const newest = ledger.at(-1);
        const step = options.steps.find((candidate) => candidate.name === newest?.name);
        if (!step) return undefined;
        await transaction`delete from rolecall.migrations where name = ${step.name}`;
        await runFile(transaction, `${step.name}.down.sql`, step.down);
        return step.name;
      });
      if (!name) return undone;
      undone.push(name);
      options.onProgress?.(`undid ${name}`);
    }
    return undone;
  });
}

async function connected<T>(options: RunOptions, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(options.url, {
    max: 1,
    connect_timeout: 10,
    onnotice: () => {},
    // A frozen process must not hold the lock for ever; a step's own statements may take as long as they need.
    connection: {
      application_name: 'rolecall migrate',
      TimeZone: 'UTC',
      idle_in_transaction_session_timeout: 60_000,
    },
  });
  try {
    return await work(sql);
  } catch (error) {
    throw toRolecallError(error);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/**
 * Runs `work` in a transaction that holds the migration lock. The lock belongs to the transaction, because one of the
 * session is not exclusive behind a pooler, and it is polled, because a waiter inside the server would hold a snapshot
 * that stalls a concurrent index build.
 */
async function locked<T>(
  sql: postgres.Sql,
  options: RunOptions,
  work: (transaction: postgres.TransactionSql) => Promise<T>,
): Promise<T> {
  const giveUp = performance.now() + (options.lockWaitMs ?? defaultLockWaitMs);
  for (let told = false; ; ) {
    const attempt = async (transaction: postgres.TransactionSql) => {
      const [row] = await transaction<
        { taken: boolean }[]
      >`select pg_try_advisory_xact_lock(${migrationLock}) as taken`;
      return row?.taken ? { done: await work(transaction) } : undefined;
    };
    const outcome = await sql.begin('isolation level read committed', (transaction) =>
      unlessLost(attempt(transaction), () => false),
    );
    if (outcome) return outcome.done as T;
    if (performance.now() > giveUp)
      throw new RolecallError('unavailable', 'another process has been migrating this database for too long');
    if (!told) options.onProgress?.('waiting for another process that is migrating this database');
    told = true;
    await pause(50 + Math.random() * 100);
  }
}

/** Where a statement may begin: at the beginning of a line or after another's end. */
const transactionControl =
  /(?:^|;)\s*(commit|rollback|abort|start\s+transaction|begin\s*;|begin\s+(?:work|transaction))\b/im;

async function runFile(sql: postgres.TransactionSql, file: string, text: string): Promise<void> {
  const [, control] = transactionControl.exec(text) ?? [];
  if (control)
    throw new RolecallError(
      'migration_refused',
      `${file} must not say "${control}": a step and its ledger row are one transaction`,
    );
  try {
    await sql.unsafe(text).simple();
  } catch (error) {
    if (toRolecallError(error).code === 'unavailable') throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new RolecallError(
      'migration_refused',
      `${file} failed and nothing of it was kept: ${reason} (SQLSTATE ${stateOf(error) ?? 'none'})`,
      { cause: error },
    );
  }
}
