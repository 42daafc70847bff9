import { RolecallError } from '../domain/errors.ts';
import type { PermissionSlug, RoleKey, UserId } from '../domain/ids.ts';
import { nearestNames } from '../domain/suggestions.ts';
import type { ReadHandle } from '../storage/database.ts';
import { allSlugs, findPermission, type PermissionRow } from '../storage/permissions.ts';
import { allRoleKeys, findRole, type RoleRow } from '../storage/roles.ts';
import { findUser, type UserRow } from '../storage/users.ts';

/** Throws `unknown_user`. Nobody is suggested: who exists is not the business of whoever mistypes. */
export async function requireUser(handle: ReadHandle, id: UserId): Promise<UserRow> {
  const user = await findUser(handle, id);
  if (!user) throw unknownUser();
  return user;
}

/** The same for somebody who is not there and for somebody out of the caller's sight. */
export function unknownUser(): RolecallError {
  return new RolecallError('unknown_user', 'there is no user with this id');
}

/** Throws `unknown_role` with the nearest keys. */
export async function requireRole(handle: ReadHandle, key: RoleKey): Promise<RoleRow> {
  const role = await findRole(handle, key);
  if (role) return role;
  throw await unknownRole(handle, key);
}

export async function unknownRole(handle: ReadHandle, key: RoleKey): Promise<RolecallError> {
  return new RolecallError('unknown_role', `there is no role "${key}"`, {
    didYouMean: nearestNames(key, await allRoleKeys(handle)),
  });
}

/** Throws `unknown_permission` with the nearest slugs; a retired permission is unknown. */
export async function requirePermission(handle: ReadHandle, slug: PermissionSlug): Promise<PermissionRow> {
  const permission = await findPermission(handle, slug);
  if (permission && permission.retiredAt === null) return permission;
  throw new RolecallError('unknown_permission', `there is no permission "${slug}"`, {
    didYouMean: nearestNames(slug, await allSlugs(handle)),
  });
}
