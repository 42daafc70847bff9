import { and, asc, eq, inArray, sql as raw } from 'drizzle-orm';
import type { Terms } from '../domain/grants.ts';
import type { Instant, RoleKey, Scope, UserId } from '../domain/ids.ts';
import type { Sight } from '../domain/sight.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';
import { granterName } from './granters.ts';
import { roles } from './schema/roles.ts';
import { userRoles } from './schema/user-roles.ts';
import { users } from './schema/users.ts';
import { inSight } from './sight.ts';

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

/** Who and what a grant is about, by their internal keys as far as they exist, and the grant of origin `api` there. */
export interface FoundPlace {
  readonly userPk: number | null;
  readonly rolePk: number | null;
  readonly grant: GrantRow | null;
}

/** Finds all of it in one prepared statement, because it is read under the revision lock. */
export async function findPlace(
  { sql }: ReadHandle,
  user: UserId,
  role: RoleKey,
  scope: Scope,
): Promise<FoundPlace> {
  const [row] = await sql<
    [{ userPk: number | null; rolePk: number | null; held: Omit<GrantRow, 'user' | 'role'> | null }]
  >`
    select users.pk::float8 as "userPk", roles.pk::float8 as "rolePk",
      case when held.pk is not null then json_build_object('pk', held.pk, 'userPk', user_pk, 'rolePk', role_pk,
        'scope', scope, 'origin', origin, 'reason', reason,
        'startsAt', extract(epoch from starts_at) * 1000, 'expiresAt', extract(epoch from expires_at) * 1000,
        'grantedAt', extract(epoch from granted_at) * 1000,
        'grantedBy', coalesce((select id from rolecall.users as granter where granter.pk = granted_by),
          (select value from rolecall.personal where user_pk = granted_by and field = 'id' limit 1))) end as held
    from (select 1) as one
    left join rolecall.users on users.id = ${user}
    left join rolecall.roles on roles.key = ${role}
    left join rolecall.user_roles as held
      on user_pk = users.pk and role_pk = roles.pk and scope = ${scope} and origin = 'api'`;
  const { userPk, rolePk, held } = row;
  return { userPk, rolePk, grant: held && { ...held, user, role } };
}

/** All grants of a user, of every origin, expired ones too. */
export async function grantsOfUser(handle: ReadHandle, userPk: number): Promise<readonly GrantRow[]> {
  const rows = await selectGrants(handle)
    .where(eq(userRoles.userPk, userPk))
    .orderBy(asc(roles.key), asc(userRoles.scope), asc(userRoles.origin));
  return rows as GrantRow[];
}

/** The grants of one origin that these users have, expired ones too. */
export async function grantsOfOrigin(
  handle: ReadHandle,
  origin: string,
  userPks: readonly number[],
): Promise<readonly GrantRow[]> {
  const rows = await selectGrants(handle)
    .where(and(eq(userRoles.origin, origin), inArray(userRoles.userPk, [...userPks])))
    .orderBy(asc(users.id), asc(roles.key), asc(userRoles.scope));
  return rows as GrantRow[];
}

/** Where a grant stands in the list of a role's holders. */
export type HolderPosition = readonly [user: string, scope: string, origin: string];

/**
 * Those who hold a role directly, in any scope or in these, as far as it is in sight, after a position, one more than
 * `limit` if there are more.
 */
export async function grantsOfRole(
  handle: ReadHandle,
  rolePk: number,
  sight: Sight,
  scopes: readonly Scope[] | null,
  after: HolderPosition | null,
  limit: number,
): Promise<readonly GrantRow[]> {
  const [user, scope, origin] = after ?? [];
  const rows = await selectGrants(handle)
    .where(
      and(
        eq(userRoles.rolePk, rolePk),
        inSight(userRoles.scope, sight),
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

/** Makes the grant at this place, or gives the one that is there new terms. Its time is the transaction's, if none is given. */
export function putGrant(
  { sql, sendAlong }: ChangeHandle,
  { userPk, rolePk, scope }: GrantPlace,
  { startsAt, expiresAt, reason }: Terms,
  grantedBy: number | null,
  grantedAt: Instant | null = null,
): void {
  sendAlong(sql`
    insert into rolecall.user_roles (user_pk, role_pk, scope, starts_at, expires_at, reason, granted_by, granted_at)
    values (${userPk}, ${rolePk}, ${scope}, to_timestamp(${startsAt}::float8 / 1000),
      to_timestamp(${expiresAt}::float8 / 1000), ${reason}, ${grantedBy},
      coalesce(to_timestamp(${grantedAt}::float8 / 1000), now()))
    on conflict (user_pk, role_pk, scope, origin) do update set starts_at = excluded.starts_at,
      expires_at = excluded.expires_at, reason = excluded.reason, granted_by = excluded.granted_by,
      granted_at = excluded.granted_at`);
}

export function deleteGrant({ sql, sendAlong }: ChangeHandle, pk: number): void {
  sendAlong(sql`delete from rolecall.user_roles where pk = ${pk}`);
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
