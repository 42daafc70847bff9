import { createHash } from 'node:crypto';
import { RolecallError } from '../domain/errors.ts';
import type { PermissionSlug, RoleKey } from '../domain/ids.ts';
import { type ApiRowChange, apiOrigin, changeByApi, type OriginRow } from '../domain/origins.ts';
import { wayOver } from '../domain/roles.ts';
import { everywhere } from '../domain/scopes.ts';
import type { ReadHandle } from '../storage/database.ts';
import { findPermissions } from '../storage/permissions.ts';
import {
  allIncludes,
  deleteRoleInclude,
  deleteRolePermissions,
  permissionRowsOf,
  putRoleInclude,
  putRolePermissions,
  type RolePermissionRow,
} from '../storage/role-edges.ts';
import type { RoleRow } from '../storage/roles.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { type Call, writeContextOf } from './call.ts';
import { forGood, guardChange } from './guard.ts';
import { requirePermission, requireRole } from './lookups.ts';
import { refuseSystemRole } from './roles.ts';

/** One permission of a role, with every origin that gives it and every one that withholds it. */
export interface RoleEdge {
  readonly permission: PermissionSlug;
  /** At least one origin gives it and no tombstone withholds it. */
  readonly given: boolean;
  readonly origins: readonly string[];
  readonly withheldBy: readonly string[];
}

/** A role's own edges and includes, not what it inherits; `version` changes whenever the edges do. */
export interface RoleEdges {
  readonly role: RoleKey;
  readonly permissions: readonly RoleEdge[];
  readonly includes: readonly RoleKey[];
  readonly version: string;
}

export interface RoleEdgeService {
  get(call: Call, role: RoleKey): Promise<RoleEdges>;
  /** Gives the edge the origin `api` and lifts a tombstone of the API's. Throws `withheld_by_layer`, `managed_by_matrix`. */
  give(call: Call, role: RoleKey, permission: PermissionSlug): Promise<Written<RoleEdges>>;
  /** Takes the origin `api` away and, if the matrix still gives the edge, leaves a tombstone. */
  withhold(call: Call, role: RoleKey, permission: PermissionSlug): Promise<Written<RoleEdges>>;
  /** Makes the permissions exactly these. Throws `precondition_failed` if they are not of this version any more. */
  replace(
    call: Call,
    role: RoleKey,
    permissions: readonly PermissionSlug[],
    version: string,
  ): Promise<Written<RoleEdges>>;
  /** Throws `include_cycle` naming the way round. */
  include(call: Call, role: RoleKey, other: RoleKey): Promise<Written<RoleEdges>>;
  exclude(call: Call, role: RoleKey, other: RoleKey): Promise<Written<RoleEdges>>;
}

const manage = 'rolecall_manage_roles' as const;

export function openRoleEdges(transactions: Transactions): RoleEdgeService {
  function changePermissions(
    call: Call,
    roleKey: RoleKey,
    work: (handle: WriteHandle, role: RoleRow) => Promise<void>,
  ): Promise<Written<RoleEdges>> {
    return transactions.write(writeContextOf(call), async (handle) => {
      const role = await requireRole(handle, roleKey);
      refuseSystemRole(role);
      await work(handle, role);
      return edgesOf(handle, role);
    });
  }

  return {
    get: (call, roleKey) =>
      transactions.read(call.deadline, async (handle) => edgesOf(handle, await requireRole(handle, roleKey))),

    give: (call, roleKey, slug) =>
      changePermissions(call, roleKey, async (handle, role) => {
        const { pk } = await requirePermission(handle, slug);
        await guardChange(handle, call, manage, everywhere, [{ permission: slug, ...forGood }]);
        await changeEdges(handle, role, [{ slug, pk, give: true }]);
      }),

    withhold: (call, roleKey, slug) =>
      changePermissions(call, roleKey, async (handle, role) => {
        const { pk } = await requirePermission(handle, slug);
        await guardChange(handle, call, manage, everywhere, [{ permission: slug, ...forGood }]);
        await changeEdges(handle, role, [{ slug, pk, give: false }]);
      }),

    replace: (call, roleKey, slugs, version) =>
      changePermissions(call, roleKey, async (handle, role) => {
        const current = await edgesOf(handle, role);
        if (current.version !== version)
          throw new RolecallError(
            'precondition_failed',
            'the permissions of this role have changed meanwhile',
          );
        const given = new Set(
          current.permissions.filter((edge) => edge.given).map((edge) => edge.permission),
        );
        const wanted = new Map((await findPermissions(handle, slugs)).map((row) => [row.slug, row]));
        for (const slug of slugs)
          if (wanted.get(slug)?.retiredAt !== null) await requirePermission(handle, slug);
        const changing = await findPermissions(handle, [
          ...[...given].filter((slug) => !wanted.has(slug)),
          ...[...wanted.keys()].filter((slug) => !given.has(slug)),
        ]);
        const reach = changing.map(({ slug }) => ({ permission: slug, ...forGood }));
        await guardChange(handle, call, manage, everywhere, reach);
        await changeEdges(
          handle,
          role,
          changing.map(({ slug, pk }) => ({ slug, pk, give: wanted.has(slug) })),
        );
      }),

    include: (call, roleKey, other) =>
      changePermissions(call, roleKey, async (handle, role) => {
        const included = await requireRole(handle, other);
        await guardChange(handle, call, manage, everywhere, [{ role: other, ...forGood }]);
        await refuseCycle(handle, roleKey, other);
        await changeInclude(handle, role, included, true);
      }),

    exclude: (call, roleKey, other) =>
      changePermissions(call, roleKey, async (handle, role) => {
        const included = await requireRole(handle, other);
        await guardChange(handle, call, manage, everywhere, [{ role: other, ...forGood }]);
        await changeInclude(handle, role, included, false);
      }),
  };
}

