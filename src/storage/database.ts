import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js';
import type postgres from 'postgres';
import { type ConnectionOptions, connect, discard } from './connection.ts';
import { type Deadline, unavailable, within } from './deadline.ts';
import { connectionWasLost, toRolecallError } from './errors.ts';
import { Gate } from './gate.ts';
import type { LaneTransaction } from './lane-connection.ts';
import { openWriteLane, type WriteLane } from './write-lane.ts';

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
  /** Sends a statement along with COMMIT: its outcome is the transaction's, and nothing waits for it before. */
  sendAlong(statement: PromiseLike<unknown>): void;
  readonly [writing]: true;
}

export interface DatabaseOptions extends ConnectionOptions {
  readonly poolSize: number;
}

export type Work<T> = (sql: postgres.Sql, isGone: () => boolean) => Promise<T>;

export interface Database {
  /**
   * Runs `work` on a connection of its own. Rejects with `unavailable` by the deadline, whatever the database does.
   * `isGone` says that this happened, or that the connection was lost: nobody learns any more what `work` still does.
   */
  run<T>(deadline: Deadline, work: Work<T>): Promise<T>;
  /**
   * Runs what takes the revision lock: one transaction after the other, on a connection outside the pool, so
   * that writes leave the pool to reads.
   */
  readonly transact: WriteLane['transact'];
  /** Makes a gate before `transact` that lets one in at a time; `usage` counts who waits there too. */
  openGate(): Gate;
  /** Connections in use, connections ready, and who waits for one. */
  usage(): { readonly busy: number; readonly idle: number; readonly waiting: number };
  close(): Promise<void>;
}

/** How long a place stays taken at most for work that nobody waits for any more. */
const longestHoldMs = 2_000;

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
  const longestQueue = options.poolSize * queuePerConnection;
  const gate = new Gate(options.poolSize, longestQueue);
  const lane = openWriteLane((onLost) => connect(options, onLost), longestQueue);
  const gates = [gate];
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

  async function close(): Promise<void> {
    closed = true;
    const clients = [...idle.splice(0), ...busy];
    await Promise.all([lane.close(), ...clients.map((client) => client.end({ timeout: 5 }))]);
  }

  function openGate(): Gate {
    const opened = new Gate(1, longestQueue);
    gates.push(opened);
    return opened;
  }

  function usage() {
    const waiting = gates.reduce((sum, one) => sum + one.waiting, lane.waiting);
    return { busy: busy.size, idle: idle.length, waiting };
  }

  return { run, transact: lane.transact, openGate, usage, close };
}

/** Statements in a transaction on a client's connection. The query builder is made when it is first needed. */
export function handleOn(sql: Sql, client: postgres.Sql): { readonly sql: Sql; readonly db: Builder } {
  let db: Builder | undefined;
  return {
    sql,
    get db() {
      // `options` is what the builder reads of a client; a transaction's has none.
      db ??= drizzle(Object.assign(sql, { options: client.options }) as postgres.Sql);
      return db;
    },
  };
}

/** The same for a transaction of the lane, which may change. */
export function changeHandleOn({ sql, client, sendAlong }: LaneTransaction): ChangeHandle {
  return Object.assign(handleOn(sql, client), { sendAlong }) as Omit<
    ChangeHandle,
    typeof writing
  > as ChangeHandle;
}
