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

export type Work<T> = (sql: postgres.Sql, isGone: () => boolean) => Promise<T>;

export interface Database {
  /**
   * Runs `work` on a connection of its own. Rejects with `unavailable` by the deadline, whatever the database does.
   * `isGone` says that this happened, or that the connection was lost: nobody learns any more what `work` still does.
   */
  run<T>(deadline: Deadline, work: Work<T>): Promise<T>;
  /** The same for work that takes the revision lock: few at a time, so that those who wait for it leave room for reads. */
  runWriting<T>(deadline: Deadline, work: Work<T>): Promise<T>;
  /** Connections in use, connections ready, and who waits for one. */
  usage(): { readonly busy: number; readonly idle: number; readonly waiting: number };
  close(): Promise<void>;
}

/** How long a place stays taken at most for work that nobody waits for any more. */
const longestHoldMs = 2_000;

/** One holds the revision lock while the next gets ready to take it. */
const mostWriters = 2;

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
  const writers = new Gate(Math.min(mostWriters, options.poolSize), options.poolSize * queuePerConnection);
  const idle: postgres.Sql[] = [];
  const busy = new Set<postgres.Sql>();
  const lost = new WeakSet<postgres.Sql>();
  let closed = false;

  function open(): postgres.Sql {
    const client = connect(options, () => {
      lost.add(client);
      const place = idle.indexOf(client);
      if (place !== -1) idle.splice(place, 1);
      if (!busy.has(client)) discard(client);
    });
    return client;
  }

  async function run<T>(deadline: Deadline, work: Work<T>): Promise<T> {
    const leave = await gate.enter(deadline);
    if (closed) {
      leave();
      throw unavailable('the service is stopping');
    }
    const client = idle.pop() ?? open();
    busy.add(client);
    let isLate = false;
    const running = work(client, () => isLate || lost.has(client));
    // Nobody waits for it any more once it is late; what it did is undone with its connection.
    running.catch(() => {});
    try {
      return await within(deadline, running, () => {
        isLate = true;
        return unavailable('the database did not answer in time');
      });
    } catch (error) {
      if (connectionWasLost(error)) lost.add(client);
      throw toRolecallError(error);
    } finally {
      busy.delete(client);
      if (isLate || closed || lost.has(client)) discard(client);
      else idle.push(client);
      // What was late may go on in the server until its own limit ends it: until then it has its place there.
      if (isLate) setTimeout(leave, Math.min(options.statementTimeoutMs, longestHoldMs)).unref();
      else leave();
    }
  }

  async function runWriting<T>(deadline: Deadline, work: Work<T>): Promise<T> {
    const leave = await writers.enter(deadline);
    try {
      return await run(deadline, work);
    } finally {
      leave();
    }
  }

  async function close(): Promise<void> {
    closed = true;
    const clients = [...idle.splice(0), ...busy];
    await Promise.all(clients.map((client) => client.end({ timeout: 5 })));
  }

  const usage = () => ({ busy: busy.size, idle: idle.length, waiting: gate.waiting + writers.waiting });
  return { run, runWriting, usage, close };
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
      // Every statement is planned once for each connection: planning one anew for its arguments takes longer than running it.
      plan_cache_mode: 'force_generic_plan',
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

/**
 * The query builder over the same connection as `sql`, and both refuse to go on once the connection is gone: the driver
 * would write to a socket that is no more, and end the process.
 */
export function handleOn(
  sql: postgres.TransactionSql,
  pool: postgres.Sql,
  isGone: () => boolean,
): ChangeHandle {
  const guarded = whileThere(sql, isGone);
  // `options` is what the builder reads of a client; a transaction's has none.
  const db = drizzle(Object.assign(guarded, { options: pool.options }) as unknown as postgres.Sql);
  return { sql: guarded, db } as unknown as ChangeHandle;
}

/** The same client, which refuses with `unavailable` once its connection is gone. */
export function whileThere<Client extends postgres.ISql>(sql: Client, isGone: () => boolean): Client {
  const check = () => {
    if (isGone()) throw unavailable('the connection to the database was lost');
  };
  return new Proxy(sql, {
    apply(target, self, words) {
      check();
      return Reflect.apply(target as never, self, words);
    },
    get(target, name) {
      if (name === 'unsafe') check();
      return Reflect.get(target, name);
    },
  });
}

/**
 * What a transaction's callback gives to the driver. When the connection is lost the driver rejects by itself; told of
 * the failure too, it would write a ROLLBACK to a socket that is no more and end the process (postgres.js 3.4).
 */
export function unlessLost<T>(work: Promise<T>, isGone: () => boolean): Promise<T> {
  return work.catch((error: unknown) =>
    isGone() || connectionWasLost(error) ? new Promise<never>(() => {}) : Promise.reject(error),
  );
}
