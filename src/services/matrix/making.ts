import type { PermissionSlug, RoleKey } from '../../domain/ids.ts';
import {
  type EdgeChange,
  type IncludeChange,
  isEdge,
  type MatrixChange,
} from '../../domain/matrix/changes.ts';
import type { RoleIdentity } from '../../domain/matrix/layers.ts';
import { readNames } from '../../storage/matrix.ts';
import {
  findPermission,
  insertPermission,
  type PermissionRow,
  updatePermission,
} from '../../storage/permissions.ts';
import {
  deleteRoleInclude,
  deleteRolePermissions,
  putRoleInclude,
  putRolePermissions,
} from '../../storage/role-edges.ts';
import { deleteRole, findRole, insertRole, type RoleRow, updateRole } from '../../storage/roles.ts';
import type { WriteHandle } from '../../storage/transaction.ts';
import { endMappingsTo } from '../mappings.ts';
import { retirePermission } from '../permissions.ts';

type PermissionChange = Extract<MatrixChange, { kind: `permission_${string}` }>;
type RoleChange = Extract<MatrixChange, { kind: `role_${string}` }>;

/** Makes the changes of a plan in their order, each with its entry in the journal. */
export async function makeChanges(handle: WriteHandle, changes: readonly MatrixChange[]): Promise<void> {
  const isDeclaration = ({ kind }: MatrixChange) => /^(permission|role)_d/.test(kind);
  for (const change of changes.filter(isDeclaration)) await makeName(handle, change);
  const keys = await readNames(handle.sql);
  for (const change of changes) if ('included' in change) await makeInclude(handle, change, keys.roles);
  for (const batch of batchesOf(changes.filter((change) => isEdge(change))))
    await makeEdges(handle, batch, keys);
  for (const change of changes) if (!isDeclaration(change)) await makeName(handle, change);
}

async function makeName(handle: WriteHandle, change: MatrixChange): Promise<void> {
  switch (change.kind) {
    case 'permission_declared':
    case 'permission_described':
    case 'permission_retired':
      return makePermission(handle, change);
    case 'role_declared':
    case 'role_described':
    case 'role_undeclared':
    case 'role_removed':
      return makeRole(handle, change);
    default:
      return undefined;
  }
}

async function makePermission(handle: WriteHandle, change: PermissionChange): Promise<void> {
  if (change.kind === 'permission_declared') {
    const { permission, layer, revives } = change;
    const { slug, description, resource, action } = permission;
    const row = revives
      ? await updatePermission(handle, (await knownPermission(handle, slug)).pk, {
          description,
          declaredIn: layer,
          retired: false,
        })
      : await insertPermission(handle, { resource, action, description, declaredIn: layer });
    handle.record({
      kind: 'permission_registered',
      permissionPk: row.pk,
      after: { permission: slug, description, declaredIn: layer, revived: revives },
    });
    return;
  }
  const row = await knownPermission(handle, change.slug);
  if (change.kind === 'permission_retired') {
    await retirePermission(handle, row);
    return;
  }
  await updatePermission(handle, row.pk, { description: change.after });
  handle.record({
    kind: 'permission_updated',
    permissionPk: row.pk,
    before: { permission: change.slug, description: change.before },
    after: { permission: change.slug, description: change.after },
  });
}

async function makeRole(handle: WriteHandle, change: RoleChange): Promise<void> {
  if (change.kind === 'role_declared') {
    const { key, name, description, isSystem } = change.role;
    const declared = { name, description, isSystem, declaredIn: change.layer };
    const existing = await findRole(handle, key);
    const row = existing
      ? await updateRole(handle, existing.pk, declared)
      : await insertRole(handle, { key, ...declared });
    handle.record({
      kind: existing ? 'role_updated' : 'role_created',
      rolePk: row.pk,
      before: existing ? describe(existing) : null,
      after: describe(row),
    });
    return;
  }
  const role = await knownRole(handle, change.key);
  if (change.kind === 'role_removed') {
    await endMappingsTo(handle, role.pk);
    await deleteRole(handle, role.pk);
    handle.record({ kind: 'role_deleted', rolePk: role.pk, before: describe(role) });
    return;
  }
  const updated = await updateRole(
    handle,
    role.pk,
    'after' in change ? identityOf(change.after) : { declaredIn: null, isSystem: false },
  );
  handle.record({
    kind: 'role_updated',
    rolePk: role.pk,
    before: describe(role),
    after: describe(updated),
  });
}

async function makeInclude(
  handle: WriteHandle,
  { kind, role, included, origin, withheld }: IncludeChange,
  roles: ReadonlyMap<RoleKey, number>,
): Promise<void> {
  const rolePk = roles.get(role) as number;
  const include = { rolePk, includedPk: roles.get(included) as number, origin };
  const what = { role, included, origin, withheld };
  if (kind === 'include_added') {
    await putRoleInclude(handle, { ...include, withheld });
    handle.record({ kind: 'include_set', rolePk, after: what });
  } else {
    await deleteRoleInclude(handle, include);
    handle.record({ kind: 'include_removed', rolePk, before: what });
  }
}

/** Runs of changes that one statement can make: of one kind, one role and one origin. */
function batchesOf(changes: readonly EdgeChange[]): readonly EdgeChange[][] {
  const batches = new Map<string, EdgeChange[]>();
  for (const change of changes) {
    const text = `${change.kind} ${change.role} ${change.origin}`;
    const batch = batches.get(text);
    if (batch) batch.push(change);
    else batches.set(text, [change]);
  }
  return [...batches.values()];
}

async function makeEdges(
  handle: WriteHandle,
  batch: readonly EdgeChange[],
  { roles, permissions }: Awaited<ReturnType<typeof readNames>>,
): Promise<void> {
  const [{ kind, role, origin }] = batch as [EdgeChange];
  const rolePk = roles.get(role) as number;
  const rows = batch.map(({ permission, withheld }) => ({
    permission,
    permissionPk: permissions.get(permission) as number,
    withheld,
  }));
  if (kind === 'edge_added')
    await putRolePermissions(
      handle,
      rolePk,
      rows.map(({ permissionPk, withheld }) => ({ permissionPk, origin, withheld })),
    );
  else
    await deleteRolePermissions(
      handle,
      rolePk,
      rows.map(({ permissionPk }) => permissionPk),
      origin,
    );
  for (const { permission, permissionPk, withheld } of rows) {
    const what = { role, permission, origin, withheld };
    if (kind === 'edge_added') handle.record({ kind: 'edge_set', rolePk, permissionPk, after: what });
    else handle.record({ kind: 'edge_removed', rolePk, permissionPk, before: what });
  }
}

function identityOf({ name, description, isSystem }: RoleIdentity) {
  return { name, description, isSystem };
}

function describe({ key, name, description, isSystem, declaredIn }: RoleRow) {
  return { role: key, name, description, isSystem, declaredIn };
}

async function knownRole(handle: WriteHandle, key: RoleKey): Promise<RoleRow> {
  const role = await findRole(handle, key);
  if (!role) throw new Error(`the plan names the role ${key}, which does not exist`);
  return role;
}

async function knownPermission(handle: WriteHandle, slug: PermissionSlug): Promise<PermissionRow> {
  const permission = await findPermission(handle, slug);
  if (!permission) throw new Error(`the plan names the permission ${slug}, which does not exist`);
  return permission;
}
