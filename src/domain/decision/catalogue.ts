import type { PermissionSlug, RoleKey } from '../ids.ts';

/** An include as stored: one row per origin; a withheld row is a tombstone. */
export interface IncludeRow {
  readonly role: RoleKey;
  readonly included: RoleKey;
  readonly withheld: boolean;
}

/** A role's edge to a permission as stored: one row per origin; a withheld row is a tombstone. */
export interface EdgeRow {
  readonly role: RoleKey;
  readonly permission: PermissionSlug;
  readonly withheld: boolean;
}

/** What roles mean at one revision. Never edited: a new revision is a new catalogue. */
export interface Catalogue {
  /** Registered and not retired. */
  isRegistered(permission: PermissionSlug): boolean;
  /** The role itself and every role it includes, however deep. */
  closureOf(role: RoleKey): ReadonlySet<RoleKey>;
  /** The registered permissions of the role's closure. */
  permissionsOf(role: RoleKey): ReadonlySet<PermissionSlug>;
}

/** Builds the catalogue from rows. `registered` may be limited to the permissions that will be asked about. */
export function buildCatalogue(rows: {
  readonly registered: Iterable<PermissionSlug>;
  readonly includes: readonly IncludeRow[];
  readonly edges: readonly EdgeRow[];
}): Catalogue {
  const registered = new Set(rows.registered);
  const includes = standing(rows.includes, (row) => row.included);
  const edges = standing(rows.edges, (row) => row.permission);
  const closures = new Map<RoleKey, ReadonlySet<RoleKey>>();
  const permissions = new Map<RoleKey, ReadonlySet<PermissionSlug>>();

  function closureOf(role: RoleKey): ReadonlySet<RoleKey> {
    return remembered(closures, role, () => {
      const reached = new Set([role]);
      // A set iterates over what is added while it is walked, so this ends when nothing new is reached.
      for (const next of reached) for (const included of includes.get(next) ?? []) reached.add(included);
      return reached;
    });
  }

  function permissionsOf(role: RoleKey): ReadonlySet<PermissionSlug> {
    return remembered(permissions, role, () => {
      const given = new Set<PermissionSlug>();
      for (const reached of closureOf(role))
        for (const permission of edges.get(reached) ?? [])
          if (registered.has(permission)) given.add(permission);
      return given;
    });
  }

  return { isRegistered: (permission) => registered.has(permission), closureOf, permissionsOf };
}

/** An edge stands if at least one origin gives it and no tombstone withholds it. */
function standing<Row extends { role: RoleKey; withheld: boolean }, Target>(
  rows: readonly Row[],
  targetOf: (row: Row) => Target,
): Map<RoleKey, Set<Target>> {
  const targets = new Map<RoleKey, Set<Target>>();
  for (const row of rows)
    if (!row.withheld) remembered(targets, row.role, () => new Set<Target>()).add(targetOf(row));
  for (const row of rows) if (row.withheld) targets.get(row.role)?.delete(targetOf(row));
  return targets;
}

function remembered<Key, Value>(known: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = known.get(key);
  if (found !== undefined) return found;
  const made = make();
  known.set(key, made);
  return made;
}
