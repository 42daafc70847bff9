import type postgres from 'postgres';
import { type Finding, problem } from '../../domain/findings.ts';
import { callableBy, kitRoles, readerRole, serviceRole, tablePrivileges } from './privileges.ts';

/** A question about the catalog whose every row, in its column `subject`, is a finding. */
interface Rule {
  readonly cause: string;
  readonly fix: string;
  readonly find: string;
}

const ourTables = `select oid, relname, relowner, relacl, relrowsecurity, relforcerowsecurity from pg_class
  where relnamespace = to_regnamespace('rolecall') and relkind = 'r'`;
const ourFunctions = `select oid, proname, proowner, proacl, proconfig, prosecdef, proleakproof, oid::regprocedure as name
  from pg_proc where pronamespace = to_regnamespace('rolecall')`;

/** The roles that work for the service or ask for neighbours, and all who are such through any number of memberships. */
const applications = `with recursive application (oid) as (
    select oid from pg_roles where rolname in ('${serviceRole}', '${readerRole}')
    union select member from application join pg_auth_members as m on roleid = application.oid
    where coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true) or coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
  )`;

const again = 'run rolecall rls install again';

const rules: readonly Rule[] = [
  {
    cause:
      'this table shows its rows to everybody who was granted it: row-level security is off, or not forced on the owner',
    fix: 'alter table … enable row level security; alter table … force row level security',
    find: `select oid::regclass as subject from (${ourTables}) as t where not relrowsecurity or not relforcerowsecurity`,
  },
  {
    cause:
      'this policy is not one of the two that every table of ours has; policies add up, so it lets more through',
    fix: 'drop policy …; the policies of a release come with its migrations',
    find: `select format('%s on %s', polname, polrelid::regclass) as subject from pg_policy join (${ourTables}) as t on t.oid = polrelid
      where pg_get_expr(polqual, polrelid) is distinct from case polname
          when 'owner' then format('( SELECT rolecall.acts_for_owner(%L::regclass) AS acts_for_owner)', 'rolecall.' || relname)
          when 'service' then '( SELECT rolecall.acts_for_service() AS acts_for_service)' end
        or polwithcheck is not null or polcmd <> '*' or not polpermissive`,
  },
  {
    cause:
      'this role works for the service or a neighbour, and row-level security does not hold superusers and BYPASSRLS',
    fix: 'alter role … nosuperuser nobypassrls, or give the membership to another role',
    find: `${applications} select rolname as subject from application join pg_roles using (oid) where rolsuper or rolbypassrls`,
  },
  {
    cause: 'this role works for the service or a neighbour, and owns our tables or is a member of who does',
    fix: 'let the migrations run as one role, and the service as another that is a member of rolecall_service only',
    find: `${applications} select distinct rolname as subject from application join pg_roles as r using (oid)
      where not rolsuper and (
        exists (select from (${ourTables}) as t where pg_has_role(r.oid, relowner, 'MEMBER'))
        or exists (select from pg_namespace where nspname = 'rolecall' and pg_has_role(r.oid, nspowner, 'MEMBER'))
        or pg_has_role(r.oid, to_regrole('rolecall_owner'), 'MEMBER'))`,
  },
  {
    cause: 'this view reads our tables with the rights of its owner, not of who asks',
    fix: 'alter view … set (security_invoker = true); a materialized view cannot: drop it',
    find: `select distinct v.oid::regclass as subject from pg_depend join pg_rewrite as r on r.oid = objid
      join pg_class as v on v.oid = ev_class join (${ourTables}) as t on t.oid = refobjid
      where classid = 'pg_rewrite'::regclass and refclassid = 'pg_class'::regclass
        and (v.relkind = 'm' or v.relkind = 'v' and not coalesce('security_invoker=true' = any(v.reloptions), false))`,
  },
  {
    cause:
      'this function works with the rights of its owner and lets its caller choose where names are looked up',
    fix: 'alter function … set search_path = pg_catalog, pg_temp',
    find: `select name as subject from (${ourFunctions}) as f
      where prosecdef and not exists (select from unnest(proconfig) as setting where setting like 'search_path=%')`,
  },
  {
    cause: 'everybody in this database may call this function',
    fix: 'revoke all on function … from public',
    find: `select name as subject from (${ourFunctions}) as f
      where exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0)`,
  },
  {
    cause: 'this function claims to be leakproof, so that it is run on rows before the policies are',
    fix: 'alter function … not leakproof',
    find: `select name as subject from (${ourFunctions}) as f where proleakproof`,
  },
  {
    cause:
      'this privilege reaches rows around the policies or the journal, or is held by a role that is not of the kit',
    fix: `revoke … on … from …; for the kit's own roles ${again}`,
    find: `select format('%s on %s to %s', privilege_type, t.oid::regclass, case grantee when 0 then 'PUBLIC' else grantee::regrole::text end) as subject
      from (${ourTables}) as t, aclexplode(relacl) where grantee <> relowner and (
        grantee::regrole::text not in (${kitRoles.map((role) => `'${role}'`)})
        or privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
        or relname = 'journal' and privilege_type not in ('SELECT', 'INSERT'))`,
  },
  {
    cause: 'this role may make objects of its own in the schema rolecall',
    fix: 'revoke create on schema rolecall from …',
    find: `select case grantee when 0 then 'PUBLIC' else grantee::regrole::text end as subject
      from pg_namespace, aclexplode(nspacl) where nspname = 'rolecall' and privilege_type = 'CREATE' and grantee <> nspowner`,
  },
  {
    cause: 'everybody may make objects in the schema public, where a careless search_path finds them',
    fix: 'revoke create on schema public from public',
    find: `select nspname as subject from pg_namespace, aclexplode(nspacl)
      where nspname = 'public' and privilege_type = 'CREATE' and grantee = 0`,
  },
];

