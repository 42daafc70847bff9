import { inForce } from '../grants.ts';
import type { PermissionSlug, RoleKey, Scope } from '../ids.ts';
import { covers, parentOf } from '../scopes.ts';
import type { Bitset } from './bitset.ts';
import { decide } from './decide.ts';
import type { CompiledAccess } from './user-access.ts';

/** What a user may do in one scope, both lists sorted bytewise. */
export interface EffectiveAccess {
  readonly permissions: readonly PermissionSlug[];
  readonly roles: readonly RoleKey[];
}

const nothing: EffectiveAccess = { permissions: [], roles: [] };

/**
 * Every permission that `decide` would allow, and every role that counts, in one scope. A permission is in the list if
 * and only if `decide` allows it: the property tests hold the two together.
 */
export function effectiveAccess(access: CompiledAccess, scope: Scope): EffectiveAccess {
  const { user, catalogue, at } = access;
  if (!user.active) return nothing;
  const roles = new Set<RoleKey>();
  // A role that is there already came with its whole closure.
  for (const grant of user.grants)
    if (!roles.has(grant.role) && covers(grant.scope, scope) && inForce(grant, at))
      for (const role of catalogue.closureOf(grant.role)) roles.add(role);
  return { permissions: catalogue.slugsIn(allowedAt(access, scope)), roles: [...roles].sort() };
}

/**
 * The scopes, of those that the user's grants and exceptions name, at which they hold a permission, or with `null`
 * anything at all. For a permission, a scope listed stands for everything below it except what `denied` lists; for
 * anything at all, exceptions below may leave nothing, and `denied` is empty.
 */
export function scopesOf(
  access: CompiledAccess,
  permission: PermissionSlug | null,
): { readonly scopes: readonly Scope[]; readonly denied: readonly Scope[] } {
  const { user, catalogue } = access;
  const concerned = user.exceptions.filter(
    (exception) => permission === null || exception.permission === permission,
  );
  const named = new Set([...user.grants, ...concerned].map((held) => held.scope));
  const holdsAt = (scope: Scope) =>
    permission === null
      ? !allowedAt(access, scope).isEmpty()
      : decide(catalogue, access, permission, scope).allowed;
  const denies = concerned.filter(
    (exception) => exception.effect === 'deny' && inForce(exception, access.at),
  );
  return {
    scopes: [...named].filter(holdsAt).sort(),
    denied: permission === null ? [] : [...new Set(denies.map((exception) => exception.scope))].sort(),
  };
}

/** Every permission that `decide` would allow at a scope: given there or above it, and denied at none of these. */
export function allowedAt({ user, catalogue, standings }: CompiledAccess, scope: Scope): Bitset {
  const allowed = catalogue.emptySet();
  if (!user.active) return allowed;
  const denied = catalogue.emptySet();
  for (let place: Scope | undefined = scope; place !== undefined; place = parentOf(place)) {
    const standing = standings.get(place);
    if (standing) allowed.addAll(standing.given);
    if (standing?.denied) denied.addAll(standing.denied);
  }
  allowed.removeAll(denied);
  return allowed;
}
