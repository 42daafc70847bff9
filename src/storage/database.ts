import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import { type Deadline, unavailable, within } from './deadline.ts';
import { connectionWasLost, toRolecallError } from './errors.ts';
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
  /**
   * Runs `work` on a connection of its own. Rejects with `unavailable` by the deadline, whatever the database does;
   * from that moment on `isLate` says so, and nobody learns any more what `work` still does.
   */
  run<T>(deadline: Deadline, work: (sql: postgres.Sql, isLate: () => boolean) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Places that may wait for each connection before callers are told to come back. */
const queuePerConnection = 50;

/**
 * Opens the pool; connections are made when first needed. Every use has a place in it and a deadline, because the driver
 * has neither and a frozen server never fires its own time-outs. Each place is a client of the driver with a single
 * connection: one that failed, or was still busy when its deadline passed, is thrown away with its client. So a late
 * transaction is undone and its locks are freed, a half-open connection holds nothing up, and no connection is ever used
 * again in a state that nobody knows.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const gate = new Gate(options.poolSize, options.poolSize * queuePerConnection);
  const idle: postgres.Sql[] = [];
  const busy = new Set<postgres.Sql>();

  /** A connection that the server or its own age ended while idle goes with its client. */
  function open(): postgres.Sql {
    const client = connect(options, () => {
      const place = idle.indexOf(client);
      if (place !== -1) idle.splice(place, 1);
      if (!busy.has(client)) discard(client);
    });
    return client;
  }

  async function run<T>(
    deadline: Deadline,
    work: (sql: postgres.Sql, isLate: () => boolean) => Promise<T>,
  ): Promise<T> {
    const leave = await gate.enter(deadline);
    const client = idle.pop() ?? open();
    busy.add(client);
    let late = false;
    const running = work(client, () => late);
    // Nobody waits for it any more once it is late; what it did is undone with its connection.
    running.catch(() => {});
    try {
      const value = await within(deadline, running, () => {
        late = true;
        return unavailable('the database did not answer in time');
      });
      idle.push(client);
      return value;
    } catch (error) {
      if (late || connectionWasLost(error)) discard(client);
      else idle.push(client);
      throw toRolecallError(error);
    } finally {
      busy.delete(client);
      leave();
    }
  }

  async function close(): Promise<void> {
    const clients = [...idle.splice(0), ...busy];
    await Promise.all(clients.map((client) => client.end({ timeout: 5 })));
  }

  return { run, close };
}

function discard(client: postgres.Sql): void {
  void client.end({ timeout: 0 }).catch(() => {});
}

/** A client of the driver with one connection. The session's time zone is always UTC. */
function connect(options: DatabaseOptions, onclose: () => void): postgres.Sql {
  return postgres(options.url, {
    max: 1,
    connect_timeout: options.connectTimeoutMs / 1_000,
    idle_timeout: 300,
    max_lifetime: 3_600,
    backoff: () => 0.05 + Math.random() * 0.2,
    onnotice: () => {},
    onclose,
    ...(arrayTypes as object),
    connection: {
      application_name: 'rolecall',
      TimeZone: 'UTC',
      statement_timeout: options.statementTimeoutMs,
      idle_in_transaction_session_timeout: options.statementTimeoutMs,
    },
  });
}

const textArray = 1009;

/**
 * The one array type in use, told to the driver: it would otherwise ask the server for all of them at connect, in a
 * query whose failure nobody can catch.
 */
const arrayTypes = {
  fetch_types: false,
  types: {
    texts: {
      to: textArray,
      from: [textArray],
      // The query builder hands over the literal, a tagged template the list.
      serialize: (texts: string | readonly string[]) =>
        typeof texts === 'string'
          ? texts
          : `{${texts.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`,
      parse: (literal: string) => literal,
    },
  },
} as const;

/** The query builder over the same connection as `sql`. `options` is what it reads of a client, absent on a transaction's. */
export function handleOn(sql: postgres.Sql | postgres.TransactionSql, pool: postgres.Sql): ChangeHandle {
  const db = drizzle(Object.assign(sql, { options: pool.options }) as postgres.Sql);
  return { sql, db } as unknown as ChangeHandle;
}