interface EdgeChange {
  readonly slug: PermissionSlug;
  readonly pk: number;
  readonly give: boolean;
}

async function changeEdges(
  handle: WriteHandle,
  role: RoleRow,
  changes: readonly EdgeChange[],
): Promise<void> {
  const rows = await permissionRowsOf(handle, role.pk);
  const set: (OriginRow & { permissionPk: number })[] = [];
  const gone: number[] = [];
  for (const { slug, pk, give } of changes) {
    const own = rows.filter((row) => row.permissionPk === pk);
    const change = changeByApi(own, give);
    if (!change) continue;
    if (change.after) set.push({ ...change.after, permissionPk: pk });
    else gone.push(pk);
    record(
      handle,
      'edge',
      { rolePk: role.pk, permissionPk: pk },
      { role: role.key, permission: slug },
      change,
    );
  }
  await putRolePermissions(handle, role.pk, set);
  await deleteRolePermissions(handle, role.pk, gone, apiOrigin);
}

async function changeInclude(
  handle: WriteHandle,
  role: RoleRow,
  included: RoleRow,
  give: boolean,
): Promise<void> {
  const rows = (await allIncludes(handle)).filter(
    (row) => row.rolePk === role.pk && row.includedPk === included.pk,
  );
  const change = changeByApi(rows, give);
  if (!change) return;
  const include = { rolePk: role.pk, includedPk: included.pk };
  if (change.after) await putRoleInclude(handle, { ...include, ...change.after });
  else await deleteRoleInclude(handle, { ...include, origin: apiOrigin });
  record(handle, 'include', { rolePk: role.pk }, { role: role.key, included: included.key }, change);
}

/** A tombstone is a row that is set: `removed` is said only when the API's row is no more. */
function record(
  handle: WriteHandle,
  noun: 'edge' | 'include',
  about: { readonly rolePk: number; readonly permissionPk?: number },
  names: Readonly<Record<string, string>>,
  { before, after }: ApiRowChange,
): void {
  const told = (row: OriginRow | undefined) =>
    row === undefined ? null : { ...names, origin: row.origin, withheld: row.withheld };
  handle.record({
    kind: after ? `${noun}_set` : `${noun}_removed`,
    ...about,
    before: told(before),
    after: told(after),
  });
}

/** Tombstones do not break a way: lifting one must not close a cycle that nobody sees. */
async function refuseCycle(handle: ReadHandle, role: RoleKey, included: RoleKey): Promise<void> {
  const includes = (await allIncludes(handle)).filter((row) => !row.withheld);
  const way = role === included ? [role] : wayOver(includes, included, role);
  if (way)
    throw new RolecallError(
      'include_cycle',
      `roles would include themselves: ${[role, ...way].join(' -> ')}`,
    );
}

async function edgesOf(handle: ReadHandle, role: RoleRow): Promise<RoleEdges> {
  const rows = await permissionRowsOf(handle, role.pk);
  const includes = (await allIncludes(handle)).filter((row) => row.rolePk === role.pk);
  const permissions = [...new Set(rows.map((row) => row.permission))].map((permission) =>
    edgeOf(
      permission,
      rows.filter((row) => row.permission === permission),
    ),
  );
  const withheld = new Set(includes.filter((row) => row.withheld).map((row) => row.included));
  const standingIncludes = [...new Set(includes.map((row) => row.included))].filter(
    (key) => !withheld.has(key),
  );
  return {
    role: role.key,
    permissions,
    includes: standingIncludes,
    version: createHash('sha256')
      .update(JSON.stringify([permissions, standingIncludes]))
      .digest('base64url')
      .slice(0, 22),
  };
}

function edgeOf(permission: PermissionSlug, rows: readonly RolePermissionRow[]): RoleEdge {
  const origins = rows.filter((row) => !row.withheld).map((row) => row.origin);
  const withheldBy = rows.filter((row) => row.withheld).map((row) => row.origin);
  return { permission, given: origins.length > 0 && withheldBy.length === 0, origins, withheldBy };
}
