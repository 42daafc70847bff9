import { RolecallError } from '../errors.ts';
import type { PermissionSlug, RoleKey } from '../ids.ts';
import type { PermissionName } from '../permissions.ts';
import type { DeclaredPermission, DeclaredRole, MatrixLayer } from './document.ts';

/** What a role is, apart from what it includes and gives. */
export type RoleIdentity = Pick<DeclaredRole, 'key' | 'name' | 'description' | 'isSystem'>;

/** One include and one origin that gives it. */
export interface IncludeRow {
  readonly role: RoleKey;
  readonly included: RoleKey;
  readonly origin: string;
}

/** One edge from a role to a permission and one origin that gives it. */
export interface EdgeRow {
  readonly role: RoleKey;
  readonly permission: PermissionSlug;
  readonly origin: string;
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
 * says so, and every include and edge keeps each layer that gives it as an origin of its own (requirement 2.8).
 *
 * Throws `slug_collision` if two layers declare permissions that differ but share a slug.
 */
export function mergeLayers(layers: readonly MatrixLayer[]): MergedMatrix {
  const roles = layers.flatMap(({ id: origin, roles }) => roles.map((role) => ({ role, origin })));
  return {
    permissions: mergePermissions(layers),
    roles: mergeRoles(layers),
    includes: roles.flatMap(({ role, origin }) =>
      role.includes.map((included) => ({ role: role.key, included, origin })),
    ),
    edges: roles.flatMap(({ role, origin }) =>
      role.permissions.map((permission) => ({ role: role.key, permission, origin })),
    ),
  };
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
  if (wanted.resource === holder.resource && wanted.action === holder.action) return;
  const [own, other] = [wanted, holder].map(({ resource, action }) => `"${resource}.${action}"`);
  throw new RolecallError('slug_collision', `${own} and ${other} share the slug "${slug}"`);
}
