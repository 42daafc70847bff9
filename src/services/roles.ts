import { RolecallError } from '../domain/errors.ts';
import type { RoleKey } from '../domain/ids.ts';
import { everywhere } from '../domain/scopes.ts';
import { endGrants } from '../storage/grants.ts';
import type { Cursors, Page, PageRequest } from '../storage/pagination.ts';
import {
  allIncludes,
  deleteRoleInclude,
  deleteRolePermissions,
  permissionRowsOf,
} from '../storage/role-edges.ts';
import { deleteRole, insertRole, listRoles, type RoleRow, updateRole } from '../storage/roles.ts';
import { readSettings } from '../storage/settings.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { type Call, writeContextOf } from './call.ts';
import { recordRemoval } from './grant-record.ts';
import { forGood, guardChange } from './guard.ts';
import { requireRole } from './lookups.ts';
import { endMappingsTo } from './mappings.ts';

export type { RoleRow };

export interface RoleNames {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
}

export interface Roles {
  list(call: Call, page: PageRequest): Promise<Page<RoleRow>>;
  get(call: Call, key: RoleKey): Promise<RoleRow>;
  /** Makes a role that gives nothing yet. Throws `role_exists`. */
  create(
    call: Call,
    role: { readonly key: RoleKey; readonly name: string; readonly description: string },
  ): Promise<Written<RoleRow>>;
  /** Throws `managed_by_matrix` for a system role. The next apply gives a declared role the names of the file again. */
  update(call: Call, key: RoleKey, change: RoleNames): Promise<Written<RoleRow>>;
  /**
   * Deletes a role that the matrix does not declare, with its edges and includes, and ends its grants, each with its
   * own entry. A dry run tells how many. Throws `managed_by_matrix`, or `role_in_use` if every new user gets it.
   */
  remove(
    call: Call,
    key: RoleKey,
  ): Promise<Written<{ readonly role: RoleKey; readonly grantsRemoved: number }>>;
}

export function openRoles(transactions: Transactions, cursors: Cursors): Roles {
  return {
    list: (call, page) =>
      transactions.read(call.deadline, async (handle) => {
        const rows = await listRoles(handle, cursors.positionOf('roles', page), page.limit);
        return cursors.pageOf('roles', page, rows, (row) => row.key);
      }),

    get: (call, key) => transactions.read(call.deadline, (handle) => requireRole(handle, key)),

    create: (call, role) =>
      transactions.write(writeContextOf(call), async (handle) => {
        await guardChange(handle, call, 'rolecall_manage_roles', everywhere);
        const row = await insertRole(handle, role);
        handle.record({ kind: 'role_created', rolePk: row.pk, after: namesOf(row) });
        return row;
      }),

    update: (call, key, change) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const role = await requireRole(handle, key);
        refuseSystemRole(role);
        await guardChange(handle, call, 'rolecall_manage_roles', everywhere);
        const { name = role.name, description = role.description } = change;
        if (name === role.name && description === role.description) return role;
        const updated = await updateRole(handle, role.pk, { name, description });
        handle.record({
          kind: 'role_updated',
          rolePk: role.pk,
          before: namesOf(role),
          after: namesOf(updated),
        });
        return updated;
      }),

    remove: (call, key) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const role = await requireRole(handle, key);
        if (role.declaredIn !== null)
          throw new RolecallError(
            'managed_by_matrix',
            `the role "${key}" is declared by the matrix layer "${role.declaredIn}": remove it there`,
          );
        await guardChange(handle, call, 'rolecall_manage_roles', everywhere, [{ role: key, ...forGood }]);
        await refuseDefaultRole(handle, key);
        const grantsRemoved = await endGrantsOf(handle, role);
        await endMappingsTo(handle, role.pk);
        await removeEdgesOf(handle, role);
        await deleteRole(handle, role.pk);
        handle.record({ kind: 'role_deleted', rolePk: role.pk, before: namesOf(role) });
        return { role: key, grantsRemoved };
      }),
  };
}

/** Throws `managed_by_matrix`: system roles change only through the matrix. */
export function refuseSystemRole(role: RoleRow): void {
  if (role.isSystem)
    throw new RolecallError('managed_by_matrix', `"${role.key}" is a system role: change the matrix instead`);
}

async function refuseDefaultRole(handle: WriteHandle, key: RoleKey): Promise<void> {
  if ((await readSettings(handle)).default_role === key)
    throw new RolecallError(
      'role_in_use',
      `the setting default_role gives "${key}" to every new user: change it first`,
    );
}

async function endGrantsOf(handle: WriteHandle, role: RoleRow): Promise<number> {
  const grants = await endGrants(handle, { rolePk: role.pk });
  for (const grant of grants) recordRemoval(handle, grant.userPk, grant);
  return grants.length;
}

async function removeEdgesOf(handle: WriteHandle, role: RoleRow): Promise<void> {
  const edges = await permissionRowsOf(handle, role.pk);
  for (const origin of new Set(edges.map((edge) => edge.origin))) {
    const gone = edges.filter((edge) => edge.origin === origin);
    await deleteRolePermissions(
      handle,
      role.pk,
      gone.map(({ permissionPk }) => permissionPk),
      origin,
    );
  }
  for (const { permission, permissionPk, origin, withheld } of edges)
    handle.record({
      kind: 'edge_removed',
      rolePk: role.pk,
      permissionPk,
      before: { role: role.key, permission, origin, withheld },
    });
  const includes = await allIncludes(handle);
  for (const row of includes.filter(
    ({ rolePk, includedPk }) => rolePk === role.pk || includedPk === role.pk,
  )) {
    await deleteRoleInclude(handle, row);
    const { included, origin, withheld } = row;
    handle.record({
      kind: 'include_removed',
      rolePk: row.rolePk,
      before: { role: row.role, included, origin, withheld },
    });
  }
}

function namesOf({ key, name, description }: RoleRow) {
  return { role: key, name, description };
}
