import { z } from 'zod';
import { page, writtenMembers } from './answers.ts';
import { bodyMeta, listOf, permission, roleKey, slug, text, timeOut } from './primitives.ts';

export const createRoleBody = z
  .strictObject({ key: roleKey, name: text(200, 1), description: text(1_000).default('') })
  .meta(bodyMeta('CreateRoleRequest', { key: 'night-shift', name: 'Night shift' }));

export const patchRoleBody = z
  .strictObject({ name: text(200, 1).optional(), description: text(1_000).optional() })
  .meta(bodyMeta('PatchRoleRequest', { name: 'Night shift, north' }));

export const rolePermissionParams = z.strictObject({ role: roleKey, permission });
export const roleIncludeParams = z.strictObject({ role: roleKey, other: roleKey });

export const replaceEdgesBody = z
  .strictObject({ permissions: z.array(permission).max(5_000) })
  .meta(bodyMeta('ReplaceRolePermissionsRequest', { permissions: ['orders.view_order'] }));

const role = z
  .object({
    key: z.string(),
    name: z.string(),
    description: z.string(),
    isSystem: z.boolean().meta({ description: 'Changes only through the matrix' }),
    declaredIn: z.string().nullable().meta({ description: 'The matrix layer that declares it' }),
    createdAt: timeOut,
    updatedAt: timeOut,
  })
  .meta({ id: 'Role' });

export const roleAnswer = role;
export const roleList = page(role).meta({ id: 'RolePage' });
export const roleWritten = z.object({ role, ...writtenMembers }).meta({ id: 'RoleWritten' });
export const roleDeleted = z
  .object({ role: z.string(), grantsRemoved: z.int(), ...writtenMembers })
  .meta({ id: 'RoleDeleted' });

const edges = {
  role: z.string(),
  permissions: listOf(
    z
      .object({
        permission: slug,
        given: z.boolean().meta({ description: 'Some origin gives it and none withholds it' }),
        origins: listOf(z.string()),
        withheldBy: listOf(z.string()),
      })
      .meta({ id: 'RoleEdge' }),
  ).meta({ description: "The role's own, not what it inherits" }),
  includes: listOf(z.string()),
};

export const edgesAnswer = z.object(edges).meta({ id: 'RolePermissions' });
export const edgesWritten = z.object({ ...edges, ...writtenMembers }).meta({ id: 'RolePermissionsWritten' });
