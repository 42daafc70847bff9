import type { Catalogue } from '../../domain/decision/catalogue.ts';
import type { Decision } from '../../domain/decision/decide.ts';
import { scopesOf } from '../../domain/decision/effective-access.ts';
import { nextChange } from '../../domain/decision/next-change.ts';
import type { CompiledAccess } from '../../domain/decision/user-access.ts';
import type { Instant, PermissionSlug, Scope, UserId } from '../../domain/ids.ts';
import { type Principal, usersBehind } from '../../domain/principals.ts';
import { covers } from '../../domain/scopes.ts';
import type { Sight } from '../../domain/sight.ts';
import { actFor, isAllowed, sightOf, slugFor } from '../caller-rights.ts';
import type { PermissionLists, UserPermissions } from './permission-lists.ts';
import type { View } from './views.ts';

export function accessOn({ snapshot, now, users }: View, user: UserId): CompiledAccess | undefined {
  return users.get(user)?.at(snapshot.catalogue, now);
}

/** A list of a user's as somebody who has it in whole is told. Throws if the view lacks the user. */
export function listOn(view: View, lists: PermissionLists, user: UserId, scope: Scope): UserPermissions {
  const found = view.users.get(user);
  if (!found) throw new Error('the view was made without this user');
  return lists.of(found, found.at(view.snapshot.catalogue, view.now), scope);
}

/** What users have, at one revision and one instant: now, or at a moment of the past. */
export interface Standing {
  readonly catalogue: Catalogue;
  readonly at: Instant;
  accessOf(user: UserId): CompiledAccess | undefined;
}

export function standingOn(view: View): Standing {
  return {
    catalogue: view.snapshot.catalogue,
    at: view.now,
    accessOf: (user) => accessOn(view, user),
  };
}

/** The decision where the user may do something and the limited credential leaves it out. */
const besideCredential: Decision = Object.freeze({ allowed: false, reason: 'not_granted' });

/** The decision through a limited credential (`isLimited`), made from the `whole` decision about its user. */
export function limitedDecision(
  whole: Decision,
  { catalogue, accessOf }: Standing,
  caller: Principal,
  permission: PermissionSlug,
  scope: Scope,
): Decision {
  const isLeft = !whole.allowed || isAllowed(catalogue, accessOf, caller, permission, scope);
  return isLeft ? whole : besideCredential;
}

/** What the caller may do through a credential that leaves less than all. */
export function listThrough(
  view: View,
  lists: PermissionLists,
  caller: Principal,
  scope: Scope,
): UserPermissions {
  return limitedList(listOn(view, lists, caller.userId, scope), standingOn(view), caller);
}

/** What such a credential leaves of its user's list. Roles would promise more, and are left out. */
export function limitedList(whole: UserPermissions, standing: Standing, caller: Principal): UserPermissions {
  const { catalogue, accessOf } = standing;
  const permissions = whole.permissions.filter((slug) =>
    isAllowed(catalogue, accessOf, caller, slug, whole.scope),
  );
  return { ...whole, permissions, roles: [], expiresAt: limitedChange(standing, caller, whole.scope) };
}

/** When what is left changes by itself. */
function limitedChange(
  { catalogue, at, accessOf }: Standing,
  { userId, narrowedTo, through }: Principal,
  scope: Scope,
): Instant | null {
  const own = accessOf(userId);
  const other = through && accessOf(through.userId);
  if (own === undefined || other === undefined) return null;
  const limits = { narrowedTo, through: other && { access: other.user, needs: slugFor(actFor) } };
  return nextChange(catalogue, own.user, scope, at, limits);
}

/** The scopes in which the caller has the permission, or with null any, through a limited credential. */
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
  const { catalogue, accessOf } = standingOn(view);
  const holdsAt = (scope: Scope) =>
    listOn(view, lists, caller.userId, scope).permissions.some((slug) =>
      isAllowed(catalogue, accessOf, caller, slug, scope),
    );
  return { scopes: [...places].filter(holdsAt).sort(), denied: [] };
}
