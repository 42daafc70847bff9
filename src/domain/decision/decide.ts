import { type Exception, type Grant, inForce } from '../grants.ts';
import type { Instant, PermissionSlug, Scope } from '../ids.ts';
import { covers } from '../scopes.ts';
import type { Catalogue } from './catalogue.ts';

/** Everything about a user that a decision depends on. */
export interface UserAccess {
  readonly active: boolean;
  readonly grants: readonly Grant[];
  readonly exceptions: readonly Exception[];
}

export type DenyReason =
  | 'unknown_permission'
  | 'unknown_user'
  | 'inactive_user'
  | 'denied_by_exception'
  | 'not_granted';

export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly reason: DenyReason };

/**
 * What "allowed" means (design: the decision). `user` is undefined when no such user exists. The answer does not depend
 * on the order of grants, exceptions, includes or edges; a deny carries the first reason that applies.
 */
export function decide(
  catalogue: Catalogue,
  user: UserAccess | undefined,
  permission: PermissionSlug,
  scope: Scope,
  at: Instant,
): Decision {
  if (!catalogue.isRegistered(permission)) return deny('unknown_permission');
  if (user === undefined) return deny('unknown_user');
  if (!user.active) return deny('inactive_user');
  const exceptions = user.exceptions.filter(
    (exception) => exception.permission === permission && holds(exception, scope, at),
  );
  if (exceptions.some((exception) => exception.effect === 'deny')) return deny('denied_by_exception');
  if (exceptions.some((exception) => exception.effect === 'allow')) return { allowed: true };
  const granted = user.grants.some(
    (grant) => holds(grant, scope, at) && catalogue.permissionsOf(grant.role).has(permission),
  );
  return granted ? { allowed: true } : deny('not_granted');
}

/** Whether a grant or exception is in force at a scope. */
export function holds(held: Grant | Exception, scope: Scope, at: Instant): boolean {
  return covers(held.scope, scope) && inForce(held, at);
}

function deny(reason: DenyReason): Decision {
  return { allowed: false, reason };
}