/** What in the database would let somebody around the row-level security. Reads the catalog only. */
export async function lintRowLevel(sql: postgres.TransactionSql): Promise<readonly Finding[]> {
  const roles = await sql<
    { rolname: string }[]
  >`select rolname from pg_roles where rolname in ${sql(kitRoles)}`;
  const missing = kitRoles.filter((role) => !roles.some(({ rolname }) => rolname === role));
  const findings = missing.map((role) => problem(role, 'this role is not there', 'rolecall rls install'));
  for (const { cause, fix, find } of rules)
    for (const { subject } of await sql.unsafe<{ subject: string }[]>(`${find} order by 1`))
      findings.push(problem(subject, cause, fix));
  if (missing.length === 0) findings.push(...(await missingGrants(sql)));
  return findings;
}

/** What `rls install` would give and is not given, as after a migration that made a table. */
async function missingGrants(sql: postgres.TransactionSql): Promise<readonly Finding[]> {
  const tables = await sql.unsafe<{ relname: string }[]>(`${ourTables} order by 2`);
  const expected = kitRoles.flatMap((role) => [
    ...tables.flatMap(({ relname }) =>
      tablePrivileges(role, relname).map((privilege) => ({ role, on: `rolecall."${relname}"`, privilege })),
    ),
    ...callableBy(role).map((signature) => ({ role, on: `rolecall.${signature}`, privilege: 'execute' })),
  ]);
  const absent = await sql<{ subject: string }[]>`
    select format('%s on %s to %s', upper(privilege), replace("on", '"', ''), role) as subject
    from jsonb_to_recordset(${JSON.stringify(expected)}::text::jsonb) as e (role text, "on" text, privilege text)
    where not case privilege when 'execute' then coalesce(has_function_privilege(role, to_regprocedure("on"), privilege), false)
      else has_table_privilege(role, "on", privilege) end order by 1`;
  return absent.map(({ subject }) => problem(subject, 'this privilege is not given', again));
}
