import type postgres from 'postgres';
import { type Finding, notice, problem } from '../../domain/findings.ts';

/** Indexes that a concurrent build left unfinished: they cost every write and help no read. */
export async function checkIndexes(sql: postgres.TransactionSql): Promise<readonly Finding[]> {
  const rows = await sql<{ name: string; table: string; ours: boolean }[]>`
    select indexrelid::regclass::text as name, indrelid::regclass::text as table,
      relnamespace = to_regnamespace('rolecall') as ours
    from pg_index join pg_class on pg_class.oid = indrelid where not indisvalid or not indisready order by 1`;
  const cause = (table: string) => `an index of ${table} that was never finished`;
  return rows.map(({ name, table, ours }) =>
    ours
      ? problem(name, cause(table), `reindex index concurrently ${name}`)
      : notice(name, `a neighbour's: ${cause(table)}`, `for its owner: reindex index concurrently ${name}`),
  );
}
