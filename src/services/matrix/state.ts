import type { PermissionSlug, RoleKey } from '../../domain/ids.ts';
import type { LivePermission, LiveRole } from '../../domain/matrix/changes.ts';
import { cellText, type EdgeRow, type IncludeRow } from '../../domain/matrix/layers.ts';
import { stands } from '../../domain/origins.ts';
import type { StoredMatrix } from '../../storage/matrix.ts';

/** Who gives and who withholds an edge or include, and whether it counts; origins sorted. */
export interface Standing {
  readonly given: boolean;
  readonly origins: readonly string[];
  readonly withheldBy: readonly string[];
}

/** Roles and permissions as they are, sorted; retired permissions are left out. */
export interface MatrixState {
  readonly permissions: readonly LivePermission[];
  readonly roles: readonly (LiveRole & {
    readonly permissions: readonly (Standing & { readonly permission: PermissionSlug })[];
    readonly includes: readonly (Standing & { readonly role: RoleKey })[];
  })[];
  /** As last applied, in their order. */
  readonly layers: readonly { readonly id: string; readonly contentHash: string }[];
  readonly catalogueRevision: string;
  readonly revision: string;
}

/** What of a stored matrix people read. */
export function stateOf({ live, applied, catalogueRevision, revision }: StoredMatrix): MatrixState {
  const edges = standings(live.edges, ({ permission }) => ({ permission }));
  const includes = standings(live.includes, ({ included }) => ({ role: included }));
  return {
    permissions: live.permissions
      .filter(({ retired }) => !retired)
      .sort((a, b) => (a.slug < b.slug ? -1 : 1)),
    roles: live.roles
      .map((role) => ({
        ...role,
        permissions: edges.get(role.key) ?? [],
        includes: includes.get(role.key) ?? [],
      }))
      .sort((a, b) => (a.key < b.key ? -1 : 1)),
    layers: applied.map(({ id, contentHash }) => ({ id, contentHash })),
    catalogueRevision,
    revision,
  };
}

function standings<Row extends EdgeRow | IncludeRow, Target>(
  rows: readonly Row[],
  targetOf: (row: Row) => Target,
): ReadonlyMap<RoleKey, readonly (Standing & Target)[]> {
  const cells = new Map<string, Row[]>();
  for (const row of rows) {
    const cell = cells.get(cellText(row)) ?? [];
    cells.set(cellText(row), cell);
    cell.push(row);
  }
  const byRole = new Map<RoleKey, (Standing & Target)[]>();
  for (const [, cell] of [...cells].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [first] = cell as [Row];
    const of = (withheld: boolean) =>
      cell
        .filter((row) => row.withheld === withheld)
        .map(({ origin }) => origin)
        .sort();
    const standing = { given: stands(cell), origins: of(false), withheldBy: of(true) };
    const known = byRole.get(first.role) ?? [];
    byRole.set(first.role, known);
    known.push({ ...targetOf(first), ...standing });
  }
  return byRole;
}
