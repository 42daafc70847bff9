import type { Sql } from '../database.ts';

/** One object of schema `rolecall`, as PostgreSQL 15 to 18 all describe it: `kind name`, and what it is. */
export interface CatalogObject {
  readonly name: string;
  readonly definition: string;
}

/**
 * Everything in schema `rolecall` but its rows, sorted by name. Who owns it is left out, and so is what is allowed to the
 * owner anyway, because that differs between installations.
 */
export async function describeCatalog(sql: Sql): Promise<readonly CatalogObject[]> {
  // Names are printed with their schema only where it is not searched.
  const [{ before } = { before: '' }] = await sql<{ before: string }[]>`
    select current_setting('search_path') as before, set_config('search_path', 'pg_catalog', true)`;
  const objects = await sql<CatalogObject[]>`${described(sql)}`;
  await sql`select set_config('search_path', ${before}, true)`;
  return objects
    .map(({ name, definition }) => ({ name, definition: definition.replaceAll('\n', '\\n') }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * The names alone of what a service cannot do without: tables, columns, constraints, and indexes that are whole. Cheap
 * enough to be asked every few seconds.
 */
export async function nameCatalog(sql: Sql): Promise<ReadonlySet<string>> {
  const rows = await sql<{ name: string }[]>`
    with tables as (select oid, relname from pg_class where relnamespace = to_regnamespace('rolecall') and relkind in ('r', 'p'))
    select format('table %s', relname) as name from tables
    union all select format('column %s.%s', relname, attname) from pg_attribute join tables on tables.oid = attrelid
      where attnum > 0 and not attisdropped
    union all select format('constraint %s.%s', relname, conname) from pg_constraint join tables on tables.oid = conrelid
    union all select format('index %s.%s', tables.relname, i.relname) from pg_index join tables on tables.oid = indrelid
      join pg_class i on i.oid = indexrelid where indisvalid`;
  return new Set(rows.map(({ name }) => name));
}

/** One line for each object: the form in which a step's description ships. */
export function printCatalog(objects: readonly CatalogObject[]): string {
  return objects.map(({ name, definition }) => `${name}: ${definition}\n`).join('');
}

/** The inverse of `printCatalog`. */
export function parseCatalog(text: string): readonly CatalogObject[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const end = line.indexOf(': ');
      return { name: line.slice(0, end), definition: line.slice(end + 2) };
    });
}

/** The table before a column's name, which 15 prints in a view over a single table and 16 does not. */
const columnOfOnlyTable = '(?<![\\w.])(?!rolecall\\.|pg_catalog\\.)[a-z_]\\w*\\.(?=[a-z_"])';

// Not null is a property of columns here: only PostgreSQL 18 makes constraints of it. MAINTAIN is new in 17.
const described = (sql: Sql) => sql`
  with ours as (select * from pg_namespace where nspname = 'rolecall'),
  relations as (select c.* from pg_class c join ours on ours.oid = relnamespace),
  functions as (select p.*, format('%s(%s)', proname, pg_get_function_identity_arguments(p.oid)) as signature
    from pg_proc p join ours on ours.oid = pronamespace),
  allowed (name, owner, acl) as (
    select 'schema rolecall', nspowner, nspacl from ours
    union all select format('%s %s', case relkind when 'S' then 'sequence' else 'table' end, relname), relowner, relacl
      from relations where relkind in ('r', 'p', 'v', 'm', 'S')
    union all select format('column %s.%s', relname, attname), relowner, attacl
      from pg_attribute join relations on relations.oid = attrelid
    union all select format('function %s', signature), proowner, coalesce(proacl, acldefault('f', proowner)) from functions
  )
  select 'schema rolecall' as name, '' as definition from ours
  union all
  select format('%s %s', case relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
      when 'm' then 'materialized view' else relkind::text end, relname),
    concat_ws(' ', case relpersistence when 'u' then 'unlogged' end,
      case when relrowsecurity and relforcerowsecurity then 'row security forced' when relrowsecurity then 'row security'
        when relforcerowsecurity then 'policies forced once enabled' end,
      array_to_string(reloptions, ' '), case when relkind in ('v', 'm') then case
        when (select count(distinct refobjid) from pg_rewrite join pg_depend on objid = pg_rewrite.oid
          where ev_class = relations.oid and refclassid = 'pg_class'::regclass and refobjid <> ev_class) = 1
        then regexp_replace(pg_get_viewdef(oid), ${columnOfOnlyTable}, '', 'g') else pg_get_viewdef(oid) end end)
    from relations where relkind in ('r', 'p', 'v', 'm', 'f')
  union all
  select format('column %s.%s', relname, attname), concat_ws(' ', format_type(atttypid, atttypmod),
      case when attcollation <> typcollation then format('collate %s', attcollation::regcollation) end,
      case when attnotnull then 'not null' end,
      case attidentity when 'a' then 'generated always as identity' when 'd' then 'generated by default as identity' end,
      case when attgenerated = '' then 'default ' || pg_get_expr(adbin, adrelid)
        else format('generated always as (%s) %s', pg_get_expr(adbin, adrelid), attgenerated) end)
    from pg_attribute join relations on relations.oid = attrelid join pg_type on pg_type.oid = atttypid
      left join pg_attrdef on (adrelid, adnum) = (attrelid, attnum)
    where relkind in ('r', 'p', 'f', 'm') and attnum > 0 and not attisdropped
  union all
  select format('constraint %s.%s', relname, conname), pg_get_constraintdef(pg_constraint.oid)
    from pg_constraint join relations on relations.oid = conrelid where contype <> 'n'
  union all
  select format('index %s.%s', r.relname, i.relname),
      concat_ws(' ', pg_get_indexdef(indexrelid), case when not indisvalid then 'invalid' end)
    from pg_index join relations r on r.oid = indrelid join pg_class i on i.oid = indexrelid
  union all
  select format('sequence %s', s.relname), format('%s start %s increment %s from %s to %s cache %s%s%s',
      format_type(seqtypid, null), seqstart, seqincrement, seqmin, seqmax, seqcache, case when seqcycle then ' cycle' end,
      (select format(' of %s.%s', t.relname, attname) from pg_depend
        join pg_class t on t.oid = refobjid join pg_attribute on (attrelid, attnum) = (refobjid, refobjsubid)
        where classid = 'pg_class'::regclass and objid = s.oid and refclassid = 'pg_class'::regclass and deptype in ('a', 'i')))
    from pg_sequence join relations s on s.oid = seqrelid
  union all
  select format('function %s', signature),
      case when prokind in ('f', 'p', 'w') then pg_get_functiondef(oid) else prokind::text end from functions
  union all
  select format('trigger %s.%s', relname, tgname),
      concat_ws(' ', pg_get_triggerdef(pg_trigger.oid), case when tgenabled <> 'O' then tgenabled::text end)
    from pg_trigger join relations on relations.oid = tgrelid where not tgisinternal
  union all
  select format('policy %s.%s', relname, polname), concat_ws(' ', case when polpermissive then 'permissive' else 'restrictive' end,
      'for', polcmd, 'to', (select string_agg(case role when 0 then 'public' else pg_get_userbyid(role) end, ', ' order by 1)
        from unnest(polroles) as role),
      'using ' || pg_get_expr(polqual, polrelid), 'with check ' || pg_get_expr(polwithcheck, polrelid))
    from pg_policy join relations on relations.oid = polrelid
  union all
  select format('rule %s.%s', relname, rulename), pg_get_ruledef(pg_rewrite.oid)
    from pg_rewrite join relations on relations.oid = ev_class where rulename <> '_RETURN'
  union all
  select format('type %s', typname), concat_ws(' ', typtype, format_type(nullif(typbasetype, 0), typtypmod),
      (select string_agg(enumlabel, ', ' order by enumsortorder) from pg_enum where enumtypid = pg_type.oid))
    from pg_type join ours on ours.oid = typnamespace
    where typtype in ('e', 'd', 'r') or (typtype = 'c' and exists (select from pg_class where pg_class.oid = typrelid and relkind = 'c'))
  union all
  select format('grant %s to %s', allowed.name, grantee),
      string_agg(privilege_type || case when is_grantable then ' with grant option' else '' end, ', ' order by privilege_type)
    from allowed, aclexplode(acl) as entry (grantor, grantee_oid, privilege_type, is_grantable),
      lateral (select case grantee_oid when 0 then 'public' else pg_get_userbyid(grantee_oid) end) as who (grantee)
    where grantee_oid <> owner and privilege_type <> 'MAINTAIN'
    group by allowed.name, grantee`;
