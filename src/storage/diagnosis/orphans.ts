import type postgres from 'postgres';
import { type Finding, problem } from '../../domain/findings.ts';

interface ForeignKey {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly pairs: readonly (readonly [string, string])[];
}

/**
 * Rows of ours that refer to nothing, which the database itself forbids unless somebody switched its checks off, as a
 * restore in the wrong order or `session_replication_role` does; and the one row without which nothing works.
 */
export async function checkOrphans(sql: postgres.TransactionSql): Promise<readonly Finding[]> {
  const keys = await sql<ForeignKey[]>`
    select conname as name, conrelid::regclass::text as from, confrelid::regclass::text as to, (
      select jsonb_agg(jsonb_build_array(quote_ident(a.attname), quote_ident(b.attname)))
      from unnest(conkey, confkey) as k (one, other)
      join pg_attribute as a on (a.attrelid, a.attnum) = (conrelid, one)
      join pg_attribute as b on (b.attrelid, b.attnum) = (confrelid, other)) as pairs
    from pg_constraint where connamespace = to_regnamespace('rolecall') and contype = 'f' order by 1`;
  const findings: Finding[] = [];
  for (const { name, from, to, pairs } of keys) {
    const set = pairs.map(([column]) => `a.${column} is not null`).join(' and ');
    const same = pairs.map(([column, other]) => `b.${other} = a.${column}`).join(' and ');
    const [found] = await sql.unsafe<[{ count: number }]>(
      `select count(*)::int as count from ${from} as a where ${set} and not exists (select from ${to} as b where ${same})`,
    );
    if (found.count > 0)
      findings.push(
        problem(
          from,
          `${found.count} of its rows refer to rows of ${to} that are not there (${name})`,
          `restore ${to} from a backup, or delete these rows after reading them`,
        ),
      );
  }
  if (keys.length > 0 && (await sql`select from rolecall.revision`).length === 0)
    findings.push(
      problem(
        'rolecall.revision',
        'its one row is not there or not to be seen: the database was restored without its rows, or this role sees none',
        'restore from a dump that was made as a superuser or with BYPASSRLS (docs/backup-and-restore.md)',
      ),
    );
  return findings;
}
