import type { Instant, PermissionSlug, RoleKey, UserId } from '../domain/ids.ts';
import type { LiveMatrix, LivePermission, LiveRole } from '../domain/matrix/changes.ts';
import { type LayerDraft, sealLayer } from '../domain/matrix/content-hash.ts';
import type { MatrixLayer } from '../domain/matrix/document.ts';
import type { Concern } from '../domain/matrix/impact.ts';
import { formatRevision } from '../domain/revisions.ts';
import type { ReadHandle, Sql } from './database.ts';
import type { WriteHandle } from './transaction.ts';

/** Everything about roles and permissions on one snapshot, and what the layers said when last applied. */
export interface StoredMatrix {
  readonly live: LiveMatrix;
  readonly applied: readonly MatrixLayer[];
  readonly catalogueRevision: string;
  readonly revision: string;
  /** The primary's clock. */
  readonly now: Instant;
}

interface Row {
  readonly permissions: readonly (LivePermission & { pk: number })[];
  readonly roles: readonly (LiveRole & { pk: number })[];
  readonly includes: readonly [rolePk: number, includedPk: number, origin: string, withheld: boolean][];
  readonly edges: readonly [rolePk: number, permissionPk: number, origin: string, withheld: boolean][];
  readonly layers: readonly { id: string; content: LayerDraft }[];
  readonly epoch: string;
  readonly value: number;
  readonly catalogueValue: number;
  readonly now: Instant;
}

/**
 * Reads it in one statement. Rows of the API and tombstones are there; names come once each and edges by number. Whether a
 * role is held is asked as a minimum, which is the first row of an index: `exists` reads the whole table where nobody has it.
 */
export async function readMatrix({ sql }: ReadHandle): Promise<StoredMatrix> {
  const [row] = await sql<[Row]>`
    select epoch, value::float8 as value, catalogue_value::float8 as "catalogueValue",
      floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now,
      (select coalesce(json_agg(json_build_object('pk', pk, 'resource', resource, 'action', action, 'slug', slug,
          'description', description, 'declaredIn', declared_in, 'retired', retired_at is not null)), '[]')
        from rolecall.permissions) as permissions,
      (select coalesce(json_agg(json_build_object('pk', pk, 'key', key, 'name', name, 'description', description,
          'isSystem', is_system, 'declaredIn', declared_in,
          'held', (select min(scope) from rolecall.user_roles where role_pk = roles.pk) is not null
            or exists (select from rolecall.settings
              where settings.key = 'default_role' and value = to_jsonb(roles.key))
            or exists (select from rolecall.mappings where mappings.role_pk = roles.pk))), '[]')
        from rolecall.roles) as roles,
      (select coalesce(json_agg(json_build_array(role_pk, included_pk, origin, withheld)), '[]')
        from rolecall.role_includes) as includes,
      (select coalesce(json_agg(json_build_array(role_pk, permission_pk, origin, withheld)), '[]')
        from rolecall.role_permissions) as edges,
      (select coalesce(json_agg(json_build_object('id', id, 'content', content) order by position), '[]')
        from rolecall.matrix_layers) as layers
    from rolecall.revision`;
  const { epoch, value, catalogueValue, now } = row;
  return {
    live: namedMatrix(row),
    applied: row.layers.map(({ id, content }) => sealLayer(id, content)),
    catalogueRevision: formatRevision({ epoch, value: catalogueValue }),
    revision: formatRevision({ epoch, value }),
    now,
  };
}

function namedMatrix({ permissions, roles, includes, edges }: Row): LiveMatrix {
  const slugs = new Map(permissions.map(({ pk, slug }) => [pk, slug]));
  const keys = new Map(roles.map(({ pk, key }) => [pk, key]));
  const role = (pk: number) => keys.get(pk) as RoleKey;
  return {
    permissions: permissions.map(({ pk: _, ...permission }) => permission),
    roles: roles.map(({ pk: _, ...known }) => known),
    includes: includes.map(([holder, included, origin, withheld]) => ({
      role: role(holder),
      included: role(included),
      origin,
      withheld,
    })),
    edges: edges.map(([holder, permission, origin, withheld]) => ({
      role: role(holder),
      permission: slugs.get(permission) as PermissionSlug,
      origin,
      withheld,
    })),
  };
}

/** The active users whom a change may concern: through a grant of one of the roles, or an exception for a permission. */
export async function usersConcerned(
  { sql }: ReadHandle,
  { roles, permissions }: Concern,
): Promise<readonly UserId[]> {
  const rows = await sql<{ id: UserId }[]>`
    select id from rolecall.users where active and pk in (
      select user_pk from rolecall.user_roles
      where role_pk = any(array(select pk from rolecall.roles where key = any(${[...roles]}::text[])))
      union select user_pk from rolecall.user_permissions
      where permission_pk = any(array(select pk from rolecall.permissions where slug = any(${[...permissions]}::text[]))))`;
  return rows.map(({ id }) => id);
}

/** Who has an exception for each of these permissions, in force or not; ids sorted. */
export async function usersExcepted(
  { sql }: ReadHandle,
  permissions: readonly PermissionSlug[],
): Promise<ReadonlyMap<PermissionSlug, readonly UserId[]>> {
  const rows = await sql<{ slug: PermissionSlug; users: UserId[] }[]>`
    select slug, json_agg(distinct users.id order by users.id) as users
    from rolecall.permissions
    join rolecall.user_permissions on permission_pk = permissions.pk
    join rolecall.users on users.pk = user_pk
    where slug = any(${[...permissions]}::text[]) group by slug`;
  return new Map(rows.map(({ slug, users }) => [slug, users]));
}

/** How many users each of these roles is granted to; roles granted to nobody are left out. */
export async function holdersOfRoles(
  { sql }: ReadHandle,
  roles: readonly RoleKey[],
): Promise<ReadonlyMap<RoleKey, number>> {
  const rows = await sql<{ key: RoleKey; holders: number }[]>`
    select key, count(distinct user_pk)::float8 as holders
    from rolecall.roles join rolecall.user_roles on role_pk = roles.pk
    where key = any(${[...roles]}::text[]) group by key`;
  return new Map(rows.map(({ key, holders }) => [key, holders]));
}

/** Internal keys by name: of every permission, retired ones too, and of every role. */
export async function readNames(
  sql: Sql,
): Promise<{ permissions: ReadonlyMap<PermissionSlug, number>; roles: ReadonlyMap<RoleKey, number> }> {
  const [row] = await sql<[{ permissions: [PermissionSlug, number][]; roles: [RoleKey, number][] }]>`
    select (select coalesce(json_agg(json_build_array(slug, pk)), '[]') from rolecall.permissions) as permissions,
      (select coalesce(json_agg(json_build_array(key, pk)), '[]') from rolecall.roles) as roles`;
  return { permissions: new Map(row.permissions), roles: new Map(row.roles) };
}

/** Keeps the layers as they were applied, whole, in their order; layers that are gone are forgotten. */
export async function replaceLayers({ sql }: WriteHandle, layers: readonly MatrixLayer[]): Promise<void> {
  const rows = layers.map(({ id, contentHash, ...content }, position) => ({
    id,
    position,
    content_hash: contentHash,
    content,
  }));
  await sql`delete from rolecall.matrix_layers`;
  await sql`
    insert into rolecall.matrix_layers (id, position, content_hash, content, applied_at_revision)
    select id, position, content_hash, content, (select value + 1 from rolecall.revision)
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb)
      as row (id text, position int, content_hash text, content jsonb)`;
}
