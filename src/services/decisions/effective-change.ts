import { effectiveAccess } from '../../domain/decision/effective-access.ts';
import { type AccessChange, changeBetween } from '../../domain/decision/impact.ts';
import { compileAccess, type UserAccess } from '../../domain/decision/user-access.ts';
import type { PermissionSlug, Scope } from '../../domain/ids.ts';
import type { Facts } from '../../storage/read-models/facts.ts';

/** What a change of one user's access does in a scope. */
export interface EffectiveChange extends AccessChange {
  /** What they may do there now. */
  readonly permissions: readonly PermissionSlug[];
}

/**
 * What a change does in a scope, by the evaluator that decides: from what was read under the revision lock, so that nothing
 * has to be read again after it.
 */
export function effectiveChange(
  { catalogue, now }: Facts,
  scope: Scope,
  before: UserAccess,
  after: UserAccess,
): EffectiveChange {
  const listOf = (access: UserAccess) =>
    effectiveAccess(compileAccess(catalogue, access, now), scope).permissions;
  const permissions = listOf(after);
  return { permissions, ...changeBetween(listOf(before), permissions) };
}
