import type postgres from 'postgres';

/** A digest of every row of every table but what was refused, so that a test can tell that nothing was kept. */
export async function contentsOf(sql: postgres.Sql): Promise<Record<string, string>> {
  const tables = await sql<{ name: string }[]>`
    select relname as name from pg_class where relnamespace = 'rolecall'::regnamespace and relkind = 'r' and relname <> 'denials' order by 1`;
  const digests = tables.map(async ({ name }) => {
    const [row] = await sql<{ digest: string }[]>`
      select count(*) || ' ' || md5(coalesce(string_agg(t::text, ',' order by t::text collate "C"), '')) as digest
      from ${sql(`rolecall.${name}`)} as t`;
    return [name, row?.digest ?? ''];
  });
  return Object.fromEntries(await Promise.all(digests));
}
