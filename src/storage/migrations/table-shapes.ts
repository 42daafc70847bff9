import type { Sql } from '../database.ts';

/** A foreign key of one of our tables. */
export interface Reference {
  readonly from: string;
  readonly to: string;
  readonly columns: readonly string[];
  readonly targets: readonly string[];
}

/** All of them. */
export function referencesOf(sql: Sql): Promise<readonly Reference[]> {
  return sql<Reference[]>`
    select a.relname as from, b.relname as to,
      array_to_json(array(select attname from unnest(conkey) with ordinality k (n, place) join pg_attribute on (attrelid, attnum) = (conrelid, n) order by place)) as columns,
      array_to_json(array(select attname from unnest(confkey) with ordinality k (n, place) join pg_attribute on (attrelid, attnum) = (confrelid, n) order by place)) as targets
    from pg_constraint join pg_class a on a.oid = conrelid join pg_class b on b.oid = confrelid
    where contype = 'f' and a.relnamespace = 'rolecall'::regnamespace and b.relnamespace = 'rolecall'::regnamespace`;
}

/** What numbers a column: the last number, and whether that was given out. */
export interface Sequence {
  readonly name: string;
  readonly last: string;
  readonly called: boolean;
}

/** The columns of a table of ours, in their order; `own` says whether the type of one is ours too. */
export function columnsOf(sql: Sql, table: string): Promise<readonly { name: string; own: boolean }[]> {
  return sql<{ name: string; own: boolean }[]>`
    select attname as name, 'rolecall'::regnamespace in (t.typnamespace, e.typnamespace) as own
    from pg_attribute join pg_type t on t.oid = atttypid left join pg_type e on e.oid = t.typelem
    where attrelid = to_regclass(${`rolecall.${table}`}) and attnum > 0 and not attisdropped order by attnum`;
}

/** The columns of a table's primary key. */
export async function primaryKeyOf(sql: Sql, table: string): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select attname as name from pg_index join pg_attribute on attrelid = indrelid and attnum = any(indkey)
    where indisprimary and indrelid = to_regclass(${`rolecall.${table}`}) order by attnum`;
  return rows.map(({ name }) => name);
}

/** Where the numbering of rows stands, of some columns or with null of all, so that no key is ever given out again. */
export async function sequencesOf(
  sql: Sql,
  table: string,
  columns: readonly string[] | null,
): Promise<readonly Sequence[]> {
  const owned = await sql<{ name: string; column: string }[]>`
    select pg_get_serial_sequence(${`rolecall.${table}`}, attname) as name, attname as column from pg_attribute
    where attrelid = to_regclass(${`rolecall.${table}`}) and attnum > 0 and not attisdropped
      and pg_get_serial_sequence(${`rolecall.${table}`}, attname) is not null`;
  const sequences = [];
  for (const { name, column } of owned) {
    if (columns !== null && !columns.includes(column)) continue;
    const [state] = await sql.unsafe<{ last: string; called: boolean }[]>(
      `select last_value::text as last, is_called as called from ${name}`,
    );
    if (state) sequences.push({ name, ...state });
  }
  return sequences;
}
