import type { Catalogue } from '../domain/decision/catalogue.ts';
import { decide } from '../domain/decision/decide.ts';
import { scopesOf } from '../domain/decision/effective-access.ts';
import type { CompiledAccess } from '../domain/decision/user-access.ts';
import { RolecallError } from '../domain/errors.ts';
import type { PermissionSlug, Scope, UserId } from '../domain/ids.ts';
import type { BuiltinPermission } from '../domain/matrix/builtin.ts';
import type { Principal } from '../domain/principals.ts';
import { covers, everywhere } from '../domain/scopes.ts';
import { commonSight, type Sight, seesNothing } from '../domain/sight.ts';

/** For whoever acts for somebody. */
export const actFor: BuiltinPermission = 'rolecall_act_for';

/**
 * Throws `forbidden` unless the caller has the permission in the scope: their user, as far as the credential leaves it, and
 * whoever acts for that user, who must be allowed to there.
 */
export function requirePermissionOf(
  catalogue: Catalogue,
  accessOf: (user: UserId) => CompiledAccess | undefined,
  caller: Principal,
  permission: BuiltinPermission,
  scope: Scope,
): void {
  if (!isAllowed(catalogue, accessOf, caller, slugFor(permission), scope)) throw lacks(permission, scope);
}

/** Whether the caller may do something in a scope: with this credential, and with whoever acts for them. */
export function isAllowed(
  catalogue: Catalogue,
  accessOf: (user: UserId) => CompiledAccess | undefined,
  { userId, narrowedTo, within, through }: Principal,
  slug: PermissionSlug,
  scope: Scope,
): boolean {
  const does = (user: UserId, what: PermissionSlug) =>
    decide(catalogue, accessOf(user), what, scope).allowed && (narrowedTo?.has(what) ?? true);
  if (!covers(within, scope) || !does(userId, slug)) return false;
  return through === null || (does(through.userId, slug) && does(through.userId, slugFor(actFor)));
}

/** The scopes in which the caller has the permission. Throws `forbidden` if there are none. */
export function requireSight(
  accessOf: (user: UserId) => CompiledAccess | undefined,
  caller: Principal,
  permission: BuiltinPermission,
): Sight {
  const sight = sightOf(accessOf, caller, slugFor(permission));
  if (sight.scopes.length > 0) return sight;
  throw new RolecallError('forbidden', `this needs the permission ${permission}, in whatever scope`);
}

/** The scopes in which `isAllowed` allows the permission; empty if there are none. */
export function sightOf(
  accessOf: (user: UserId) => CompiledAccess | undefined,
  { userId, narrowedTo, within, through }: Principal,
  slug: PermissionSlug,
): Sight {
  const has = (user: UserId, what: PermissionSlug) => {
    const access = accessOf(user);
    const isNarrowedAway = narrowedTo !== null && !narrowedTo.has(what);
    return access === undefined || isNarrowedAway ? seesNothing : scopesOf(access, what);
  };
  const own = commonSight(has(userId, slug), { scopes: [within], denied: [] });
  if (through === null) return own;
  return commonSight(own, commonSight(has(through.userId, slug), has(through.userId, slugFor(actFor))));
}

/** The refusal of somebody who lacks a permission of the service's own. */
export function lacks(permission: BuiltinPermission, scope: Scope): RolecallError {
  const place = scope === everywhere ? '' : ` in ${scope} and all below it`;
  return new RolecallError('forbidden', `this needs the permission ${permission}${place}`);
}

/** A permission of the service's own as all others are named. */
export function slugFor(permission: BuiltinPermission): PermissionSlug {
  return permission as string as PermissionSlug;
}
