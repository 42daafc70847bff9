import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import { type Deadline, unavailable, within } from './deadline.ts';
import { toRolecallError } from './errors.ts';
import { Gate } from './gate.ts';

export type Sql = postgres.ISql;
type Builder = PostgresJsDatabase;

declare const writing: unique symbol;

/** What a read may use: tagged-template SQL for hot queries, the query builder's reading half for the rest. */
export interface ReadHandle {
  readonly sql: Sql;
  readonly db: Pick<Builder, 'select' | 'selectDistinct' | '$with' | 'with'>;
}

/** What only `transaction.ts` write hands out: a read handle is no write handle, and the compiler knows. */
export interface ChangeHandle extends ReadHandle {
  readonly db: Pick<Builder, 'select' | 'selectDistinct' | '$with' | 'with' | 'insert' | 'update' | 'delete'>;
  readonly [writing]: true;
}

export interface DatabaseOptions {
  readonly url: string;
  readonly poolSize: number;
  readonly connectTimeoutMs: number;
  /** How long one statement may run, and a transaction may sit idle, before the server ends it. */
  readonly statementTimeoutMs: number;
}

export interface Database {
  /** Runs `work` on the pool. Rejects with `unavailable` by the deadline, whatever the database does. */
  run<T>(deadline: Deadline, work: (sql: postgres.Sql) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Places that may wait for each connection before callers are told to come back. */
const queuePerConnection = 50;
/** How long after its deadline and the server's own limit a silent connection is taken for dead. */
const graceMs = 1_000;

/**
 * Opens the pool; connections are made when first needed. Every use has a place in the pool and a deadline of its own,
 * because the driver has neither and a frozen server never fires its own time-outs. When the server stays silent beyond
 * what it promised, the pool is replaced: a half-open connection would otherwise hold its place for many minutes.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const gate = new Gate(options.poolSize, options.poolSize * queuePerConnection);
  let client = connect(options);
  let closed = false;

  function replace(silent: postgres.Sql): void {
    if (client !== silent || closed) return;
    client = connect(options);
    void silent.end({ timeout: 0 }).catch(() => {});
  }

  async function run<T>(deadline: Deadline, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
    const leave = await gate.enter(deadline);
    const used = client;
    const running = work(used);
    const watchdog = setTimeout(
      () => replace(used),
      Math.max(0, deadline - performance.now()) + options.statementTimeoutMs + graceMs,
    );
    watchdog.unref();
    running
      .catch(() => {})
      .finally(() => {
        clearTimeout(watchdog);
        leave();
      });
    try {
      return await within(deadline, running, () => unavailable('the database did not answer in time'));
    } catch (error) {
      throw toRolecallError(error);
    }
  }

  async function close(): Promise<void> {
    closed = true;
    await client.end({ timeout: 5 });
  }

  return { run, close };
}

/** One client of the driver, for what needs a connection of its own. The session's time zone is always UTC. */
function connect(options: DatabaseOptions): postgres.Sql {
  return postgres(options.url, {
    max: options.poolSize,
    connect_timeout: options.connectTimeoutMs / 1_000,
    idle_timeout: 300,
    max_lifetime: 3_600,
    backoff: () => 0.05 + Math.random() * 0.2,
    onnotice: () => {},
    connection: {
      application_name: 'rolecall',
      TimeZone: 'UTC',
      statement_timeout: options.statementTimeoutMs,
      idle_in_transaction_session_timeout: options.statementTimeoutMs,
    },
  });
}

/** The query builder over the same connection as `sql`. `options` is what it reads of a client, absent on a transaction's. */
export function handleOn(sql: postgres.Sql | postgres.TransactionSql, pool: postgres.Sql): ChangeHandle {
  const db = drizzle(Object.assign(sql, { options: pool.options }) as postgres.Sql);
  return { sql, db } as unknown as ChangeHandle;
}
