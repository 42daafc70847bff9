import type { Instant } from '../../domain/ids.ts';
import type { Revision } from '../../domain/revisions.ts';
import type { Sql } from '../database.ts';
import { unavailable } from '../deadline.ts';
import { incarnation } from '../epochs.ts';

/** The newest revision there is, and the primary's clock when it was read. */
export interface Head {
  readonly revision: Revision;
  readonly now: Instant;
  /** Changes when the server was restarted or is another one, or the table was restored: time to look closer. */
  readonly place: string;
}

/** Reads the head: the one query that stands between a request and an answer from memory. Throws on a standby. */
export async function readHead(sql: Sql): Promise<Head> {
  const [row] = await sql<{ value: number; epoch: string; now: number; place: string; isStandby: boolean }[]>`
    select value::float8 as value, epoch, floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now,
      tableoid || ' ' || extract(epoch from pg_postmaster_start_time()) as place, pg_is_in_recovery() as "isStandby"
    from rolecall.revision`;
  if (!row) throw new Error('the table rolecall.revision has lost its row');
  const { value, epoch, now, place, isStandby } = row;
  if (isStandby)
    throw unavailable('DATABASE_URL names a standby: what is newest is only known on the primary');
  return { revision: { epoch, value }, now, place };
}

/** Whether the present epoch was written to this very table of this server. */
export async function isSameIncarnation(sql: Sql): Promise<boolean> {
  const [row] = await sql<{ same: boolean }[]>`
    select incarnation = ${incarnation(sql)} as same
    from rolecall.revision join rolecall.epochs on epochs.id = revision.epoch`;
  return row?.same ?? false;
}
