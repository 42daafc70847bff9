import { and, asc, eq, inArray, sql as raw } from 'drizzle-orm';
import type { Terms } from '../domain/grants.ts';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../domain/ids.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';
import { granterName } from './granters.ts';
import { roles } from './schema/roles.ts';
import { userRoles } from './schema/user-roles.ts';
import { users } from './schema/users.ts';

/** A grant as people read it. `grantedBy` is null when the operator gave it. */
export interface GrantRow extends Terms {
  readonly pk: number;
  readonly userPk: number;
  readonly user: UserId;
  readonly role: RoleKey;
  readonly rolePk: number;
  readonly scope: Scope;
  readonly origin: string;
  readonly grantedBy: string | null;
  readonly grantedAt: number;
}

export interface GrantPlace {
  readonly userPk: number;
  readonly rolePk: number;
  readonly scope: Scope;
}

function selectGrants({ db }: ReadHandle) {
  return db
    .select({
      pk: userRoles.pk,
      userPk: userRoles.userPk,
      user: users.id,
      role: roles.key,
      rolePk: userRoles.rolePk,
      scope: userRoles.scope,
      origin: userRoles.origin,
      startsAt: userRoles.startsAt,
      expiresAt: userRoles.expiresAt,
      reason: userRoles.reason,
      grantedBy: granterName(userRoles.grantedBy),
      grantedAt: userRoles.grantedAt,
    })
    .from(userRoles)
    .innerJoin(users, eq(users.pk, userRoles.userPk))
    .innerJoin(roles, eq(roles.pk, userRoles.rolePk));
}

/** The grant of origin `api` at exactly this place. */
export async function findGrant(handle: ReadHandle, place: GrantPlace): Promise<GrantRow | undefined> {
  const [row] = await selectGrants(handle).where(atPlace(place));
  return row as GrantRow | undefined;
}

/** All grants of a user, of every origin, expired ones too. */
export async function grantsOfUser(handle: ReadHandle, userPk: number): Promise<readonly GrantRow[]> {
  const rows = await selectGrants(handle)
    .where(eq(userRoles.userPk, userPk))
    .orderBy(asc(roles.key), asc(userRoles.scope), asc(userRoles.origin));
  return rows as GrantRow[];
}

/** Where a grant stands in the list of a role's holders. */
export type HolderPosition = readonly [user: string, scope: string, origin: string];

/** Those who hold a role directly, in any scope or in these, after a position, one more than `limit` if there are more. */
export async function grantsOfRole(
  handle: ReadHandle,
  rolePk: number,
  scopes: readonly Scope[] | null,
  after: HolderPosition | null,
  limit: number,
): Promise<readonly GrantRow[]> {
  const [user, scope, origin] = after ?? [];
  const rows = await selectGrants(handle)
    .where(
      and(
        eq(userRoles.rolePk, rolePk),
        scopes === null ? undefined : inArray(userRoles.scope, [...scopes]),
        after === null
          ? undefined
          : raw`(${users.id}, ${userRoles.scope}, ${userRoles.origin}) > (${user}, ${scope}, ${origin})`,
      ),
    )
    .orderBy(asc(users.id), asc(userRoles.scope), asc(userRoles.origin))
    .limit(limit + 1);
  return rows as GrantRow[];
}

/** Makes the grant at this place, or gives the one that is there new terms. */
export async function putGrant(
  { db }: ChangeHandle,
  place: GrantPlace,
  terms: Terms,
  grantedBy: number | null,
): Promise<void> {
  const given = { ...terms, grantedBy };
  await db
    .insert(userRoles)
    .values({ ...place, ...given })
    .onConflictDoUpdate({
      target: [userRoles.userPk, userRoles.rolePk, userRoles.scope, userRoles.origin],
      set: { ...given, grantedAt: raw`now()` },
    });
}

export async function deleteGrant({ db }: ChangeHandle, pk: number): Promise<void> {
  await db.delete(userRoles).where(eq(userRoles.pk, pk));
}

/** Ends all grants of a role or of a user, of every origin. Returns what ended. */
export async function endGrants(
  handle: ChangeHandle,
  whose: { readonly rolePk: number } | { readonly userPk: number },
): Promise<readonly GrantRow[]> {
  const concerned =
    'rolePk' in whose ? eq(userRoles.rolePk, whose.rolePk) : eq(userRoles.userPk, whose.userPk);
  const rows = await selectGrants(handle)
    .where(concerned)
    .orderBy(asc(users.id), asc(roles.key), asc(userRoles.scope), asc(userRoles.origin));
  await handle.db.delete(userRoles).where(concerned);
  return rows as GrantRow[];
}

/** How many users hold the role directly. */
export async function countHolders({ db }: ReadHandle, rolePk: number): Promise<number> {
  const [row] = await db
    .select({ holders: raw<number>`count(distinct ${userRoles.userPk})::int` })
    .from(userRoles)
    .where(eq(userRoles.rolePk, rolePk));
  return row?.holders ?? 0;
}

/**
 * Whether somebody active holds `role` everywhere, from now on and for ever, by a grant of origin `api`, and is denied
 * none of `permissions` by an exception: the floor under which no write may go.
 */
export async function administratorRemains(
  { sql }: ReadHandle,
  role: RoleKey,
  permissions: readonly PermissionSlug[],
): Promise<boolean> {
  const [row] = await sql<{ remains: boolean }[]>`
    select exists (
      select 1 from rolecall.user_roles as held
      join rolecall.roles on roles.pk = held.role_pk and roles.key = ${role}
      join rolecall.users on users.pk = held.user_pk and users.active
      where held.scope = '' and held.origin = 'api' and held.expires_at is null
        and (held.starts_at is null or held.starts_at <= clock_timestamp())
        and not exists (
          select 1 from rolecall.user_permissions as denied
          join rolecall.permissions on permissions.pk = denied.permission_pk
          where denied.user_pk = held.user_pk and denied.effect = 'deny'
            and (denied.expires_at is null or denied.expires_at > clock_timestamp())
            and permissions.slug = any(${[...permissions]}::text[]))
    ) as remains`;
  return row?.remains ?? false;
}

function atPlace(place: GrantPlace) {
  return and(
    eq(userRoles.userPk, place.userPk),
    eq(userRoles.rolePk, place.rolePk),
    eq(userRoles.scope, place.scope),
    eq(userRoles.origin, 'api'),
  );
}
