import { scopesOf } from '../../domain/decision/effective-access.ts';
import type { CompiledAccess } from '../../domain/decision/user-access.ts';
import type { PermissionSlug, Scope, UserId } from '../../domain/ids.ts';
import { type Principal, usersBehind } from '../../domain/principals.ts';
import { covers } from '../../domain/scopes.ts';
import type { Sight } from '../../domain/sight.ts';
import { isAllowed, sightOf } from '../caller-rights.ts';
import type { PermissionLists, UserPermissions } from './permission-lists.ts';
import type { View } from './views.ts';

/** Whether the caller may do something in a scope: with this credential, and with whoever acts for them. */
export function isAllowedOn(
  view: View,
  caller: Principal,
  permission: PermissionSlug,
  scope: Scope,
): boolean {
  return isAllowed(view.snapshot.catalogue, (user) => accessOn(view, user), caller, permission, scope);
}

export function accessOn({ snapshot, now, users }: View, user: UserId): CompiledAccess | undefined {
  return users.get(user)?.at(snapshot.catalogue, now);
}

/** A list of a user's as somebody who has it in whole is told. Throws if the view lacks the user. */
export function listOn(view: View, lists: PermissionLists, user: UserId, scope: Scope): UserPermissions {
  const found = view.users.get(user);
  if (!found) throw new Error('the view was made without this user');
  return lists.of(found, found.at(view.snapshot.catalogue, view.now), scope);
}

/** What the caller may do through a credential that leaves less than all. Roles would promise more, and are left out. */
export function listThrough(
  view: View,
  lists: PermissionLists,
  caller: Principal,
  scope: Scope,
): UserPermissions {
  const whole = listOn(view, lists, caller.userId, scope);
  const changes = usersBehind(caller).map((user) => listOn(view, lists, user, scope).expiresAt);
  return {
    ...whole,
    permissions: whole.permissions.filter((slug) => isAllowedOn(view, caller, slug, scope)),
    roles: [],
    expiresAt: changes.reduce((a, b) => (a === null || (b !== null && b < a) ? b : a)),
  };
}

/** Where the caller may do something, or with null anything, through such a credential. */
export function scopesThrough(
  view: View,
  lists: PermissionLists,
  caller: Principal,
  permission: PermissionSlug | null,
): Sight {
  if (permission !== null) return sightOf((user) => accessOn(view, user), caller, permission);
  const held = usersBehind(caller).flatMap((user) => {
    const access = accessOn(view, user);
    return access === undefined ? [] : scopesOf(access, null).scopes;
  });
  const places = new Set(held.map((scope) => (covers(scope, caller.within) ? caller.within : scope)));
  const holdsAt = (scope: Scope) => listThrough(view, lists, caller, scope).permissions.length > 0;
  return { scopes: [...places].filter(holdsAt).sort(), denied: [] };
}
