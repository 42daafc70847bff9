import { RolecallError } from '../errors.ts';
import type { PermissionSlug, RoleKey } from '../ids.ts';
import { apiOrigin, type OriginRow } from '../origins.ts';
import { nameOf, type PermissionName } from '../permissions.ts';
import type { DeclaredPermission, DeclaredRole, MatrixLayer } from './document.ts';

/** What a role is, apart from what it includes and gives. */
export type RoleIdentity = Pick<DeclaredRole, 'key' | 'name' | 'description' | 'isSystem'>;

/** One include and one origin that gives or withholds it. */
export interface IncludeRow extends OriginRow {
  readonly role: RoleKey;
  readonly included: RoleKey;
}

/** One edge from a role to a permission and one origin that gives or withholds it. */
export interface EdgeRow extends OriginRow {
  readonly role: RoleKey;
  readonly permission: PermissionSlug;
}

/** What several layers declare together. `layer` is the first that declares a thing. */
export interface MergedMatrix {
  readonly permissions: ReadonlyMap<PermissionSlug, { permission: DeclaredPermission; layer: string }>;
  readonly roles: ReadonlyMap<RoleKey, { role: RoleIdentity; layer: string }>;
  readonly includes: readonly IncludeRow[];
  readonly edges: readonly EdgeRow[];
}

/**
 * Lays the layers over each other. Of a thing declared twice the later words win, a role is a system role if any layer
 * says so, and every include and edge keeps each layer that gives or withholds it as an origin of its own.
 *
 * Throws `slug_collision` if two layers declare permissions that differ but share a slug.
 */
export function mergeLayers(layers: readonly MatrixLayer[]): MergedMatrix {
  return {
    permissions: mergePermissions(layers),
    roles: mergeRoles(layers),
    includes: layers.flatMap(includesOf),
    edges: layers.flatMap(edgesOf),
  };
}

function includesOf({ id: origin, roles, amendments }: MatrixLayer): IncludeRow[] {
  const rows = (role: RoleKey, keys: readonly RoleKey[], withheld: boolean) =>
    keys.map((included) => ({ role, included, origin, withheld }));
  return distinct([
    ...roles.flatMap(({ key, includes }) => rows(key, includes, false)),
    ...amendments.flatMap(({ role, include }) => rows(role, include, false)),
    ...amendments.flatMap(({ role, exclude }) => rows(role, exclude, true)),
  ]);
}

function edgesOf({ id: origin, roles, amendments }: MatrixLayer): EdgeRow[] {
  const rows = (role: RoleKey, slugs: readonly PermissionSlug[], withheld: boolean) =>
    slugs.map((permission) => ({ role, permission, origin, withheld }));
  return distinct([
    ...roles.flatMap(({ key, permissions }) => rows(key, permissions, false)),
    ...amendments.flatMap(({ role, add }) => rows(role, add, false)),
    ...amendments.flatMap(({ role, withhold }) => rows(role, withhold, true)),
  ]);
}

/** A layer may say of its own role in two places what is one row. */
function distinct<Row extends IncludeRow | EdgeRow>(rows: readonly Row[]): Row[] {
  return [...new Map(rows.map((row) => [rowText(row), row])).values()];
}

/** Whether a row is somebody's own and no layer's. */
export function isByApi({ origin }: IncludeRow | EdgeRow): boolean {
  return origin === apiOrigin;
}

/** Tells rows of one kind apart: neither role keys nor slugs nor the ids of layers contain a space. */
export function rowText(row: IncludeRow | EdgeRow): string {
  return `${cellText(row)} ${row.origin} ${row.withheld}`;
}

/** Tells edges, or includes, apart, whoever gives or withholds them. */
export function cellText(row: IncludeRow | EdgeRow): string {
  return `${row.role} ${'included' in row ? row.included : row.permission}`;
}

function mergePermissions(layers: readonly MatrixLayer[]): MergedMatrix['permissions'] {
  const merged = new Map<PermissionSlug, { permission: DeclaredPermission; layer: string }>();
  for (const { id, permissions } of layers)
    for (const permission of permissions) {
      const earlier = merged.get(permission.slug);
      if (earlier) refuseCollision(permission, earlier.permission, permission.slug);
      merged.set(permission.slug, { permission, layer: earlier?.layer ?? id });
    }
  return merged;
}

function mergeRoles(layers: readonly MatrixLayer[]): MergedMatrix['roles'] {
  const merged = new Map<RoleKey, { role: RoleIdentity; layer: string }>();
  for (const { id, roles } of layers)
    for (const { key, name, description, isSystem } of roles) {
      const earlier = merged.get(key);
      const role = { key, name, description, isSystem: isSystem || earlier?.role.isSystem === true };
      merged.set(key, { role, layer: earlier?.layer ?? id });
    }
  return merged;
}

/** Throws `slug_collision`, naming both, if two permissions with this one slug are not the same permission. */
export function refuseCollision(wanted: PermissionName, holder: PermissionName, slug: PermissionSlug): void {
  if (nameOf(wanted) === nameOf(holder)) return;
  throw new RolecallError(
    'slug_collision',
    `"${nameOf(wanted)}" and "${nameOf(holder)}" share the slug "${slug}"`,
  );
}
