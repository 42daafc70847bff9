import { RolecallError } from '../errors.ts';
import { wayRound } from '../roles.ts';
import { type CellDeviation, compareCells } from './cells.ts';
import type { Deviation, LiveMatrix, MatrixChange, Preference } from './changes.ts';
import type { MatrixLayer } from './document.ts';
import { type EdgeRow, type IncludeRow, type MergedMatrix, mergeLayers, rowText } from './layers.ts';
import { declarePermissions, declareRoles, undeclareRoles } from './names.ts';

/** What is compared: what the layers say, what they said when last applied, and what is. */
export interface Versions {
  readonly declared: readonly MatrixLayer[];
  readonly applied: readonly MatrixLayer[];
  readonly live: LiveMatrix;
}

/** How the three versions differ. */
export interface Difference {
  /**
   * What has to change so that the database says what the layers say; nothing if it does already. The order is fixed and
   * can be applied as it stands: things exist before they are referred to, rows are removed before others are added (so
   * no cycle exists in between), and nothing is let go of while something still refers to it.
   */
  readonly changes: readonly MatrixChange[];
  /** What somebody changed past the matrix, and what stays as they left it. */
  readonly kept: readonly Deviation[];
  /** What both the matrix and somebody changed, and which `accept` settles; without it nothing changes there. */
  readonly conflicts: readonly Deviation[];
}

/**
 * Throws `slug_collision` if a declared permission has the slug of another one, retired ones included, and
 * `include_cycle` with the way round if roles would include themselves, tombstones not counted: lifting one must
 * not close a cycle that nobody saw.
 */
export function diffMatrix({ declared, applied, live }: Versions, accept?: Preference): Difference {
  const now = mergeLayers(declared);
  const before = mergeLayers(applied);
  const roles = declareRoles(now, before, live, accept);
  const includes = compareCells(
    { declared: now.includes, applied: before.includes, live: live.includes },
    (row) => isSystem(now, row),
    accept,
  );
  const gone = retiring(now, live);
  const edges = compareCells(
    { declared: now.edges, applied: before.edges, live: live.edges },
    (row) => isSystem(now, row) || gone.has(row.permission),
    accept,
  );
  refuseCycle(live.includes, includes);
  const undeclared = undeclareRoles(now, live);
  const retired = live.permissions.filter(({ slug, retired }) => !retired && gone.has(slug));
  return {
    changes: [
      ...declarePermissions(now, live),
      ...roles.changes,
      ...includes.removed.map((row) => includeChange('include_removed', row)),
      ...includes.added.map((row) => includeChange('include_added', row)),
      ...edges.removed.map((row) => edgeChange('edge_removed', row)),
      ...edges.added.map((row) => edgeChange('edge_added', row)),
      ...undeclared,
      ...retired
        .map(({ slug }) => slug)
        .sort()
        .map((slug): MatrixChange => ({ kind: 'permission_retired', slug })),
    ],
    kept: [
      ...besides(now, live, new Set(undeclared.map(({ key }) => key))),
      ...roles.kept,
      ...includes.kept.map(includeDeviation),
      ...edges.kept.map(edgeDeviation),
    ],
    conflicts: [
      ...roles.conflicts,
      ...includes.conflicts.map(includeDeviation),
      ...edges.conflicts.map(edgeDeviation),
    ],
  };
}

/** A system role is what the matrix says: rows of the API on it could not be taken away by anybody afterwards. */
function isSystem({ roles }: MergedMatrix, { role }: IncludeRow | EdgeRow): boolean {
  return roles.get(role)?.role.isSystem === true;
}

/** Permissions that are retired, or will be because no layer declares them any more. */
function retiring({ permissions }: MergedMatrix, live: LiveMatrix): ReadonlySet<string> {
  const gone = live.permissions.filter(
    ({ slug, declaredIn, retired }) => !permissions.has(slug) && (retired || declaredIn !== null),
  );
  return new Set(gone.map(({ slug }) => slug));
}

function refuseCycle(
  live: readonly IncludeRow[],
  { removed, added }: { removed: readonly IncludeRow[]; added: readonly IncludeRow[] },
): void {
  const staying = live.filter((row) => !removed.includes(row));
  const giving = [...staying, ...added].filter((row) => !row.withheld);
  const way = wayRound(giving.sort((a, b) => (rowText(a) < rowText(b) ? -1 : 1)));
  if (way) throw new RolecallError('include_cycle', `roles would include themselves: ${way.join(' -> ')}`);
}

/** Only what a change tells: a row of the database may carry more. */
function includeChange(
  kind: 'include_added' | 'include_removed',
  { role, included, origin, withheld }: IncludeRow,
): MatrixChange {
  return { kind, role, included, origin, withheld };
}

function edgeChange(
  kind: 'edge_added' | 'edge_removed',
  { role, permission, origin, withheld }: EdgeRow,
): MatrixChange {
  return { kind, role, permission, origin, withheld };
}

function includeDeviation({ row, live, layers }: CellDeviation<IncludeRow>): Deviation {
  return { kind: 'include', role: row.role, included: row.included, live, layers };
}

function edgeDeviation({ row, live, layers }: CellDeviation<EdgeRow>): Deviation {
  return { kind: 'edge', role: row.role, permission: row.permission, live, layers };
}

/** Roles and permissions that stand beside the matrix, those left to their holders by this very change not counted. */
function besides(declared: MergedMatrix, live: LiveMatrix, undeclared: ReadonlySet<string>): Deviation[] {
  const permissions = live.permissions.filter(
    ({ slug, declaredIn, retired }) => !retired && declaredIn === null && !declared.permissions.has(slug),
  );
  const roles = live.roles.filter(({ key }) => !declared.roles.has(key) && !undeclared.has(key));
  return [
    ...permissions
      .toSorted((a, b) => (a.slug < b.slug ? -1 : 1))
      .map(({ resource, action, slug, description }): Deviation => {
        const permission = { resource, action, slug, description };
        return { kind: 'undeclared_permission', permission };
      }),
    ...roles
      .toSorted((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ key, name, description }): Deviation => {
        return { kind: 'undeclared_role', role: key, live: { name, description } };
      }),
  ];
}
