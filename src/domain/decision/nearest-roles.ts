import type { PermissionSlug, RoleKey, Scope } from '../ids.ts';
import { scopesCovering } from '../scopes.ts';
import type { Catalogue } from './catalogue.ts';
import type { CompiledAccess } from './user-access.ts';

/** A role whose grant in the asked scope would allow what is not granted. */
export interface NearestRole {
  readonly role: RoleKey;
  /** How many permissions its grant would give there besides the asked one, of those the user does not have yet. */
  readonly otherPermissions: number;
}

/**
 * Of some roles, those that would allow the permission if they were granted in the scope, nearest first: the one that
 * gives the user the fewest other permissions is nearest; among equals the one of the smaller closure, then by key.
 * What is denied to the user is not given by a grant and does not count.
 */
export function nearestRoles(
  catalogue: Catalogue,
  access: CompiledAccess,
  permission: PermissionSlug,
  scope: Scope,
  roles: Iterable<RoleKey>,
): readonly NearestRole[] {
  const standings = scopesCovering(scope).flatMap((place) => access.standings.get(place) ?? []);
  const measured = [...new Set(roles)]
    .filter((role) => catalogue.gives(role, permission))
    .map((role) => {
      const gained = catalogue.emptySet();
      gained.addAll(catalogue.permissionsOf(role));
      for (const { given, denied } of standings) {
        gained.removeAll(given);
        if (denied) gained.removeAll(denied);
      }
      return { role, otherPermissions: gained.size - 1, closure: catalogue.closureOf(role).size };
    });
  return measured
    .sort(
      (a, b) =>
        a.otherPermissions - b.otherPermissions || a.closure - b.closure || (a.role < b.role ? -1 : 1),
    )
    .map(({ role, otherPermissions }) => ({ role, otherPermissions }));
}
