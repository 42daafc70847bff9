import { RolecallError } from '../domain/errors.ts';
import type { PermissionSlug, RoleKey } from '../domain/ids.ts';
import { builtinLayer } from '../domain/matrix/builtin.ts';
import { diffMatrix, type MatrixChange } from '../domain/matrix/diff.ts';
import type { MatrixLayer } from '../domain/matrix/document.ts';
import { wayRound } from '../domain/roles.ts';
import { countHolders } from '../storage/grants.ts';
import { readLayerHashes, readLiveMatrix, replaceLayers } from '../storage/matrix.ts';
import {
  findPermission,
  insertPermission,
  type PermissionRow,
  updatePermission,
} from '../storage/permissions.ts';
import {
  allIncludes,
  deleteRoleInclude,
  deleteRolePermissions,
  permissionRowsOf,
  putRoleInclude,
  putRolePermissions,
} from '../storage/role-edges.ts';
import { findRole, insertRole, type RoleRow, updateRole } from '../storage/roles.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { type Call, writeContextOf } from './call.ts';
import { retirePermission } from './permissions.ts';

export interface Matrix {
  /**
   * Makes the database say what the built-in layer and these layers say, in one transaction; edges and includes that
   * people changed through the API stay, but on system roles. Nothing to change writes nothing. Throws
   * `slug_collision`, `include_cycle`, or `role_in_use` when people hold a role that would change hands: a system role
   * that stops being one, or a role made by hand that is declared from now on.
   */
  apply(call: Call, layers: readonly MatrixLayer[]): Promise<Written<readonly MatrixChange[]>>;
}

export function openMatrix(transactions: Transactions): Matrix {
  return {
    apply: (call, files) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const layers = [builtinLayer, ...files];
        const changes = diffMatrix(layers, await readLiveMatrix(handle));
        for (const change of changes) await applyChange(handle, change);
        await refuseCycles(handle);
        const applied = await readLayerHashes(handle.sql);
        const moved = layers.filter((layer) => applied.get(layer.id) !== layer.contentHash);
        const gone = [...applied.keys()].filter((id) => !layers.some((layer) => layer.id === id));
        if (moved.length + gone.length > 0) await replaceLayers(handle, layers);
        for (const { id, contentHash } of moved)
          handle.record({ kind: 'layer_applied', after: { layer: id, contentHash } });
        for (const id of gone) handle.record({ kind: 'layer_removed', before: { layer: id } });
        return changes;
      }),
  };
}

async function applyChange(handle: WriteHandle, change: MatrixChange): Promise<void> {
  switch (change.kind) {
    case 'permission_declared':
    case 'permission_described':
    case 'permission_retired':
      return applyPermission(handle, change);
    case 'role_declared':
    case 'role_described':
    case 'role_undeclared':
      return applyRole(handle, change);
    default:
      return applyEdge(handle, change);
  }
}

