import type { PermissionSlug, RoleKey, UserId } from '../domain/ids.ts';
import type { ReadHandle, Sql } from './database.ts';

/**
 * Whoever is active, holds `role` everywhere, from now on and for ever, by a grant of origin `api`, and is denied none of
 * `permissions` by an exception: the floor under which no write may go.
 */
function administratorsIn(sql: Sql, role: RoleKey, permissions: readonly PermissionSlug[]) {
  return sql`
    select users.id from rolecall.user_roles as held
    join rolecall.roles on roles.pk = held.role_pk and roles.key = ${role}
    join rolecall.users on users.pk = held.user_pk and users.active
    where held.scope = '' and held.origin = 'api' and held.expires_at is null
      and (held.starts_at is null or held.starts_at <= clock_timestamp())
      and not exists (
        select 1 from rolecall.user_permissions as denied
        join rolecall.permissions on permissions.pk = denied.permission_pk
        where denied.user_pk = held.user_pk and denied.effect = 'deny'
          and (denied.expires_at is null or denied.expires_at > clock_timestamp())
          and permissions.slug = any(${[...permissions]}::text[]))`;
}

/** Whether anybody is an administrator in the sense of `administratorsIn`. */
export async function administratorRemains(
  { sql }: ReadHandle,
  role: RoleKey,
  permissions: readonly PermissionSlug[],
): Promise<boolean> {
  const [row] = await sql<{ remains: boolean }[]>`
    select exists (${administratorsIn(sql, role, permissions)}) as remains`;
  return row?.remains ?? false;
}

export async function administrators(
  { sql }: ReadHandle,
  role: RoleKey,
  permissions: readonly PermissionSlug[],
): Promise<readonly UserId[]> {
  const rows = await sql<{ id: UserId }[]>`${administratorsIn(sql, role, permissions)}`;
  return rows.map(({ id }) => id);
}
