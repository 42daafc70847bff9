import type { PermissionSlug, RoleKey } from '../ids.ts';
import type { DeclaredPermission, MatrixLayer } from './document.ts';
import {
  type EdgeRow,
  type IncludeRow,
  type MergedMatrix,
  mergeLayers,
  type RoleIdentity,
  refuseCollision,
} from './layers.ts';

export interface LivePermission extends DeclaredPermission {
  /** The first layer that declares it; null when it came through the API. */
  readonly declaredIn: string | null;
  readonly retired: boolean;
}

export interface LiveRole extends RoleIdentity {
  readonly declaredIn: string | null;
}

/** What the database holds. Includes and edges are rows that give and have a layer as origin; never those of the API. */
export interface LiveMatrix {
  readonly permissions: readonly LivePermission[];
  readonly roles: readonly LiveRole[];
  readonly includes: readonly IncludeRow[];
  readonly edges: readonly EdgeRow[];
}

/**
 * One step from what is to what is declared. `layer` becomes `declaredIn`. A declaration that `revives` takes over a
 * row that exists: retired, made through the API, or declared by another layer until now. A role that is undeclared
 * stays as an ordinary one (its grants are people's, not the matrix's): `declaredIn` null, no longer a system role. A
 * retired permission keeps its row, so that its slug stays reserved.
 */
export type MatrixChange =
  | {
      readonly kind: 'permission_declared';
      readonly permission: DeclaredPermission;
      readonly layer: string;
      readonly revives: boolean;
    }
  | {
      readonly kind: 'permission_described';
      readonly slug: PermissionSlug;
      readonly before: string;
      readonly after: string;
    }
  | {
      readonly kind: 'role_declared';
      readonly role: RoleIdentity;
      readonly layer: string;
      readonly revives: boolean;
    }
  | {
      readonly kind: 'role_described';
      readonly key: RoleKey;
      readonly before: RoleIdentity;
      readonly after: RoleIdentity;
    }
  | ({ readonly kind: 'include_removed' | 'include_added' } & IncludeRow)
  | ({ readonly kind: 'edge_removed' | 'edge_added' } & EdgeRow)
  | { readonly kind: 'role_undeclared'; readonly key: RoleKey }
  | { readonly kind: 'permission_retired'; readonly slug: PermissionSlug };

/**
 * What has to change so that the database says what the layers say; nothing if it does already. The order is fixed and
 * can be applied as it stands: things exist before they are referred to, includes are removed before others are added
 * (so no cycle exists in between), and nothing is let go of while a layer still refers to it.
 *
 * Throws `slug_collision` if a declared permission has the slug of another one, retired ones included (requirement
 * 2.10). Cycles with includes made through the API are not seen here.
 */
export function diffMatrix(layers: readonly MatrixLayer[], live: LiveMatrix): readonly MatrixChange[] {
  const declared = mergeLayers(layers);
  return [
    ...declarePermissions(declared, live),
    ...declareRoles(declared, live),
    ...absent(live.includes, declared.includes).map((row) => includeChange('include_removed', row)),
    ...absent(declared.includes, live.includes).map((row) => includeChange('include_added', row)),
    ...absent(live.edges, declared.edges).map((row) => edgeChange('edge_removed', row)),
    ...absent(declared.edges, live.edges).map((row) => edgeChange('edge_added', row)),
    ...undeclareRoles(declared, live),
    ...retirePermissions(declared, live),
  ];
}

function declarePermissions(declared: MergedMatrix, live: LiveMatrix): MatrixChange[] {
  const existing = new Map(live.permissions.map((permission) => [permission.slug, permission]));
  return sortedBy([...declared.permissions.values()], ({ permission }) => permission.slug).flatMap(
    ({ permission, layer }): MatrixChange[] => {
      const { slug, description } = permission;
      const row = existing.get(slug);
      if (row) refuseCollision(permission, row, slug);
      if (row === undefined || row.retired || row.declaredIn !== layer)
        return [{ kind: 'permission_declared', permission, layer, revives: row !== undefined }];
      if (row.description === description) return [];
      return [{ kind: 'permission_described', slug, before: row.description, after: description }];
    },
  );
}

function declareRoles(declared: MergedMatrix, live: LiveMatrix): MatrixChange[] {
  const existing = new Map(live.roles.map((role) => [role.key, role]));
  return sortedBy([...declared.roles.values()], ({ role }) => role.key).flatMap(
    ({ role, layer }): MatrixChange[] => {
      const row = existing.get(role.key);
      if (row === undefined || row.declaredIn !== layer)
        return [{ kind: 'role_declared', role, layer, revives: row !== undefined }];
      if (sameRole(row, role)) return [];
      return [{ kind: 'role_described', key: role.key, before: identityOf(row), after: role }];
    },
  );
}

function sameRole(a: RoleIdentity, b: RoleIdentity): boolean {
  return a.name === b.name && a.description === b.description && a.isSystem === b.isSystem;
}

/** Only what a change tells: a row of the database may carry more. */
function identityOf({ key, name, description, isSystem }: RoleIdentity): RoleIdentity {
  return { key, name, description, isSystem };
}

function includeChange(
  kind: 'include_added' | 'include_removed',
  { role, included, origin }: IncludeRow,
): MatrixChange {
  return { kind, role, included, origin };
}

function edgeChange(
  kind: 'edge_added' | 'edge_removed',
  { role, permission, origin }: EdgeRow,
): MatrixChange {
  return { kind, role, permission, origin };
}

function undeclareRoles(declared: MergedMatrix, live: LiveMatrix): MatrixChange[] {
  const orphans = live.roles.filter(({ key, declaredIn }) => declaredIn !== null && !declared.roles.has(key));
  return sortedBy(orphans, ({ key }) => key).map(({ key }) => ({ kind: 'role_undeclared', key }));
}

function retirePermissions(declared: MergedMatrix, live: LiveMatrix): MatrixChange[] {
  const orphans = live.permissions.filter(
    ({ slug, declaredIn, retired }) => declaredIn !== null && !retired && !declared.permissions.has(slug),
  );
  return sortedBy(orphans, ({ slug }) => slug).map(({ slug }) => ({ kind: 'permission_retired', slug }));
}

/** The rows of one list that another lacks, in a fixed order. */
function absent<Row extends IncludeRow | EdgeRow>(rows: readonly Row[], others: readonly Row[]): Row[] {
  const present = new Set(others.map(textOf));
  return sortedBy(
    rows.filter((row) => !present.has(textOf(row))),
    textOf,
  );
}

/** Tells rows of one kind apart: neither role keys nor slugs nor the ids of layers contain a space. */
function textOf(row: IncludeRow | EdgeRow): string {
  return `${row.role} ${'included' in row ? row.included : row.permission} ${row.origin}`;
}

function sortedBy<Row>(rows: readonly Row[], textOf: (row: Row) => string): Row[] {
  return rows.toSorted((a, b) => (textOf(a) < textOf(b) ? -1 : 1));
}
