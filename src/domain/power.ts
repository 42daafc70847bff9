import type { Catalogue } from './decision/catalogue.ts';
import type { UserAccess } from './decision/user-access.ts';
import { endOf, startOf, type Window } from './grants.ts';
import type { Instant, PermissionSlug, Scope } from './ids.ts';
import { covers } from './scopes.ts';

/** One permission that a change would give to or take from somebody, where and for how long. */
export interface Gift extends Window {
  readonly permission: PermissionSlug;
  readonly scope: Scope;
}

/** Somebody's access together with what their credential leaves of it: a list of permissions, if it has one, and a scope. */
export interface Power {
  readonly access: UserAccess;
  readonly narrowedTo: ReadonlySet<PermissionSlug> | null;
  readonly within: Scope;
}

/**
 * Whether the holder has the permission at the scope, at everything below it, and for the whole of the gift's window
 * from `at` on: nobody gives what they do not hold, nor further, nor for longer. What lies wholly in the past gives
 * nothing and needs nothing.
 */
export function holdsWholly(catalogue: Catalogue, holder: Power, gift: Gift, at: Instant): boolean {
  const from = Math.max(startOf(gift), at);
  const until = endOf(gift);
  if (from >= until) return true;
  if (!holder.access.active || !catalogue.isRegistered(gift.permission)) return false;
  if (holder.narrowedTo !== null && !holder.narrowedTo.has(gift.permission)) return false;
  if (!covers(holder.within, gift.scope)) return false;
  const exceptions = holder.access.exceptions.filter((exception) => exception.permission === gift.permission);
  const denied = exceptions.some(
    (exception) =>
      exception.effect === 'deny' &&
      (covers(exception.scope, gift.scope) || covers(gift.scope, exception.scope)) &&
      startOf(exception) < until &&
      endOf(exception) > from,
  );
  if (denied) return false;
  const sources: Window[] = [
    ...exceptions.filter((exception) => exception.effect === 'allow' && covers(exception.scope, gift.scope)),
    ...holder.access.grants.filter(
      (grant) => covers(grant.scope, gift.scope) && catalogue.gives(grant.role, gift.permission),
    ),
  ];
  return coverWithoutGap(sources, from, until);
}

/** Everything a user has or will have by what is stored now, leaving out what already ended. */
export function giftsOf(catalogue: Catalogue, access: UserAccess, at: Instant): readonly Gift[] {
  const granted = access.grants.flatMap((grant) =>
    catalogue.slugsIn(catalogue.permissionsOf(grant.role)).map((permission) => ({ ...grant, permission })),
  );
  const allowed = access.exceptions.filter((exception) => exception.effect === 'allow');
  return [...granted, ...allowed].filter(
    (gift) => endOf(gift) > at && catalogue.isRegistered(gift.permission),
  );
}

/** What a user would have to be given back if their denials were forgotten, leaving out what already ended. */
export function denialsOf(access: UserAccess, at: Instant): readonly Gift[] {
  return access.exceptions.filter((exception) => exception.effect === 'deny' && endOf(exception) > at);
}

function coverWithoutGap(windows: readonly Window[], from: Instant, until: Instant): boolean {
  let reached = from;
  for (const window of windows.toSorted((a, b) => startOf(a) - startOf(b))) {
    if (startOf(window) > reached) return false;
    reached = Math.max(reached, endOf(window));
    if (reached >= until) return true;
  }
  return false;
}
