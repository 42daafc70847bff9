import { RolecallError } from '../domain/errors.ts';
import type { Window } from '../domain/grants.ts';
import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../domain/ids.ts';
import type { BuiltinPermission } from '../domain/matrix/builtin.ts';
import { denialsOf, type Gift, giftsOf, holdsWholly, type Power } from '../domain/power.ts';
import { isLimited, isSelf, type Principal, usersBehind } from '../domain/principals.ts';
import { covers, everywhere } from '../domain/scopes.ts';
import { accessOf, type Facts, type FactsOfCallers, loadFacts } from '../storage/read-models/facts.ts';
import type { WriteHandle } from '../storage/transaction.ts';
import type { Call } from './call.ts';
import { actFor, lacks, slugFor } from './caller-rights.ts';
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
      /** Whether somebody is let in as the user from then on, for good, as by an identity that is linked. */
      readonly entry?: boolean;
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
const mostNamed = 10;
/** When what has no end ends. */
const never = Number.POSITIVE_INFINITY;

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
  const until = endOfStay(facts, caller);
  if (until <= facts.now) throw notValid(caller);
  const { narrowedTo, within, through } = caller;
  const powerOf = (user: UserId): Power => ({ access: accessOf(facts, user), narrowedTo, within });
  const powers = usersBehind(caller).map(powerOf);
  const holds = (power: Power, gift: Gift) => holdsWholly(facts.catalogue, power, gift, facts.now);
  const now = { startsAt: facts.now, expiresAt: facts.now + 1 };
  const needed = { permission: slugFor(permission), scope, ...now };
  if (!powers.every((power) => holds(power, needed))) throw lacks(permission, scope);
  if (through !== null && !holds(powerOf(through.userId), { permission: slugFor(actFor), scope, ...now }))
    throw lacks(actFor, scope);
  if (reach.some((item) => usersBehind(caller).some((user) => entryFor(item, user) > until)))
    throw new RolecallError(
      'exceeds_own_access',
      'nobody lets anybody in as themselves for longer than they are let in: what they came with ends',
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

/**
 * Whether a change gives only what the caller has already: all that their own user has, if their credential
 * is not limited; or a key for themselves, if their credential has no list and works wherever that key does.
 */
function isOwn(item: Reach, caller: Principal): boolean {
  if ('user' in item) return item.user === caller.userId && !isLimited(caller);
  if (!('key' in item) || !isSelf(caller, item.key.user)) return false;
  return caller.narrowedTo === null && covers(caller.within, item.key.within);
}

function growsWithItsUser(item: Reach): item is Extract<Reach, { key: KeyReach }> {
  return 'key' in item && item.does === 'make' && item.key.narrowedTo === null;
}

/**
 * When the caller is let in no more, as of the write: a key may have been told to end since they came, and whoever is
 * behind them may be another by now who was given the same id.
 */
function endOfStay({ standing, userPks }: FactsOfCallers, caller: Principal): Instant {
  const { credentialPk, expiresAt, userId, userPk, through } = caller;
  const endsAt = standing.get(credentialPk);
  const isThere = [{ userId, userPk }, ...(through ? [through] : [])].every(
    (behind) => userPks.get(behind.userId) === behind.userPk,
  );
  if (endsAt === undefined || !isThere) return -never;
  return Math.min(expiresAt ?? never, endsAt ?? never);
}

/** Until when a change lets somebody in as this user; minus infinity if it lets nobody in. */
function entryFor(item: Reach, user: UserId): Instant {
  if ('key' in item)
    return item.does === 'make' && item.key.user === user ? (item.key.until ?? never) : -never;
  return 'user' in item && item.entry && item.user === user ? never : -never;
}
