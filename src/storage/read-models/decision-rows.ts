import { Catalogue, type EdgeRow, type IncludeRow } from '../../domain/decision/catalogue.ts';
import type { UserAccess } from '../../domain/decision/user-access.ts';
import type { Exception, Grant } from '../../domain/grants.ts';
import type { Instant, PermissionSlug, RoleKey, UserId } from '../../domain/ids.ts';
import type { Epoch, Revision } from '../../domain/revisions.ts';
import type { Sql } from '../database.ts';

/** What to load: these users, these roles beside theirs, and these permissions, or null for all of them. */
export interface FactsWanted {
  readonly users: readonly UserId[];
  readonly roles?: readonly RoleKey[];
  readonly permissions: readonly PermissionSlug[] | null;
  /** With all of them: those to know of though nobody loaded has them. */
  readonly besides?: readonly PermissionSlug[];
}

/** Everything that decisions about some users need, as of one revision. */
export interface Facts {
  readonly head: Revision;
  readonly epochs: readonly Epoch[];
  /** The primary's clock when the rows were read. */
  readonly now: Instant;
  /** Knows the permissions asked for and what the loaded users and roles reach; nothing else. */
  readonly catalogue: Catalogue;
  readonly users: ReadonlyMap<UserId, UserAccess>;
}

interface Row {
  readonly head: Revision;
  readonly epochs: readonly Epoch[];
  readonly now: Instant;
  readonly users: readonly { id: UserId; active: boolean }[];
  readonly grants: readonly (Grant & { user: UserId })[];
  readonly exceptions: readonly (Exception & { user: UserId })[];
  readonly includes: readonly IncludeRow[];
  readonly edges: readonly EdgeRow[];
  readonly registered: readonly PermissionSlug[];
}

/**
 * Reads the rows that decide, and the revision they belong to, in one statement and so on one snapshot. Rows come as
 * they are, expired and withheld ones too: what they mean is decided in `domain/decision` only. What is reached is handed
 * on as arrays, because nobody can estimate a recursion and the plan must not scan every edge there is for a few.
 */
export async function loadFacts(sql: Sql, wanted: FactsWanted): Promise<Facts> {
  const { roles = [], permissions, besides = [] } = wanted;
  const isAsked = permissions === null ? sql`true` : sql`slug = any(${[...permissions]}::text[])`;
  const [row] = await sql<[Row]>`
    with recursive people as materialized (
      select pk, id, active from rolecall.users where id = any(${[...wanted.users]}::text[])
    ), given as materialized (
      select people.id as user, role_pk, scope, starts_at, expires_at
      from people join rolecall.user_roles on user_pk = people.pk
    ), reached (pk) as (
      select pk from (
        select role_pk as pk from given
        union select pk from rolecall.roles where key = any(${[...roles]}::text[])
      ) as named
      union select included_pk from reached join rolecall.role_includes on role_pk = reached.pk
    ), edges as materialized (
      select role_pk, slug, retired_at, withheld
      from rolecall.role_permissions join rolecall.permissions on permissions.pk = permission_pk
      where role_pk = any(array(select pk from reached)) and ${isAsked}
    ), excepted as materialized (
      select people.id as user, slug, retired_at, effect, scope, starts_at, expires_at
      from people join rolecall.user_permissions on user_pk = people.pk
      join rolecall.permissions on permissions.pk = permission_pk where ${isAsked}
    )
    select
      (select json_build_object('epoch', epoch, 'value', value) from rolecall.revision) as head,
      (select json_agg(json_build_object('id', id, 'beganAt', began_at_revision) order by began_at, id)
        from rolecall.epochs) as epochs,
      floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now,
      (select coalesce(json_agg(json_build_object('id', id, 'active', active)), '[]') from people) as users,
      (select coalesce(json_agg(json_build_object('user', given.user, 'role', key, 'scope', scope,
          'startsAt', extract(epoch from starts_at) * 1000, 'expiresAt', extract(epoch from expires_at) * 1000)), '[]')
        from given join rolecall.roles on pk = role_pk) as grants,
      (select coalesce(json_agg(json_build_object('user', excepted.user, 'permission', slug, 'effect', effect,
          'scope', scope,
          'startsAt', extract(epoch from starts_at) * 1000, 'expiresAt', extract(epoch from expires_at) * 1000)), '[]')
        from excepted) as exceptions,
      (select coalesce(json_agg(json_build_object('role', holder.key, 'included', included.key, 'withheld', withheld)),
          '[]')
        from rolecall.role_includes
        join rolecall.roles as holder on holder.pk = role_pk
        join rolecall.roles as included on included.pk = included_pk
        where role_pk = any(array(select pk from reached))) as includes,
      (select coalesce(json_agg(json_build_object('role', key, 'permission', slug, 'withheld', withheld)), '[]')
        from edges join rolecall.roles on pk = role_pk) as edges,
      (select coalesce(json_agg(slug), '[]') from (
          select slug, retired_at from rolecall.permissions where slug = any(${[...(permissions ?? besides)]}::text[])
          union select slug, retired_at from edges
          union select slug, retired_at from excepted
        ) as mentioned where retired_at is null) as registered`;
  const users = new Map<UserId, { active: boolean; grants: Grant[]; exceptions: Exception[] }>();
  for (const { id, active } of row.users) users.set(id, { active, grants: [], exceptions: [] });
  for (const grant of row.grants) users.get(grant.user)?.grants.push(grant);
  for (const exception of row.exceptions) users.get(exception.user)?.exceptions.push(exception);
  const { head, epochs, now } = row;
  return { head, epochs, now, catalogue: new Catalogue(row), users };
}
