import { createHash } from 'node:crypto';
import { RolecallError } from '../domain/errors.ts';
import type { PermissionSlug, RoleKey } from '../domain/ids.ts';
import type { JournalKind } from '../domain/journal-entries.ts';
import { wayOver } from '../domain/roles.ts';
import { everywhere } from '../domain/scopes.ts';
import type { ReadHandle } from '../storage/database.ts';
import { findPermissions } from '../storage/permissions.ts';
import {
  allIncludes,
  deleteRoleInclude,
  deleteRolePermission,
  type OriginRow,
  permissionRowsOf,
  putRoleInclude,
  putRolePermission,
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
const api = 'api';

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
        await settleEdge(handle, role, { slug, pk }, true);
      }),

    withhold: (call, roleKey, slug) =>
      changePermissions(call, roleKey, async (handle, role) => {
        const { pk } = await requirePermission(handle, slug);
        await guardChange(handle, call, manage, everywhere, [{ permission: slug, ...forGood }]);
        await settleEdge(handle, role, { slug, pk }, false);
      }),

    replace: (call, roleKey, slugs, version) =>
      changePermissions(call, roleKey, async (handle, role) => {
        const current = await edgesOf(handle, role);
        if (current.version !== version)
          throw new RolecallError(
            'precondition_failed',
            'the permissions of this role have changed meanwhile',
          );
        const given = current.permissions.filter((edge) => edge.given).map((edge) => edge.permission);
        const wanted = new Set(slugs);
        for (const slug of wanted) await requirePermission(handle, slug);
        const changing = [
          ...given.filter((slug) => !wanted.has(slug)),
          ...[...wanted].filter((slug) => !given.includes(slug)),
        ];
        await guardChange(
          handle,
          call,
          manage,
          everywhere,
          changing.map((permission) => ({ permission, ...forGood })),
        );
        for (const { slug, pk } of await findPermissions(handle, changing))
          await settleEdge(handle, role, { slug, pk }, wanted.has(slug));
      }),

    include: (call, roleKey, other) =>
      changePermissions(call, roleKey, async (handle, role) => {
        const included = await requireRole(handle, other);
        await guardChange(handle, call, manage, everywhere, [{ role: other, ...forGood }]);
        await refuseCycle(handle, roleKey, other);
        const rows = (await allIncludes(handle)).filter(joins(role, included));
        const put = (row: OriginRow) =>
          putRoleInclude(handle, { rolePk: role.pk, includedPk: included.pk, ...row });
        await settle(rows, true, put, recordOf(handle, 'include', role, { included: other }));
      }),

    exclude: (call, roleKey, other) =>
      changePermissions(call, roleKey, async (handle, role) => {
        const included = await requireRole(handle, other);
        await guardChange(handle, call, manage, everywhere, [{ role: other, ...forGood }]);
        const rows = (await allIncludes(handle)).filter(joins(role, included));
        const edge = { rolePk: role.pk, includedPk: included.pk };
        await settle(
          rows,
          false,
          (row) =>
            row.withheld
              ? putRoleInclude(handle, { ...edge, ...row })
              : deleteRoleInclude(handle, { ...edge, ...row }),
          recordOf(handle, 'include', role, { included: other }),
        );
      }),
  };
}

async function settleEdge(
  handle: WriteHandle,
  role: RoleRow,
  { slug, pk }: { readonly slug: PermissionSlug; readonly pk: number },
  give: boolean,
): Promise<void> {
  const edge = { rolePk: role.pk, permissionPk: pk };
  const rows = (await permissionRowsOf(handle, role.pk)).filter((row) => row.permissionPk === pk);
  await settle(
    rows,
    give,
    (row) =>
      give || row.withheld
        ? putRolePermission(handle, { ...edge, ...row })
        : deleteRolePermission(handle, { ...edge, ...row }),
    recordOf(handle, 'edge', role, { permission: slug }, pk),
  );
}

/**
 * Brings the API's own row of an edge or include to what it must be. Giving: the row gives, unless a layer withholds,
 * which is refused. Withholding: the row is a tombstone while another origin gives, and otherwise is no more.
 */
async function settle(
  rows: readonly OriginRow[],
  give: boolean,
  apply: (row: OriginRow) => Promise<void>,
  record: (given: boolean, row: OriginRow) => void,
): Promise<void> {
  const own = rows.find((row) => row.origin === api);
  const others = rows.filter((row) => row.origin !== api);
  const layer = others.find((row) => row.withheld);
  if (give && layer)
    throw new RolecallError('withheld_by_layer', `the matrix layer "${layer.origin}" withholds this`);
  const row = { origin: api, withheld: !give && others.some((other) => !other.withheld) };
  const settled = give || row.withheld ? own?.withheld === row.withheld : own === undefined;
  if (settled) return;
  await apply(row);
  record(give, row);
}

function recordOf(
  handle: WriteHandle,
  noun: 'edge' | 'include',
  role: RoleRow,
  target: Record<string, string>,
  permissionPk?: number,
) {
  return (given: boolean, { origin, withheld }: OriginRow) => {
    const kind: JournalKind = `${noun}_${given ? 'set' : 'removed'}`;
    const what = { role: role.key, ...target, origin, withheld };
    handle.record({
      kind,
      rolePk: role.pk,
      ...(permissionPk === undefined ? {} : { permissionPk }),
      ...(given ? { after: what } : { before: what }),
    });
  };
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

function joins(role: RoleRow, included: RoleRow) {
  return (row: { rolePk: number; includedPk: number }) =>
    row.rolePk === role.pk && row.includedPk === included.pk;
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
  return {
    role: role.key,
    permissions,
    includes: [...new Set(includes.map((row) => row.included))].filter((key) => !withheld.has(key)),
    version: createHash('sha256').update(JSON.stringify(permissions)).digest('base64url').slice(0, 22),
  };
}

function edgeOf(permission: PermissionSlug, rows: readonly RolePermissionRow[]): RoleEdge {
  const origins = rows.filter((row) => !row.withheld).map((row) => row.origin);
  const withheldBy = rows.filter((row) => row.withheld).map((row) => row.origin);
  return { permission, given: origins.length > 0 && withheldBy.length === 0, origins, withheldBy };
}
