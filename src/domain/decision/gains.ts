import { endOf } from '../grants.ts';
import type { Instant, PermissionSlug, Scope, UserId } from '../ids.ts';
import { denialsOf, type Gift, giftsOf, holdsWholly } from '../power.ts';
import { covers, everywhere } from '../scopes.ts';
import type { Catalogue } from './catalogue.ts';
import type { UserAccess } from './user-access.ts';

/** Whom an API key lets in, to what at most, and until when. */
export interface Credential {
  readonly user: UserId;
  readonly narrowedTo: ReadonlySet<PermissionSlug> | null;
  readonly within: Scope;
  readonly revoked: boolean;
  readonly expiresAt: Instant | null;
}

/** All that anybody may do, by what is stored. */
export interface AccessState {
  readonly catalogue: Catalogue;
  readonly users: ReadonlyMap<UserId, UserAccess>;
  /** By the key's public id. */
  readonly credentials: ReadonlyMap<string, Credential>;
}

/**
 * Who could do more in one state than in another, now or later, in a sentence each, sorted: a permission further or for
 * longer, a denial that is gone, a key that lets more in. May name something that a closer look would show to be held
 * anyway; what it does not name has not grown.
 */
export function gainsOf(before: AccessState, after: AccessState, now: Instant): readonly string[] {
  const gains = new Set<string>();
  for (const [user, access] of after.users) {
    const had = before.users.get(user) ?? nothing;
    const held = new Set(had.active ? giftsOf(before.catalogue, had, now).map(textOf) : []);
    // The same gift, or others that together are as much.
    const hasHeld = (gift: Gift) =>
      held.has(textOf(gift)) ||
      (had.active &&
        holdsWholly(before.catalogue, { access: had, narrowedTo: null, within: everywhere }, gift, now));
    for (const gift of giftsOf(after.catalogue, access, now))
      if (access.active && !hasHeld(gift)) gains.add(`${user} gains ${describe(gift)}`);
    const denied = new Set(denialsOf(access, now).map(textOf));
    for (const denial of denialsOf(had, now))
      if (access.active && !denied.has(textOf(denial)))
        gains.add(`${user} is no longer denied ${describe(denial)}`);
  }
  for (const [id, key] of after.credentials)
    if (letsIn(key, now) && letsMore(key, before.credentials.get(id), now))
      gains.add(`the API key ${id} of ${key.user} lets more in`);
  return [...gains].sort();
}

const nothing: UserAccess = { active: false, grants: [], exceptions: [] };

function textOf({ permission, scope, startsAt, expiresAt }: Gift): string {
  return `${permission} ${scope} ${startsAt} ${expiresAt}`;
}

function letsIn({ revoked, expiresAt }: Credential, now: Instant): boolean {
  return !revoked && endOf({ startsAt: null, expiresAt }) > now;
}

function letsMore(key: Credential, before: Credential | undefined, now: Instant): boolean {
  if (!before || !letsIn(before, now)) return true;
  if (
    endOf({ startsAt: null, expiresAt: key.expiresAt }) >
    endOf({ startsAt: null, expiresAt: before.expiresAt })
  )
    return true;
  if (!covers(before.within, key.within)) return true;
  const { narrowedTo } = before;
  if (narrowedTo === null) return false;
  return key.narrowedTo === null || [...key.narrowedTo].some((permission) => !narrowedTo.has(permission));
}

function describe({ permission, scope }: Gift): string {
  return scope === '' ? `${permission} everywhere` : `${permission} in ${scope}`;
}
