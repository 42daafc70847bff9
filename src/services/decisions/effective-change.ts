import { effectiveAccess } from '../../domain/decision/effective-access.ts';
import { compileAccess } from '../../domain/decision/user-access.ts';
import type { PermissionSlug, Scope, UserId } from '../../domain/ids.ts';
import type { ReadHandle } from '../../storage/database.ts';
import { loadFacts } from '../../storage/read-models/decision-rows.ts';

/** What a user may do in a scope now, inside the transaction that is about to change it or has just done so. */
export async function permissionsNow(
  handle: ReadHandle,
  user: UserId,
  scope: Scope,
): Promise<readonly PermissionSlug[]> {
  const facts = await loadFacts(handle.sql, { users: [user], permissions: null });
  const access = facts.users.get(user);
  if (!access) return [];
  return effectiveAccess(compileAccess(facts.catalogue, access, facts.now), scope).permissions;
}

/** What is in the one list and not in the other. */
export function without(
  permissions: readonly PermissionSlug[],
  others: readonly PermissionSlug[],
): readonly PermissionSlug[] {
  const known = new Set(others);
  return permissions.filter((permission) => !known.has(permission));
}