async function applyPermission(
  handle: WriteHandle,
  change: Extract<MatrixChange, { kind: `permission_${string}` }>,
): Promise<void> {
  if (change.kind === 'permission_declared') {
    const { permission, layer, revives } = change;
    const { slug, description } = permission;
    const row = revives
      ? await updatePermission(handle, (await knownPermission(handle, slug)).pk, {
          description,
          declaredIn: layer,
          retired: false,
        })
      : await insertPermission(handle, {
          resource: permission.resource,
          action: permission.action,
          description,
          declaredIn: layer,
        });
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

async function applyRole(
  handle: WriteHandle,
  change: Extract<MatrixChange, { kind: `role_${string}` }>,
): Promise<void> {
  if (change.kind === 'role_declared') {
    const { key, name, description, isSystem } = change.role;
    const declared = { name, description, isSystem, declaredIn: change.layer };
    const existing = await findRole(handle, key);
    if (existing?.declaredIn === null)
      await refuseHolders(handle, existing, 'was made by hand and is now declared');
    const row = existing
      ? await updateRole(handle, existing.pk, declared)
      : await insertRole(handle, { key, ...declared });
    handle.record({
      kind: existing ? 'role_updated' : 'role_created',
      rolePk: row.pk,
      before: existing ? describe(existing) : null,
      after: describe(row),
    });
    if (isSystem) await dropManualEdges(handle, row);
    return;
  }
  const role = await knownRole(handle, change.key);
  if (change.kind === 'role_undeclared' && role.isSystem)
    await refuseHolders(handle, role, 'is a system role that is no longer declared');
  const updated = await updateRole(
    handle,
    role.pk,
    change.kind === 'role_undeclared'
      ? { declaredIn: null, isSystem: false }
      : {
          name: change.after.name,
          description: change.after.description,
          isSystem: change.after.isSystem,
        },
  );
  handle.record({ kind: 'role_updated', rolePk: role.pk, before: describe(role), after: describe(updated) });
  if (updated.isSystem && !role.isSystem) await dropManualEdges(handle, updated);
}

/** What a role means changes hands: whoever holds it now was given something else. */
async function refuseHolders(handle: WriteHandle, role: RoleRow, why: string): Promise<void> {
  const holders = await countHolders(handle, role.pk);
  if (holders > 0)
    throw new RolecallError(
      'role_in_use',
      `the role "${role.key}" ${why}, but ${holders} hold it: take it from them first`,
    );
}

/** A system role is what the matrix says: rows of the API on it could not be taken away by anybody afterwards. */
async function dropManualEdges(handle: WriteHandle, role: RoleRow): Promise<void> {
  for (const row of await permissionRowsOf(handle, role.pk)) {
    if (row.origin !== 'api') continue;
    await deleteRolePermissions(handle, role.pk, [row.permissionPk], row.origin);
    const { permission, origin, withheld } = row;
    handle.record({
      kind: 'edge_removed',
      rolePk: role.pk,
      permissionPk: row.permissionPk,
      before: { role: role.key, permission, origin, withheld },
    });
  }
  for (const row of await allIncludes(handle)) {
    if (row.origin !== 'api' || row.rolePk !== role.pk) continue;
    await deleteRoleInclude(handle, row);
    const { included, origin, withheld } = row;
    handle.record({
      kind: 'include_removed',
      rolePk: role.pk,
      before: { role: role.key, included, origin, withheld },
    });
  }
}

async function applyEdge(
  handle: WriteHandle,
  change: Extract<MatrixChange, { kind: `edge_${string}` | `include_${string}` }>,
): Promise<void> {
  const role = await knownRole(handle, change.role);
  const { origin } = change;
  if ('permission' in change) {
    const permission = await knownPermission(handle, change.permission);
    const edge = { permissionPk: permission.pk, origin, withheld: false };
    const what = { role: change.role, permission: change.permission, origin, withheld: false };
    if (change.kind === 'edge_added') {
      await putRolePermissions(handle, role.pk, [edge]);
      handle.record({ kind: 'edge_set', rolePk: role.pk, permissionPk: permission.pk, after: what });
    } else {
      await deleteRolePermissions(handle, role.pk, [permission.pk], origin);
      handle.record({ kind: 'edge_removed', rolePk: role.pk, permissionPk: permission.pk, before: what });
    }
    return;
  }
  const included = await knownRole(handle, change.included);
  const include = { rolePk: role.pk, includedPk: included.pk, origin };
  const what = { role: change.role, included: change.included, origin, withheld: false };
  if (change.kind === 'include_added') {
    await putRoleInclude(handle, { ...include, withheld: false });
    handle.record({ kind: 'include_set', rolePk: role.pk, after: what });
  } else {
    await deleteRoleInclude(handle, include);
    handle.record({ kind: 'include_removed', rolePk: role.pk, before: what });
  }
}

function describe({ key, name, description, isSystem, declaredIn }: RoleRow) {
  return { role: key, name, description, isSystem, declaredIn };
}

async function knownRole(handle: WriteHandle, key: RoleKey): Promise<RoleRow> {
  const role = await findRole(handle, key);
  if (!role) throw new Error(`the difference names the role ${key}, which does not exist`);
  return role;
}

async function knownPermission(handle: WriteHandle, slug: PermissionSlug): Promise<PermissionRow> {
  const permission = await findPermission(handle, slug);
  if (!permission) throw new Error(`the difference names the permission ${slug}, which does not exist`);
  return permission;
}

/** Files are free of cycles by themselves; together with includes made through the API they may not be. */
async function refuseCycles(handle: WriteHandle): Promise<void> {
  const way = wayRound((await allIncludes(handle)).filter((row) => !row.withheld));
  if (way) throw new RolecallError('include_cycle', `roles would include themselves: ${way.join(' -> ')}`);
}
