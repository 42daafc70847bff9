import type { LiveMatrix, LivePermission, LiveRole, MatrixChange } from '../../../src/domain/matrix/diff.ts';
import type { EdgeRow, IncludeRow } from '../../../src/domain/matrix/layers.ts';

export const nothing: LiveMatrix = { permissions: [], roles: [], includes: [], edges: [] };

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
      return { ...live, roles: [...others, { ...role, declaredIn: layer }] };
    }
    case 'role_described':
      return changeRole(live, change, (row) => {
        const { declaredIn, ...before } = row;
        demand(JSON.stringify(before) === JSON.stringify(change.before), change);
        return { ...change.after, declaredIn };
      });
    case 'role_undeclared':
      demand(!live.edges.some(({ role }) => role === change.key), change);
      demand(
        !live.includes.some(({ role, included }) => role === change.key || included === change.key),
        change,
      );
      return changeRole(live, change, (row) => {
        demand(row.declaredIn !== null, change);
        return { ...row, declaredIn: null, isSystem: false };
      });
    case 'include_added': {
      const { kind: _, ...row } = change;
      demand(!live.includes.some((other) => sameInclude(other, row)), change);
      demand(isRole(live, row.role) && isRole(live, row.included), change);
      demand(row.role !== row.included && !reaches(live, row.included, row.role), change);
      return { ...live, includes: [...live.includes, row] };
    }
    case 'include_removed':
      demand(
        live.includes.some((other) => sameInclude(other, change)),
        change,
      );
      return { ...live, includes: live.includes.filter((other) => !sameInclude(other, change)) };
    case 'edge_added': {
      const { kind: _, ...row } = change;
      demand(!live.edges.some((other) => sameEdge(other, row)), change);
      demand(isRole(live, row.role), change);
      demand(
        live.permissions.some(({ slug, retired }) => slug === row.permission && !retired),
        change,
      );
      return { ...live, edges: [...live.edges, row] };
    }
    case 'edge_removed':
      demand(
        live.edges.some((other) => sameEdge(other, change)),
        change,
      );
      return { ...live, edges: live.edges.filter((other) => !sameEdge(other, change)) };
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

function sameInclude(a: IncludeRow, b: IncludeRow): boolean {
  return a.role === b.role && a.included === b.included && a.origin === b.origin;
}

function sameEdge(a: EdgeRow, b: EdgeRow): boolean {
  return a.role === b.role && a.permission === b.permission && a.origin === b.origin;
}
