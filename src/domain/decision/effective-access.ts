import type { Instant, PermissionSlug, RoleKey, Scope } from '../ids.ts';
import type { Catalogue } from './catalogue.ts';
import { decide, holds, type UserAccess } from './decide.ts';

/** What a user may do in one scope, both lists sorted bytewise. */
export interface EffectiveAccess {
  readonly permissions: readonly PermissionSlug[];
  readonly roles: readonly RoleKey[];
}

const nothing: EffectiveAccess = { permissions: [], roles: [] };

/**
 * Every permission that `decide` would allow, and every role that counts, in one scope at one instant. A permission is
 * in the list if and only if `decide` allows it: the property tests hold the two together.
 */
export function effectiveAccess(
  catalogue: Catalogue,
  user: UserAccess,
  scope: Scope,
  at: Instant,
): EffectiveAccess {
  if (!user.active) return nothing;
  const roles = new Set<RoleKey>();
  const permissions = new Set<PermissionSlug>();
  for (const grant of user.grants) {
    if (!holds(grant, scope, at)) continue;
    for (const role of catalogue.closureOf(grant.role)) roles.add(role);
    for (const permission of catalogue.permissionsOf(grant.role)) permissions.add(permission);
  }
  const exceptions = user.exceptions.filter((exception) => holds(exception, scope, at));
  for (const { effect, permission } of exceptions)
    if (effect === 'allow' && catalogue.isRegistered(permission)) permissions.add(permission);
  for (const { effect, permission } of exceptions) if (effect === 'deny') permissions.delete(permission);
  return { permissions: [...permissions].sort(), roles: [...roles].sort() };
}

/**
 * The scopes, of those that the user's grants and exceptions name, at which they hold a permission, or with `null`
 * anything at all. For a permission, a scope listed stands for everything below it except what `denied` lists; for
 * anything at all, exceptions below may leave nothing, and `denied` is empty.
 */
export function scopesOf(
  catalogue: Catalogue,
  user: UserAccess,
  permission: PermissionSlug | null,
  at: Instant,
): { readonly scopes: readonly Scope[]; readonly denied: readonly Scope[] } {
  const concerned = user.exceptions.filter(
    (exception) => permission === null || exception.permission === permission,
  );
  const named = new Set([...user.grants, ...concerned].map((held) => held.scope));
  const holdsAt = (scope: Scope) =>
    permission === null
      ? effectiveAccess(catalogue, user, scope, at).permissions.length > 0
      : decide(catalogue, user, permission, scope, at).allowed;
  const denies = concerned.filter(
    (exception) => exception.effect === 'deny' && holds(exception, exception.scope, at),
  );
  return {
    scopes: [...named].filter(holdsAt).sort(),
    denied: permission === null ? [] : [...new Set(denies.map((exception) => exception.scope))].sort(),
  };
}
