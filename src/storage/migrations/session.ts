import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { RolecallError } from '../../domain/errors.ts';
import { unlessLost, untilItAnswers, whileThere } from '../connection.ts';
import { lockWasBusy } from '../errors.ts';
import type { Step } from './steps.ts';
import { explainSession } from './troubleshooting.ts';

export interface RunOptions {
  readonly url: string;
  readonly steps: readonly Step[];
  /**
   * Seals the journal row of each step. Not needed before anybody has written to the database: until then there is
   * neither a record to continue nor a cache to empty.
   */
  readonly journalKey?: string;
  /** Told about each step as it ends and about waiting for somebody; for people, on stderr. */
  readonly onProgress?: (line: string) => void;
  /** Do everything, in one transaction that is taken back at the end. */
  readonly dryRun?: boolean;
  /** How long to wait in all for another process that migrates, or for tables that are in use. */
  readonly lockWaitMs?: number;
}

export type Transaction = postgres.TransactionSql;

/** Any number that nobody else would choose; advisory locks are per database. */
export const migrationLock = 7_203_512_966_114;
const defaultLockWaitMs = 300_000;

/**
 * How long a statement waits for a table: whoever asks for that table after it waits as long, so this is what a check
 * may lose. Far below the second that a request has.
 */
export const lockTimeoutMs = 300;

/** A frozen process must not hold the lock for ever; a step's own statements may take as long as they need. */
const longestIdleMs = 60_000;

/** Clients whose connection was lost: the driver would write to a socket that is no more, and end the process. */
const lost = new WeakSet<postgres.Sql>();

/** Runs `work` on a connection of its own. Rejects with one of our codes. */
export async function connected<T>(
  { url }: Pick<RunOptions, 'url'>,
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const sql: postgres.Sql = postgres(url, {
    max: 1,
    onclose: () => void lost.add(sql),
    connect_timeout: 10,
    onnotice: () => {},
    // The driver would ask for array types at connect, in a query whose failure nobody can catch.
    fetch_types: false,
    // Behind a pooler the next transaction may be on another session: nothing is prepared there, and what holds for one
    // transaction is said in it.
    prepare: false,
    connection: { application_name: 'rolecall migrate', TimeZone: 'UTC' },
  });
  try {
    await untilItAnswers(sql);
    const done = await work(sql);
    await sql.end({ timeout: 5 });
    return done;
  } catch (error) {
    // What failed has nothing to finish, and a connection that is lost would be waited for in vain.
    await sql.end({ timeout: 0 });
    throw explainSession(error, url);
  }
}

/** Runs `work` on one snapshot that it cannot change. */
export function onSnapshot<T>(sql: postgres.Sql, work: (transaction: Transaction) => Promise<T>): Promise<T> {
  return sql.begin('isolation level repeatable read read only', (transaction) =>
    unlessLost(work(transaction), () => false),
  ) as Promise<T>;
}

/**
 * Runs `work` in a transaction that holds the migration lock. The lock belongs to the transaction, because one of the
 * session is not exclusive behind a pooler, and it is polled, because a waiter inside the server would hold a snapshot
 * that stalls a concurrent index build. A table that is in use is waited for only briefly; then everything is undone and
 * tried again, so that nobody queues behind a migration that itself waits.
 */
export async function locked<T>(
  sql: postgres.Sql,
  options: RunOptions,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const giveUp = performance.now() + (options.lockWaitMs ?? defaultLockWaitMs);
  const told = new Set<string>();
  const waitFor = async (whom: string, longestMs: number) => {
    if (performance.now() > giveUp)
      throw new RolecallError('unavailable', `gave up after waiting for ${whom}; nothing was changed`);
    if (!told.has(whom)) options.onProgress?.(`waiting for ${whom}`);
    told.add(whom);
    await pause((0.5 + Math.random() / 2) * longestMs);
  };
  const attempt = async (transaction: Transaction) => {
    const [row] = await transaction<{ taken: boolean }[]>`
      select pg_try_advisory_xact_lock(${migrationLock}) as taken, set_config('lock_timeout', ${`${lockTimeoutMs}`}, true),
        set_config('idle_in_transaction_session_timeout', ${`${longestIdleMs}`}, true)`;
    return row?.taken ? { done: await work(transaction) } : undefined;
  };
  for (;;) {
    lost.delete(sql);
    const isGone = () => lost.has(sql);
    const outcome = await sql
      .begin('isolation level read committed', (transaction) =>
        unlessLost(attempt(whileThere(transaction, isGone)), isGone),
      )
      .catch((error: unknown) => {
        if (lockWasBusy(error)) return 'busy';
        throw error;
      });
    if (outcome === 'busy') await waitFor('tables that are in use', 1_000);
    else if (outcome === undefined) await waitFor('another process that is migrating this database', 150);
    else return (outcome as { done: T }).done;
  }
}
