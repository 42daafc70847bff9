import type { PermissionSlug, RoleKey } from '../ids.ts';
import { Bitset } from './bitset.ts';

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

export interface CatalogueRows {
  /** Registered and not retired; may be limited to the permissions that will be asked about. */
  readonly registered: Iterable<PermissionSlug>;
  readonly includes: readonly IncludeRow[];
  readonly edges: readonly EdgeRow[];
}

/**
 * What roles mean at one revision. Permissions are numbered densely in the order of their slugs, so that a set of them
 * is a bitset and comes out sorted. Never edited: a new revision is a new catalogue.
 */
export class Catalogue {
  readonly #slugs: readonly PermissionSlug[];
  readonly #numbers = new Map<PermissionSlug, number>();
  readonly #includes: ReadonlyMap<RoleKey, ReadonlySet<RoleKey>>;
  readonly #edges: ReadonlyMap<RoleKey, ReadonlySet<PermissionSlug>>;
  readonly #closures = new Map<RoleKey, ReadonlySet<RoleKey>>();
  readonly #permissions = new Map<RoleKey, Bitset>();

  constructor(rows: CatalogueRows) {
    this.#slugs = [...new Set(rows.registered)].sort();
    for (const [number, slug] of this.#slugs.entries()) this.#numbers.set(slug, number);
    this.#includes = standing(rows.includes, (row) => row.included);
    this.#edges = standing(rows.edges, (row) => row.permission);
  }

  /** How many permissions are registered. */
  get size(): number {
    return this.#slugs.length;
  }

  /** The registered permissions, sorted. */
  get slugs(): readonly PermissionSlug[] {
    return this.#slugs;
  }

  /** The permission's number in every bitset of this catalogue; undefined if it is not registered, or retired. */
  numberOf(permission: PermissionSlug): number | undefined {
    return this.#numbers.get(permission);
  }

  isRegistered(permission: PermissionSlug): boolean {
    return this.#numbers.has(permission);
  }

  /** The roles that the role includes directly. */
  includedIn(role: RoleKey): Iterable<RoleKey> {
    return this.#includes.get(role) ?? [];
  }

  /** Whether the role gives the permission by an edge of its own. */
  hasEdge(role: RoleKey, permission: PermissionSlug): boolean {
    return this.#numbers.has(permission) && (this.#edges.get(role)?.has(permission) ?? false);
  }

  /** The role itself and every role it includes, however deep. */
  closureOf(role: RoleKey): ReadonlySet<RoleKey> {
    return remembered(this.#closures, role, () => {
      const reached = new Set([role]);
      // A set iterates over what is added while it is walked, so this ends when nothing new is reached.
      for (const next of reached) for (const included of this.includedIn(next)) reached.add(included);
      return reached;
    });
  }

  /** The registered permissions of the role's closure. */
  permissionsOf(role: RoleKey): Bitset {
    return remembered(this.#permissions, role, () => {
      const given = this.emptySet();
      for (const reached of this.closureOf(role))
        for (const permission of this.#edges.get(reached) ?? []) {
          const number = this.#numbers.get(permission);
          if (number !== undefined) given.add(number);
        }
      return given;
    });
  }

  gives(role: RoleKey, permission: PermissionSlug): boolean {
    const number = this.#numbers.get(permission);
    return number !== undefined && this.permissionsOf(role).has(number);
  }

  /** The slugs of a bitset of this catalogue, sorted. */
  slugsIn(permissions: Bitset): PermissionSlug[] {
    return [...permissions].map((number) => this.#slugs[number] as PermissionSlug);
  }

  emptySet(): Bitset {
    return new Bitset(this.#slugs.length);
  }
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
