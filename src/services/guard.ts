import type { Catalogue } from '../domain/decision/catalogue.ts';
import { decide } from '../domain/decision/decide.ts';
import { scopesOf } from '../domain/decision/effective-access.ts';
import type { CompiledAccess } from '../domain/decision/user-access.ts';
import { RolecallError } from '../domain/errors.ts';
import type { Window } from '../domain/grants.ts';
import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../domain/ids.ts';
import type { BuiltinPermission } from '../domain/matrix/builtin.ts';
import { denialsOf, type Gift, giftsOf, holdsWholly, type Power } from '../domain/power.ts';
import { isLimited, isSelf, type Principal, usersBehind } from '../domain/principals.ts';
import { covers, everywhere } from '../domain/scopes.ts';
import { commonSight, type Sight, seesNothing } from '../domain/sight.ts';
import { accessOf, type Facts, type FactsOfCallers, loadFacts } from '../storage/read-models/facts.ts';
import type { WriteHandle } from '../storage/transaction.ts';
import type { Call } from './call.ts';
import { notValid } from './refusals.ts';

/** What a change would give to or take from anybody. */
export type Reach =
  | { readonly role: RoleKey; readonly scope: Scope; readonly window: Window }
  | { readonly permission: PermissionSlug; readonly scope: Scope; readonly window: Window }
  /** All that a user has. */
  | {
      readonly user: UserId;
      /** Whether what the user is denied is forgotten too, as when they are deleted: they could be made anew. */
      readonly lifting?: boolean;
    }
  /** What a key will let in that is made, or what a key lets in that is revoked. */
  | { readonly key: KeyReach; readonly does: 'make' | 'revoke' };

export interface KeyReach {
  readonly user: UserId;
  readonly narrowedTo: ReadonlySet<PermissionSlug> | null;
  readonly within: Scope;
  readonly until: Instant | null;
}

/** A change that counts everywhere and for ever, as everything that changes a role does. */
export const forGood = { scope: everywhere, window: { startsAt: null, expiresAt: null } } as const;

const escalate: BuiltinPermission = 'rolecall_escalate';
const actFor: BuiltinPermission = 'rolecall_act_for';
const mostNamed = 10;

/**
 * Stands before every change, inside its transaction and after the revision lock, so that what it reads is current:
 * the caller's credential still stands, the caller holds the route's permission in the scope and all below it, and holds,
 * as far and as long, everything that the change gives or takes, or may escalate there and below. Throws `unauthenticated`, `forbidden` or
 * `exceeds_own_access`. The operator is not guarded.
 */
export async function guardChange(
  handle: WriteHandle,
  call: Call,
  permission: BuiltinPermission,
  scope: Scope,
  reach: readonly Reach[] = [],
): Promise<void> {
  if (call.caller.kind === 'operator') return;
  const users = reach.flatMap((item) =>
    'user' in item ? [item.user] : 'key' in item ? [item.key.user] : [],
  );
  requirePower(await readPower(handle, [call], users), call, permission, scope, reach);
}

/** Reads what the guard judges by, as of the write: about the callers, and about the users that their changes are about. */
export async function readPower(
  handle: WriteHandle,
  calls: readonly Call[],
  users: readonly UserId[],
): Promise<FactsOfCallers> {
  const guarded = calls.flatMap(({ caller }) => (caller.kind === 'operator' ? [] : [caller]));
  const concerned = new Set([...guarded.flatMap(usersBehind), ...users]);
  const credentials = guarded.map(({ credentialPk }) => credentialPk);
  return loadFacts(handle, handle.catalogueAt, [...concerned], credentials);
}

