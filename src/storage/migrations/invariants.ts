import { verifyChain } from '../chain.ts';
import type { Sql } from '../database.ts';

/** Something that the rows should never say, in a sentence. */
export type Breach = string;

/**
 * What constraints cannot hold, or would hold if nobody had dropped them: declared permissions and roles exist, edges and
 * grants resolve, roles do not include themselves, no identity is behind its rows, one revision row stands in its epoch,
 * the journal's chain is whole. Reads every row of the journal. For a transaction on one snapshot.
 */
export async function findBreaches(sql: Sql, journalKey: string): Promise<readonly Breach[]> {
  const rows = await sql<{ breach: string }[]>`${breachesOfRows(sql)}`;
  const identities = await sql<{ table: string; sequence: string; newest: string; next: string }[]>`
    select relname as table, sequence, newest, next
    from (select relname, pg_get_serial_sequence(format('%I.%I', nspname, relname), 'pk') as sequence,
        query_to_xml(format('select coalesce(max(pk), 0) as n from %I.%I', nspname, relname), false, true, '') as newest_xml
      from pg_class join pg_namespace on pg_namespace.oid = relnamespace join pg_attribute on attrelid = pg_class.oid
      where nspname = 'rolecall' and relkind = 'r' and attname = 'pk' and attidentity <> '') as kept,
      lateral (select (xpath('//n/text()', newest_xml))[1]::text as newest,
        coalesce(pg_sequence_last_value(sequence::regclass) + 1, 1)::text as next) as values
    where newest::bigint >= next::bigint`;
  const { broken } = await verifyChain(sql, journalKey);
  return [
    ...rows.map(({ breach }) => breach),
    ...identities.map(
      ({ table, sequence, newest, next }) =>
        `the identity of rolecall.${table} would give ${next} next, but ${newest} is taken: select setval('${sequence}', ${newest})`,
    ),
    ...(broken === null ? [] : [broken]),
  ];
}

const breachesOfRows = (sql: Sql) => sql`
  with recursive edges as (select role_pk, included_pk from rolecall.role_includes where not withheld
    and not exists (select from rolecall.role_includes w where w.withheld
      and (w.role_pk, w.included_pk) = (role_includes.role_pk, role_includes.included_pk))),
  reached (role_pk, included_pk) as (select role_pk, included_pk from edges
    union select reached.role_pk, edges.included_pk from reached join edges on edges.role_pk = reached.included_pk),
  declared as (select id as layer, entry ->> 'slug' as slug from rolecall.matrix_layers,
    jsonb_array_elements(content -> 'permissions') as entry),
  declared_roles as (select id as layer, entry ->> 'key' as key from rolecall.matrix_layers,
    jsonb_array_elements(content -> 'roles') as entry)
  select format('the permission %s, which layer %s declares, is not registered', slug, layer) as breach from declared
    where not exists (select from rolecall.permissions p where p.slug = declared.slug and retired_at is null)
  union all select format('the role %s, which layer %s declares, does not exist', key, layer) from declared_roles
    where not exists (select from rolecall.roles r where r.key = declared_roles.key)
  union all select format('an edge of role %s to permission %s leads nowhere', role_pk, permission_pk)
    from rolecall.role_permissions e where not exists (select from rolecall.roles where pk = role_pk)
      or not exists (select from rolecall.permissions where pk = permission_pk)
  union all select format('an include of role %s in role %s leads nowhere', included_pk, role_pk)
    from rolecall.role_includes where not exists (select from rolecall.roles where pk = role_pk)
      or not exists (select from rolecall.roles where pk = included_pk)
  union all select format('the role %s includes itself', coalesce(key, role_pk::text))
    from reached left join rolecall.roles on pk = role_pk where role_pk = included_pk
  union all select format('a grant of role %s to user %s leads nowhere', role_pk, user_pk)
    from rolecall.user_roles where not exists (select from rolecall.roles where pk = role_pk)
      or not exists (select from rolecall.users where pk = user_pk)
  union all select format('an exception of user %s about permission %s leads nowhere', user_pk, permission_pk)
    from rolecall.user_permissions where not exists (select from rolecall.users where pk = user_pk)
      or not exists (select from rolecall.permissions where pk = permission_pk)
  union all select format('an API key or identity belongs to user %s, who does not exist', user_pk)
    from (select user_pk from rolecall.api_keys union select user_pk from rolecall.identities) as held
    where not exists (select from rolecall.users where pk = user_pk)
  union all select format('rolecall.revision has %s rows in a known epoch instead of one', count(*))
    from rolecall.revision join rolecall.epochs on id = epoch having count(*) <> 1`;
