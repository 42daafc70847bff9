import type { ChangeHandle, ReadHandle } from './database.ts';
import { revisionAt } from './read-models/journal-rows.ts';

/** The newest revision that was made more than so many days ago by the server's clock; 0 if none was. */
export async function revisionBefore({ sql }: ReadHandle, days: number): Promise<number> {
  const [row] = await sql<[{ time: string }]>`
    select to_char((now() - make_interval(days => ${days}) - interval '1 microsecond') at time zone 'UTC',
      'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time`;
  return revisionAt(sql, row.time);
}

/** How many personal values journal rows up to a revision still have. */
export async function countPersonal({ sql }: ReadHandle, through: number): Promise<number> {
  const [row] = await sql<[{ values: number }]>`
    select count(*)::float8 as values from rolecall.personal where revision <= ${through}`;
  return row.values;
}

/** Erases the oldest of them, at most so many. Returns how many it were. */
export async function purgePersonal({ sql }: ChangeHandle, through: number, most: number): Promise<number> {
  const { count } = await sql`
    delete from rolecall.personal where (revision, number, field) in (
      select revision, number, field from rolecall.personal where revision <= ${through}
      order by revision, number, field limit ${most})`;
  return count;
}
