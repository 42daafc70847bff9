import type { Sql } from '../database.ts';
import { ownerRole, serviceRole } from '../row-level/privileges.ts';
import type { CatalogObject } from './catalog.ts';

/**
 * Who would reach rows after a way down that only policies keep from them now, in a sentence each: roles that may use our
 * schema and were granted a table, if only as members of `pg_read_all_data`, and that act neither for its owner nor for the
 * service. Superusers and BYPASSRLS reach them anyway.
 */
export async function exposedBetween(
  sql: Sql,
  before: readonly CatalogObject[],
  after: readonly CatalogObject[],
): Promise<readonly string[]> {
  const tables = loosenedBetween(before, after);
  if (tables.length === 0) return [];
  const rows = await sql<{ role: string; privileges: string; tables: string }[]>`
    with kept_away as (
      select r.oid as role, rolname, c.oid as of_table, relname from pg_roles as r, pg_class as c
      where relnamespace = 'rolecall'::regnamespace and relname in ${sql(tables)}
        and rolname !~ '^pg_' and not rolsuper and not rolbypassrls and has_schema_privilege(r.oid, relnamespace, 'USAGE')
        and not exists (
          select from pg_roles as trusted where pg_has_role(r.oid, trusted.oid, 'MEMBER')
            and (trusted.oid = relowner or trusted.rolname in ${sql([ownerRole, serviceRole])}))
    ), granted as (
      select rolname, relname, concat_ws(', ',
        case when has_any_column_privilege(role, of_table, 'SELECT') then 'SELECT' end,
        case when has_any_column_privilege(role, of_table, 'INSERT') then 'INSERT' end,
        case when has_any_column_privilege(role, of_table, 'UPDATE') then 'UPDATE' end,
        case when has_table_privilege(role, of_table, 'DELETE') then 'DELETE' end) as privileges
      from kept_away
    )
    select rolname as role, privileges, string_agg(relname, ', ' order by relname) as tables
    from granted where privileges <> '' group by 1, 2 order by 1, 2`;
  return rows.map(
    (row) =>
      `the database role ${row.role} was granted ${row.privileges} on ${row.tables}: only policies keep the rows from it`,
  );
}

/** The tables that stay, and whose policies hold back less than before, or may. */
function loosenedBetween(before: readonly CatalogObject[], after: readonly CatalogObject[]): string[] {
  const was = new Map(before.map(({ name, definition }) => [name, definition]));
  const isSecured = (definition = '') => definition.includes('row security');
  const loosened = new Set<string>();
  for (const { name, definition } of after) {
    const [, kind, table] = /^(table|policy) (\w+)/.exec(name) ?? [];
    const isOpened = kind === 'table' && isSecured(was.get(name)) && !isSecured(definition);
    const isOther = kind === 'policy' && was.get(name) !== definition;
    if (table && (isOpened || isOther)) loosened.add(table);
  }
  return [...loosened];
}
