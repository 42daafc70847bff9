import type {
  LiveMatrix,
  LivePermission,
  LiveRole,
  MatrixChange,
} from '../../../src/domain/matrix/changes.ts';
import { diffMatrix } from '../../../src/domain/matrix/diff.ts';
import type { MatrixLayer } from '../../../src/domain/matrix/document.ts';
import { type EdgeRow, type IncludeRow, rowText } from '../../../src/domain/matrix/layers.ts';

export const nothing: LiveMatrix = { permissions: [], roles: [], includes: [], edges: [] };

/** What has to change where nothing was applied before, so that nothing counts as changed past the matrix. */
export function changesTo(declared: readonly MatrixLayer[], live: LiveMatrix): readonly MatrixChange[] {
  return diffMatrix({ declared, applied: [], live }).changes;
}

/**
 * Plays changes onto a matrix as a database would: it refuses a step that refers to what is not there, makes twice,
 * removes what is missing, closes a cycle or lets go of what a layer still refers to.
 */
export function applyChanges(changes: readonly MatrixChange[], live: LiveMatrix): LiveMatrix {
  return changes.reduce(applyChange, live);
}

function applyChange(live: LiveMatrix, change: MatrixChange): LiveMatrix {
  switch (change.kind) {
    case 'permission_declared': {
      const { permission, layer, revives } = change;
      const row = { ...permission, declaredIn: layer, retired: false };
      const others = live.permissions.filter(({ slug }) => slug !== permission.slug);
      demand(others.length < live.permissions.length === revives, change);
      return { ...live, permissions: [...others, row] };
    }
    case 'permission_described':
      return changePermission(live, change, (row) => {
        demand(row.description === change.before && !row.retired, change);
        return { ...row, description: change.after };
      });
    case 'permission_retired':
      demand(!live.edges.some(({ permission }) => permission === change.slug), change);
      return changePermission(live, change, (row) => {
        demand(!row.retired, change);
        return { ...row, retired: true };
      });
    case 'role_declared': {
      const { role, layer, revives } = change;
      const others = live.roles.filter(({ key }) => key !== role.key);
      demand(others.length < live.roles.length === revives, change);
      const held = live.roles.some((row) => row.key === role.key && row.held);
      return { ...live, roles: [...others, { ...role, declaredIn: layer, held }] };
    }
    case 'role_described':
      return changeRole(live, change, (row) => {
        const { declaredIn, held, ...before } = row;
        demand(JSON.stringify(before) === JSON.stringify(change.before), change);
        return { ...change.after, declaredIn, held };
      });
    case 'role_removed':
    case 'role_undeclared': {
      const own = ({ role, origin }: EdgeRow | IncludeRow) =>
        role === change.key && (origin !== 'api' || change.kind === 'role_removed');
      demand(!live.edges.some(own), change);
      demand(!live.includes.some((row) => own(row) || own({ ...row, role: row.included })), change);
      if (change.kind === 'role_removed') {
        demand(
          live.roles.some(({ key, held }) => key === change.key && !held),
          change,
        );
        return { ...live, roles: live.roles.filter(({ key }) => key !== change.key) };
      }
      return changeRole(live, change, (row) => {
        demand(row.declaredIn !== null, change);
        return { ...row, declaredIn: null, isSystem: false };
      });
    }
    case 'include_added': {
      const { kind: _, ...row } = change;
      demand(!live.includes.some((other) => rowText(other) === rowText(row)), change);
      demand(isRole(live, row.role) && isRole(live, row.included), change);
      demand(row.role !== row.included && !reaches(live, row.included, row.role), change);
      return { ...live, includes: [...live.includes, row] };
    }
    case 'include_removed':
      demand(
        live.includes.some((other) => rowText(other) === rowText(change)),
        change,
      );
      return { ...live, includes: live.includes.filter((other) => rowText(other) !== rowText(change)) };
    case 'edge_added': {
      const { kind: _, ...row } = change;
      demand(!live.edges.some((other) => rowText(other) === rowText(row)), change);
      demand(isRole(live, row.role), change);
      demand(
        live.permissions.some(({ slug, retired }) => slug === row.permission && !retired),
        change,
      );
      return { ...live, edges: [...live.edges, row] };
    }
    case 'edge_removed':
      demand(
        live.edges.some((other) => rowText(other) === rowText(change)),
        change,
      );
      return { ...live, edges: live.edges.filter((other) => rowText(other) !== rowText(change)) };
  }
}

function demand(holds: boolean, change: MatrixChange): void {
  if (!holds) throw new Error(`cannot be applied: ${JSON.stringify(change)}`);
}

function changePermission(
  live: LiveMatrix,
  change: MatrixChange & { slug: string },
  changed: (row: LivePermission) => LivePermission,
): LiveMatrix {
  demand(
    live.permissions.some(({ slug }) => slug === change.slug),
    change,
  );
  return {
    ...live,
    permissions: live.permissions.map((row) => (row.slug === change.slug ? changed(row) : row)),
  };
}

function changeRole(
  live: LiveMatrix,
  change: MatrixChange & { key: string },
  changed: (row: LiveRole) => LiveRole,
): LiveMatrix {
  demand(isRole(live, change.key), change);
  return { ...live, roles: live.roles.map((row) => (row.key === change.key ? changed(row) : row)) };
}

function isRole(live: LiveMatrix, wanted: string): boolean {
  return live.roles.some(({ key }) => key === wanted);
}

function reaches(live: LiveMatrix, from: string, to: string): boolean {
  const found = new Set([from]);
  for (const role of found)
    for (const include of live.includes) if (include.role === role) found.add(include.included);
  return found.has(to);
}
