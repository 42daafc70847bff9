import type { EdgeRow, IncludeRow } from '../../domain/decision/catalogue.ts';
import type { GivenAccess, GivenException, GivenGrant } from '../../domain/decision/explain.ts';
import type { Effect } from '../../domain/grants.ts';
import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../../domain/ids.ts';
import type { Sql } from '../database.ts';
import type { HoldersWanted } from './holders-rows.ts';

/** What roles meant after a revision, as the journal tells it: of everything the last entry up to then. */
export interface PastCatalogue {
  readonly registered: readonly PermissionSlug[];
  readonly includes: readonly (IncludeRow & { readonly origin: string })[];
  readonly edges: readonly (EdgeRow & { readonly origin: string })[];
  /** The internal keys of the roles that gave or included anything. */
  readonly rolePks: ReadonlyMap<RoleKey, number>;
  readonly permissionPks: ReadonlyMap<PermissionSlug, number>;
}

interface CatalogueEntry {
  readonly kind: string;
  readonly rolePk: number;
  readonly permissionPk: number;
  readonly told: {
    readonly role: RoleKey;
    readonly included: RoleKey;
    readonly permission: PermissionSlug;
    readonly origin: string;
    readonly withheld: boolean;
  };
}

const catalogueKinds = [
  'permission_registered',
  'permission_retired',
  'include_set',
  'include_removed',
  'edge_set',
  'edge_removed',
];

/** The last revision up to this one that changed what roles mean. */
export async function catalogueRevisionAt(sql: Sql, revision: number): Promise<number> {
  const [row] = await sql<{ revision: number }[]>`
    select revision::float8 as revision from rolecall.journal
    where user_pk is null and revision <= ${revision} and kind = any(${catalogueKinds}::text[])
    order by revision desc limit 1`;
  return row?.revision ?? 0;
}

/** Entries that are about nobody are few beside the others, and have their place in the index by users. */
export async function catalogueAfter(sql: Sql, revision: number): Promise<PastCatalogue> {
  const rows = await sql<CatalogueEntry[]>`
    select distinct on (noun, role_pk, permission_pk, told ->> 'included', told ->> 'origin')
      kind, role_pk::float8 as "rolePk", permission_pk::float8 as "permissionPk", told
    from (select *, split_part(kind, '_', 1) as noun, coalesce(after, before) as told from rolecall.journal
      where user_pk is null and revision <= ${revision} and kind = any(${catalogueKinds}::text[])) as entries
    order by noun, role_pk, permission_pk, told ->> 'included', told ->> 'origin', revision desc, number desc`;
  const standing = (kind: string) => rows.filter((row) => row.kind === kind);
  const registered = standing('permission_registered');
  const includes = standing('include_set');
  const edges = standing('edge_set');
  return {
    registered: registered.map(({ told }) => told.permission),
    includes: includes.map(({ told }) => told),
    edges: edges.map(({ told }) => told),
    rolePks: new Map([...includes, ...edges].map(({ told, rolePk }) => [told.role, rolePk])),
    permissionPks: new Map(registered.map(({ told, permissionPk }) => [told.permission, permissionPk])),
  };
}

/** A user as they were after a revision. */
export interface PastUser {
  readonly pk: number;
  /** Null when they were erased since. */
  readonly id: UserId | null;
  readonly access: GivenAccess;
}

interface UserEntry {
  readonly pk: number;
  readonly id: UserId | null;
  readonly kind: string;
  readonly after: {
    readonly active: boolean;
    readonly role: RoleKey;
    readonly permission: PermissionSlug;
    readonly scope: Scope;
    readonly origin: string;
    readonly effect: Effect;
    readonly startsAt: Instant | null;
    readonly expiresAt: Instant | null;
  };
  readonly reason: string | null;
  readonly grantedBy: string | null;
  readonly grantedAt: Instant;
}

/** Those of these users who existed after a revision, with all that they had, in force or not, in the order of their keys. */
export async function usersAfter(
  sql: Sql,
  revision: number,
  pks: readonly number[],
): Promise<readonly PastUser[]> {
  const rows = await sql<UserEntry[]>`
    with entries as (
      select *, split_part(kind, '_', 1) as noun, coalesce(after, before) as told from rolecall.journal
      where user_pk = any(${pks.map(String)}::text[]::bigint[]) and revision <= ${revision}
        and split_part(kind, '_', 1) in ('user', 'grant', 'exception')
    ), standing as (
      select distinct on (user_pk, noun, role_pk, permission_pk, told ->> 'scope', told ->> 'origin') * from entries
      order by user_pk, noun, role_pk, permission_pk, told ->> 'scope', told ->> 'origin', revision desc, number desc
    )
    select user_pk::float8 as pk, kind, after,
      floor(extract(epoch from time) * 1000)::float8 as "grantedAt",
      case when noun = 'user' then coalesce((select id from rolecall.users where users.pk = user_pk),
        (select value from rolecall.personal p where p.user_pk = standing.user_pk and field = 'id' limit 1)) end as id,
      (select value from rolecall.personal p where (p.revision, p.number) = (standing.revision, standing.number)
        and field = 'reason') as reason,
      coalesce((select id from rolecall.users where users.pk = actor_pk),
        (select value from rolecall.personal p where p.user_pk = actor_pk and field = 'id' limit 1)) as "grantedBy"
    from standing where kind in ('user_created', 'user_updated', 'grant_set', 'exception_set')
    order by user_pk, noun desc`;
  const users = new Map<number, Existing>();
  for (const { pk, id, kind, after, reason, grantedBy, grantedAt } of rows) {
    const user = users.get(pk);
    const given = { ...after, reason, grantedBy, grantedAt };
    if (kind === 'grant_set') user?.access.grants.push(given);
    else if (kind === 'exception_set') user?.access.exceptions.push(given);
    else users.set(pk, { pk, id, access: { active: after.active, grants: [], exceptions: [] } });
  }
  return [...users.values()];
}

interface Existing extends PastUser {
  readonly access: { active: boolean; grants: GivenGrant[]; exceptions: GivenException[] };
}

/**
 * The keys of those who were ever given one of the roles, or the permission by exception, in one of the scopes, up to a
 * revision, from a key on: read in order from the index, no further than the limit.
 */
export async function everGiven(
  sql: Sql,
  revision: number,
  permissionPk: number,
  {
    roles: rolePks,
    scopes,
    after,
    limit,
  }: Omit<HoldersWanted<number>, 'roles'> & { roles: readonly number[] },
): Promise<readonly number[]> {
  const rows = await sql<{ pk: number }[]>`
    with given as materialized (
      select 'grant_set' as kind, unnest(${rolePks.map(String)}::text[]::bigint[]) as what
      union all select 'exception_set', ${permissionPk}::bigint
    ), places as materialized (select unnest(${[...scopes]}::text[]) as scope)
    select user_pk::float8 as pk from (
      select found.user_pk from given cross join places cross join lateral (
        select distinct user_pk from rolecall.journal as j
        where j.kind in ('grant_set', 'exception_set') and j.kind = given.kind
          and coalesce(role_pk, permission_pk) = given.what and j.after ->> 'scope' = places.scope
          and user_pk > ${after} and revision <= ${revision}
        order by user_pk limit (select ${limit}::int)) as found
      group by found.user_pk order by found.user_pk limit ${limit}
    ) as found order by pk`;
  return rows.map(({ pk }) => pk);
}
