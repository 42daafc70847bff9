import type { GivenGrant } from '../../domain/decision/explain.ts';
import type { UserAccess } from '../../domain/decision/user-access.ts';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../domain/ids.ts';
import type { Sql } from '../database.ts';
import { givenMembers } from '../granters.ts';

/** Where to look: at these roles, in these scopes, after a position, for so many. */
export interface HoldersWanted<Position> {
  readonly roles: readonly RoleKey[];
  readonly scopes: readonly Scope[];
  readonly after: Position;
  readonly limit: number;
}

/** Somebody who may hold a permission: whether they do is decided by what they have of it, which is all of `access`. */
export interface CandidateRow {
  readonly pk: number;
  readonly id: UserId;
  readonly access: UserAccess;
}

/**
 * Users with a grant of one of the roles, or an allowing exception, in the order in which they were made. Each role in
 * each scope is read in that order from its index, no further than the limit, so that a page costs the same however
 * many hold the role and however many users there are. The planner is not told the limit: where it expects
 * fewer rows than that, it would read all of them and sort. `offset 0` has each user looked up by itself:
 * where it expects more rows, it would read all users.
 */
export async function candidatesFor(
  sql: Sql,
  permission: PermissionSlug,
  { roles, scopes, after, limit }: HoldersWanted<number>,
): Promise<readonly CandidateRow[]> {
  const rows = await sql<(UserAccess & { pk: number; id: UserId })[]>`
    with giving as materialized (select pk, key from rolecall.roles where key = any(${[...roles]}::text[])),
    asked as materialized (select pk, slug from rolecall.permissions where slug = ${permission}),
    places as materialized (select unnest(${[...scopes]}::text[]) as scope),
    candidates as materialized (
      select user_pk from (
        select held.user_pk from giving cross join places cross join lateral (
          select distinct user_pk from rolecall.user_roles
          where role_pk = giving.pk and user_roles.scope = places.scope and user_pk > ${after}
          order by user_pk limit (select ${limit}::int)) as held
        union
        select held.user_pk from asked cross join places cross join lateral (
          select user_pk from rolecall.user_permissions
          where permission_pk = asked.pk and user_permissions.scope = places.scope and effect = 'allow'
            and user_pk > ${after}
          order by user_pk limit (select ${limit}::int)) as held
      ) as found order by user_pk limit ${limit}
    )
    select users.pk::float8 as pk, id, active,
      (select coalesce(json_agg(json_build_object('role', key, 'scope', scope,
          'startsAt', extract(epoch from starts_at) * 1000, 'expiresAt', extract(epoch from expires_at) * 1000)), '[]')
        from giving join rolecall.user_roles on role_pk = giving.pk and user_roles.user_pk = users.pk
        where scope = any(${[...scopes]}::text[])) as grants,
      (select coalesce(json_agg(json_build_object('permission', slug, 'effect', effect, 'scope', scope,
          'startsAt', extract(epoch from starts_at) * 1000, 'expiresAt', extract(epoch from expires_at) * 1000)), '[]')
        from asked join rolecall.user_permissions on permission_pk = asked.pk and user_permissions.user_pk = users.pk
        where scope = any(${[...scopes]}::text[])) as exceptions
    from candidates cross join lateral (
      select pk, id, active from rolecall.users where users.pk = candidates.user_pk offset 0) as users
    order by users.pk`;
  return rows.map(({ pk, id, ...access }) => ({ pk, id, access }));
}

/** Where a grant stands among those of several roles. */
export type GrantPosition = readonly [userPk: number, pk: number];

/** A grant as people read it, with what decides whether it counts. */
export interface HeldRow extends GivenGrant {
  readonly pk: number;
  readonly userPk: number;
  readonly user: UserId;
  readonly active: boolean;
}

/** Grants of the roles in the scopes: those of one user together, users in the order in which they were made. */
export async function grantsAmong(
  sql: Sql,
  { roles, scopes, after: [userPk, pk], limit }: HoldersWanted<GrantPosition>,
): Promise<readonly HeldRow[]> {
  const rows = await sql<{ grant: HeldRow }[]>`
    with giving as materialized (select pk, key from rolecall.roles where key = any(${[...roles]}::text[])),
    places as materialized (select unnest(${[...scopes]}::text[]) as scope),
    found as materialized (
      select key, held.* from giving cross join places cross join lateral (
        select * from rolecall.user_roles
        where role_pk = giving.pk and user_roles.scope = places.scope and (user_pk, pk) > (${userPk}, ${pk})
        order by user_pk, pk limit (select ${limit}::int)) as held
      order by user_pk, held.pk limit ${limit}
    )
    select json_build_object('pk', held.pk, 'userPk', held.user_pk, 'user', users.id, 'active', users.active,
      'role', held.key, 'origin', held.origin, ${givenMembers(sql)}) as grant
    from found as held join rolecall.users on users.pk = held.user_pk
    order by held.user_pk, held.pk`;
  return rows.map(({ grant }) => grant);
}
