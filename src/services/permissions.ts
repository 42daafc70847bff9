import { refuseTooMany } from '../domain/batch-limits.ts';
import { RolecallError } from '../domain/errors.ts';
import type { PermissionSlug } from '../domain/ids.ts';
import { type Registration, resolveRegistrations, slugOfWanted } from '../domain/registrations.ts';
import { everywhere } from '../domain/scopes.ts';
import { endExceptions } from '../storage/exceptions.ts';
import type { Cursors, Page, PageRequest } from '../storage/pagination.ts';
import {
  findPermission,
  findPermissions,
  listPermissions,
  type PermissionRow,
  type RegisteredPermission,
  registerPermissions,
  updatePermission,
} from '../storage/permissions.ts';
import { deleteEdgesOfPermission } from '../storage/role-edges.ts';
import { readSettings } from '../storage/settings.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { type Call, writeContextOf } from './call.ts';
import { recordExceptionRemoval } from './exceptions.ts';
import { forGood, guardChange } from './guard.ts';
import { requirePermission } from './lookups.ts';

export type { PermissionRow, RegisteredPermission, Registration };

export interface Permissions {
  list(
    call: Call,
    filter: { readonly resource?: string | undefined; readonly retired: boolean },
    page: PageRequest,
  ): Promise<Page<PermissionRow>>;
  get(call: Call, slug: PermissionSlug): Promise<PermissionRow>;
  /**
   * Registers permissions as a union: what exists stays, what is new is added, what was retired is revived without
   * edges. All or nothing, whatever the order and whoever does the same beside us. Throws `slug_collision` naming both, or
   * `invalid_input`, each with the place of every row that is at fault; the latter too for more than
   * `permission_batch_limit`.
   */
  register(call: Call, wanted: readonly Registration[]): Promise<Written<readonly RegisteredPermission[]>>;
  describe(call: Call, slug: PermissionSlug, description: string): Promise<Written<PermissionRow>>;
  /** Retires: edges and exceptions are closed, the slug stays reserved. Throws `managed_by_matrix` if it is declared. */
  retire(call: Call, slug: PermissionSlug): Promise<Written<PermissionRow>>;
}

const manage = 'rolecall_manage_permissions' as const;

export function openPermissions(transactions: Transactions, cursors: Cursors): Permissions {
  return {
    list: (call, filter, page) =>
      transactions.read(call.deadline, async (handle) => {
        const list = `permissions ${JSON.stringify([filter.resource, filter.retired])}`;
        const rows = await listPermissions(handle, filter, cursors.positionOf(list, page), page.limit);
        return cursors.pageOf(list, page, rows, (row) => row.slug);
      }),

    get: (call, slug) => transactions.read(call.deadline, (handle) => requireKnown(handle, slug)),

    register: (call, wanted) =>
      transactions.write(writeContextOf(call), async (handle) => {
        await guardChange(handle, call, manage, everywhere);
        refuseTooMany(wanted.length, 'permission_batch_limit', await readSettings(handle));
        const standing = await findPermissions(handle, wanted.map(slugOfWanted));
        const registered = await registerPermissions(handle, resolveRegistrations(wanted, standing));
        for (const row of registered) if (row.created) recordRegistration(handle, row);
        return registered;
      }),

    describe: (call, slug, description) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const permission = await requirePermission(handle, slug);
        refuseDeclared(permission);
        await guardChange(handle, call, manage, everywhere);
        if (permission.description === description) return permission;
        handle.record({
          kind: 'permission_updated',
          permissionPk: permission.pk,
          before: { permission: slug, description: permission.description },
          after: { permission: slug, description },
        });
        return updatePermission(handle, permission.pk, { description });
      }),

    retire: (call, slug) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const permission = await requireKnown(handle, slug);
        if (permission.retiredAt !== null) return permission;
        refuseDeclared(permission);
        await guardChange(handle, call, manage, everywhere, [{ permission: slug, ...forGood }]);
        return retirePermission(handle, permission);
      }),
  };
}

/** Retires a permission and closes what refers to it, each with its entry; the guard is the caller's business. */
export async function retirePermission(
  handle: WriteHandle,
  permission: PermissionRow,
): Promise<PermissionRow> {
  const { pk, slug } = permission;
  for (const edge of await deleteEdgesOfPermission(handle, pk))
    handle.record({
      kind: 'edge_removed',
      rolePk: edge.rolePk,
      permissionPk: pk,
      before: { role: edge.role, permission: slug, origin: edge.origin, withheld: edge.withheld },
    });
  for (const exception of await endExceptions(handle, { permissionPk: pk }))
    recordExceptionRemoval(handle, exception.userPk, exception);
  handle.record({ kind: 'permission_retired', permissionPk: pk, before: { permission: slug } });
  return updatePermission(handle, pk, { retired: true, declaredIn: null });
}

function recordRegistration(
  handle: WriteHandle,
  { pk, slug, description, revived }: RegisteredPermission,
): void {
  handle.record({
    kind: 'permission_registered',
    permissionPk: pk,
    before: revived ? { permission: slug, retired: true } : null,
    after: { permission: slug, description },
  });
}

async function requireKnown(
  handle: Parameters<typeof findPermission>[0],
  slug: PermissionSlug,
): Promise<PermissionRow> {
  return (await findPermission(handle, slug)) ?? requirePermission(handle, slug);
}

function refuseDeclared({ slug, declaredIn }: PermissionRow): void {
  if (declaredIn !== null)
    throw new RolecallError('managed_by_matrix', `${slug} is declared by the matrix layer "${declaredIn}"`);
}