/** The judgement of `guardChange`, for changes that read what they need all at once. */
export function requirePower(
  facts: FactsOfCallers,
  { caller }: Call,
  permission: BuiltinPermission,
  scope: Scope,
  reach: readonly Reach[],
): void {
  if (caller.kind === 'operator') return;
  const isOver = caller.expiresAt !== null && caller.expiresAt <= facts.now;
  if (!facts.standing.has(caller.credentialPk) || isOver) throw notValid(caller);
  const { narrowedTo, within, through } = caller;
  const powerOf = (user: UserId): Power => ({ access: accessOf(facts, user), narrowedTo, within });
  const powers = usersBehind(caller).map(powerOf);
  const holds = (power: Power, gift: Gift) => holdsWholly(facts.catalogue, power, gift, facts.now);
  const now = { startsAt: facts.now, expiresAt: facts.now + 1 };
  const needed = { permission: slugFor(permission), scope, ...now };
  if (!powers.every((power) => holds(power, needed))) throw lacks(permission, scope);
  if (through !== null && !holds(powerOf(through.userId), { permission: slugFor(actFor), scope, ...now }))
    throw lacks(actFor, scope);
  if (reach.some((item) => outlives(item, caller)))
    throw new RolecallError(
      'exceeds_own_access',
      'a key for oneself ends no later than the key that makes it',
    );
  const mayGive = (gift: Gift) =>
    powers.every(
      (power) =>
        holds(power, gift) || holds(power, { permission: slugFor(escalate), scope: gift.scope, ...now }),
    );
  const others = reach.filter((item) => !isOwn(item, caller));
  for (const item of others)
    if (
      growsWithItsUser(item) &&
      !mayGive({ ...needed, permission: slugFor(escalate), scope: item.key.within })
    )
      throw new RolecallError(
        'exceeds_own_access',
        'a key without a list has all that its user ever gets: give it `permissions`, or hold rolecall_escalate',
      );
  const beyond = new Set<PermissionSlug>();
  const gifts = others.flatMap((item) => giftsIn(facts, item));
  for (const gift of [...gifts, ...reach.flatMap((item) => liftedBy(facts, item))])
    if (!mayGive(gift)) beyond.add(gift.permission);
  if (beyond.size > 0) {
    const named = [...beyond].sort().slice(0, mostNamed).join(', ');
    const more = beyond.size > mostNamed ? ` and ${beyond.size - mostNamed} more` : '';
    throw new RolecallError(
      'exceeds_own_access',
      `this reaches what the caller does not hold as far or as long: ${named}${more}`,
    );
  }
}

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

/** Where the caller may do that. Throws `forbidden` if that is nowhere. */
export function requireSight(
  accessOf: (user: UserId) => CompiledAccess | undefined,
  caller: Principal,
  permission: BuiltinPermission,
): Sight {
  const sight = sightOf(accessOf, caller, slugFor(permission));
  if (sight.scopes.length > 0) return sight;
  throw new RolecallError('forbidden', `this needs the permission ${permission}, in whatever scope`);
}

/** Where `isAllowed` says yes. */
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

function lacks(permission: BuiltinPermission, scope: Scope): RolecallError {
  const place = scope === everywhere ? '' : ` in ${scope} and all below it`;
  return new RolecallError('forbidden', `this needs the permission ${permission}${place}`);
}

function slugFor(permission: BuiltinPermission): PermissionSlug {
  return permission as string as PermissionSlug;
}

function giftsIn(facts: Facts, item: Reach): readonly Gift[] {
  if ('key' in item)
    return item.does === 'make' ? giftsOfNewKey(facts, item.key) : giftsOfKey(facts, item.key);
  if ('user' in item) return giftsOf(facts.catalogue, accessOf(facts, item.user), facts.now);
  const { scope, window } = item;
  const permissions =
    'role' in item ? facts.catalogue.slugsIn(facts.catalogue.permissionsOf(item.role)) : [item.permission];
  return permissions.map((permission) => ({ permission, scope, ...window }));
}

/** All that is on its list, whether its user has it already or not: the key would have it from then on. */
function giftsOfNewKey({ now }: Facts, { narrowedTo, within, until }: KeyReach): readonly Gift[] {
  const window = { startsAt: now, expiresAt: until };
  return [...(narrowedTo ?? [])].map((permission) => ({ permission, scope: within, ...window }));
}

/** What the key's user has, as far as the key reaches. */
function giftsOfKey(facts: Facts, { user, narrowedTo, within }: KeyReach): readonly Gift[] {
  return giftsOf(facts.catalogue, accessOf(facts, user), facts.now)
    .filter(({ permission }) => narrowedTo === null || narrowedTo.has(permission))
    .filter(({ scope }) => covers(scope, within) || covers(within, scope))
    .map((gift) => (covers(gift.scope, within) ? { ...gift, scope: within } : gift));
}

function liftedBy(facts: Facts, item: Reach): readonly Gift[] {
  return 'user' in item && item.lifting ? denialsOf(accessOf(facts, item.user), facts.now) : [];
}

/** What the caller's own user has is no gift to somebody who acts as them without limit already, nor the same key again. */
function isOwn(item: Reach, caller: Principal): boolean {
  if ('user' in item) return item.user === caller.userId && !isLimited(caller);
  if (!('key' in item) || !isSelf(caller, item.key.user)) return false;
  return caller.narrowedTo === null && covers(caller.within, item.key.within);
}

function growsWithItsUser(item: Reach): item is Extract<Reach, { key: KeyReach }> {
  return 'key' in item && item.does === 'make' && item.key.narrowedTo === null;
}

/** Whether a key for the caller's own user would be there when the caller's own credential has ended. */
function outlives(item: Reach, { userId, expiresAt }: Principal): boolean {
  if (!('key' in item) || item.does !== 'make' || item.key.user !== userId || expiresAt === null)
    return false;
  return item.key.until === null || item.key.until > expiresAt;
}
