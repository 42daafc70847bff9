import type postgres from 'postgres';
import { type Finding, notice, problem } from '../../domain/findings.ts';

interface Column {
  readonly sequence: string;
  readonly table: string;
  readonly column: string;
  readonly ours: boolean;
  /** Whether this role may look, and an index makes it cheap. */
  readonly readable: boolean;
  readonly last: string | null;
}

/**
 * Every column of whole numbers in this database that a sequence fills upwards, and whether the sequence is behind it: then the next row collides
 * with one that is there. Neighbours' tables are only read, and only where an index makes that cheap.
 */
export async function checkSequences(sql: postgres.TransactionSql): Promise<readonly Finding[]> {
  const columns = await sql<Column[]>`
    select s.oid::regclass::text as sequence, t.oid::regclass::text as table, quote_ident(attname) as column,
      t.relnamespace = to_regnamespace('rolecall') as ours,
      has_table_privilege(t.oid, 'select') and has_schema_privilege(t.relnamespace, 'usage')
        and has_sequence_privilege(s.oid, 'usage, select')
        and exists (select from pg_index where indrelid = t.oid and indkey[0] = a.attnum and indisvalid) as readable,
      case when has_sequence_privilege(s.oid, 'usage, select') then pg_sequence_last_value(s.oid)::text end as last
    from pg_sequence join pg_class as s on s.oid = seqrelid
    join pg_depend as d on d.objid = s.oid and d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
      and d.deptype in ('a', 'i')
    join pg_class as t on t.oid = d.refobjid and t.relkind in ('r', 'p')
    join pg_attribute as a on a.attrelid = t.oid and a.attnum = d.refobjsubid
    where seqincrement > 0 and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    order by 1`;
  const findings: Finding[] = [];
  const unread = columns.filter(({ readable }) => !readable).map(({ sequence }) => sequence);
  if (unread.length > 0)
    findings.push(
      notice(
        'sequences',
        `not looked at, for want of a privilege or of an index on their columns: ${unread.join(', ')}`,
        'run doctor as a role that may read these tables',
      ),
    );
  for (const column of columns) {
    if (!column.readable) continue;
    const [found] = await sql.unsafe<{ max: string | null }[]>(
      `select max(${column.column})::text as max from ${column.table}`,
    );
    const max = found?.max ?? null;
    if (max === null || BigInt(max) <= BigInt(column.last ?? 0)) continue;
    const cause = `gives out ${column.last ?? 'its first value'} or less, but ${column.table}.${column.column} has ${max} already: inserting collides`;
    const fix = `select setval('${column.sequence}', (select max(${column.column}) from ${column.table}))`;
    findings.push(
      column.ours
        ? problem(column.sequence, cause, fix)
        : notice(column.sequence, `a neighbour's: ${cause}`, `for its owner: ${fix}`),
    );
  }
  return findings;
}
