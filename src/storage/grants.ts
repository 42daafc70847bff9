import { and, asc, eq, inArray, sql as raw } from 'drizzle-orm';
import type { Terms } from '../domain/grants.ts';
import type { RoleKey, Scope, UserId } from '../domain/ids.ts';
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
    // As one parameter: a statement takes 65,534 of them.
    .where(
      and(
        eq(userRoles.origin, origin),
        raw`${userRoles.userPk} in (select value::bigint from jsonb_array_elements_text(${JSON.stringify(userPks)}::text::jsonb))`,
      ),
    )
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
