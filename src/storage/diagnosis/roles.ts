import type postgres from 'postgres';
import { type Finding, notice } from '../../domain/findings.ts';

/** Role by role, whom row-level security does not hold and why; roles that reach nothing of ours are left out. */
export async function checkRoles(sql: postgres.TransactionSql): Promise<readonly Finding[]> {
  const rows = await sql<{ role: string; cause: string }[]>`
    with owners as (
      select distinct relowner as oid from pg_class where relnamespace = to_regnamespace('rolecall') and relkind = 'r'
    )
    select rolname as role, concat_ws(', ',
      case when rolsuper then 'is a superuser: sees and changes everything' end,
      case when rolbypassrls and not rolsuper then 'has BYPASSRLS: sees all rows of what it was granted' end,
      case when r.oid in (select oid from owners) then 'owns our tables: sees all rows and may switch the policies off'
        when not rolsuper and exists (select from owners where pg_has_role(r.oid, owners.oid, 'MEMBER'))
          then 'is a member of the owner of our tables: sees all rows and may switch the policies off' end,
      case when rolname = current_user then 'and is the role of this connection' end) as cause
    from pg_roles as r
    where rolname !~ '^pg_' and (rolsuper or rolbypassrls or r.oid in (select oid from owners)
      or exists (select from owners where pg_has_role(r.oid, owners.oid, 'MEMBER')))
    order by 1`;
  const fix =
    'none if it is meant; let the service be a member of rolecall_service only (docs/row-level-security.md)';
  return rows.map(({ role, cause }) => notice(role, cause, fix));
}
