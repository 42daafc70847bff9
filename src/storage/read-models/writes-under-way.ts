import type { Sql } from '../database.ts';

/** Which writes may still get a time of what has passed by now. */
export interface WritesUnderWay {
  /** The newest revision's time, UTC with microseconds; whatever is under way gets a later one. */
  readonly newest: string;
  /** The primary's clock, likewise, before the writes were looked at. */
  readonly now: string;
  /** The transactions that hold the revision lock or wait for it, by names that are never used again. */
  readonly writes: readonly string[];
  /** Whether a standby was asked, which sees nothing of the primary's locks. */
  readonly isStandby: boolean;
}

/**
 * Looks at locks without taking any: a row lock would be in the way of the next writer, and cost a write itself. Whoever has
 * ended by then is seen by every read that begins after it.
 */
export async function readWritesUnderWay(sql: Sql): Promise<WritesUnderWay> {
  const [row] = await sql<[WritesUnderWay]>`
    select to_char(time at time zone 'UTC', ${form}) as newest,
      to_char(statement_timestamp() at time zone 'UTC', ${form}) as now,
      (select coalesce(json_agg(virtualtransaction), '[]') from pg_locks
        where relation = 'rolecall.revision'::regclass and mode = 'RowShareLock' and granted
          and database = (select oid from pg_database where datname = current_database())) as writes,
      pg_is_in_recovery() as "isStandby"
    from rolecall.revision`;
  return row;
}

const form = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"';
