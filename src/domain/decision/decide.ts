import type { PermissionSlug, Scope } from '../ids.ts';
import { parentOf } from '../scopes.ts';
import type { Catalogue } from './catalogue.ts';
import type { CompiledAccess } from './user-access.ts';

export type DenyReason =
  | 'unknown_permission'
  | 'unknown_user'
  | 'inactive_user'
  | 'denied_by_exception'
  | 'not_granted';

export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly reason: DenyReason };

/** Made once, because a decision is asked for with every request. */
const allow: Decision = Object.freeze({ allowed: true });
const deny: { readonly [Reason in DenyReason]: Decision } = {
  unknown_permission: Object.freeze({ allowed: false, reason: 'unknown_permission' }),
  unknown_user: Object.freeze({ allowed: false, reason: 'unknown_user' }),
  inactive_user: Object.freeze({ allowed: false, reason: 'inactive_user' }),
  denied_by_exception: Object.freeze({ allowed: false, reason: 'denied_by_exception' }),
  not_granted: Object.freeze({ allowed: false, reason: 'not_granted' }),
};

/**
 * What "allowed" means. `access` is what the user has at the instant asked about, compiled with
 * the same catalogue (any other would take one permission for another, and is an error of the program); undefined when
 * no such user exists. The answer does not depend on the order of anything; a deny carries the first reason that applies.
 */
export function decide(
  catalogue: Catalogue,
  access: CompiledAccess | undefined,
  permission: PermissionSlug,
  scope: Scope,
): Decision {
  const number = catalogue.numberOf(permission);
  if (number === undefined) return deny.unknown_permission;
  if (access === undefined) return deny.unknown_user;
  if (access.catalogue !== catalogue) throw new Error('the access was compiled with another catalogue');
  if (!access.user.active) return deny.inactive_user;
  let isGiven = false;
  for (let place: Scope | undefined = scope; place !== undefined; place = parentOf(place)) {
    const standing = access.standings.get(place);
    if (standing?.denied?.has(number)) return deny.denied_by_exception;
    if (standing?.given.has(number)) isGiven = true;
  }
  return isGiven ? allow : deny.not_granted;
}
