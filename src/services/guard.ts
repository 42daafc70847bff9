import type { Catalogue } from '../domain/decision/catalogue.ts';
import { decide } from '../domain/decision/decide.ts';
import { scopesOf } from '../domain/decision/effective-access.ts';
import type { CompiledAccess, UserAccess } from '../domain/decision/user-access.ts';
import { RolecallError } from '../domain/errors.ts';
import { endOf, type Window } from '../domain/grants.ts';
import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../domain/ids.ts';
import { administratorRole, type BuiltinPermission, builtinSlugs } from '../domain/matrix/builtin.ts';
import { denialsOf, type Gift, giftsOf, holdsWholly, type Power } from '../domain/power.ts';
import type { Principal } from '../domain/principals.ts';
import { everywhere } from '../domain/scopes.ts';
import { type Sight, seesNothing } from '../domain/sight.ts';
import { administratorRemains } from '../storage/administrators.ts';
import { credentialStands } from '../storage/api-keys.ts';
import { type Facts, loadFacts } from '../storage/read-models/facts.ts';
import type { WriteHandle } from '../storage/transaction.ts';
import type { Call } from './call.ts';
import { notValid } from './refusals.ts';

/** What a change would give to or take from anybody. */
export type Reach =
  | { readonly role: RoleKey; readonly scope: Scope; readonly window: Window }
  | { readonly permission: PermissionSlug; readonly scope: Scope; readonly window: Window }
  /** All that a user has, or what of it a key would be narrowed to, until the key ends. */
  | {
      readonly user: UserId;
      readonly narrowedTo?: ReadonlySet<PermissionSlug> | null;
      readonly until?: Instant | null;
      /** Whether what the user is denied is forgotten too, as when they are deleted: they could be made anew. */
      readonly lifting?: boolean;
    };

/** A change that counts everywhere and for ever, as everything that changes a role does. */
export const forGood = { scope: everywhere, window: { startsAt: null, expiresAt: null } } as const;

const escalate: BuiltinPermission = 'rolecall_escalate';
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
  const users = reach.flatMap((item) => ('user' in item ? [item.user] : []));
  requirePower(await readPower(handle, call, users), call, permission, scope, reach);
}

/** What the guard judges by, as of the write. */
export interface PowerFacts {
  readonly facts: Facts;
  readonly credentialStands: boolean;
}

/** Reads it for the caller and for the users that the change is about. */
export async function readPower(
  handle: WriteHandle,
  { caller }: Call,
  users: readonly UserId[],
): Promise<PowerFacts> {
  const isUser = caller.kind === 'user';
  const concerned = isUser ? [caller.userId, ...users] : users;
  const [facts, stands] = await Promise.all([
    loadFacts(handle, handle.catalogueAt, concerned),
    isUser ? credentialStands(handle.sql, caller.credentialPk) : true,
  ]);
  return { facts, credentialStands: stands };
}

/** The judgement of `guardChange`, for changes that read what they need all at once. */
export function requirePower(
  { facts, credentialStands: stands }: PowerFacts,
  { caller }: Call,
  permission: BuiltinPermission,
  scope: Scope,
  reach: readonly Reach[],
): void {
  if (caller.kind === 'operator') return;
  const isOver = caller.expiresAt !== null && caller.expiresAt <= facts.now;
  if (!stands || isOver) throw notValid(caller);
  const power: Power = { access: accessOf(facts, caller.userId), narrowedTo: caller.narrowedTo };
  const reaches = (gift: Gift) => holdsWholly(facts.catalogue, power, gift, facts.now);
  const now = { startsAt: facts.now, expiresAt: facts.now + 1 };
  if (!reaches({ permission: slugFor(permission), scope, ...now })) throw lacks(permission, scope);
  if (reach.some((item) => outlives(item, caller)))
    throw new RolecallError(
      'exceeds_own_access',
      'a key for oneself ends no later than the key that makes it',
    );
  const beyond = new Set<PermissionSlug>();
  const gifts = reach.filter((item) => !isOwn(item, caller)).flatMap((item) => giftsIn(facts, item));
  for (const gift of [...gifts, ...reach.flatMap((item) => liftedBy(facts, item))])
    if (!reaches(gift) && !reaches({ permission: slugFor(escalate), scope: gift.scope, ...now }))
      beyond.add(gift.permission);
  if (beyond.size > 0) {
    const named = [...beyond].sort().slice(0, mostNamed).join(', ');
    const more = beyond.size > mostNamed ? ` and ${beyond.size - mostNamed} more` : '';
    throw new RolecallError(
      'exceeds_own_access',
      `this reaches what the caller does not hold as far or as long: ${named}${more}`,
    );
  }
}

/** Throws `forbidden` unless the caller's user, through the caller's credential, has the permission in the scope. */
export function requirePermissionOf(
  catalogue: Catalogue,
  access: CompiledAccess | undefined,
  { narrowedTo }: Principal,
  permission: BuiltinPermission,
  scope: Scope,
): void {
  const slug = slugFor(permission);
  const isNarrowedAway = narrowedTo !== null && !narrowedTo.has(slug);
  if (isNarrowedAway || !decide(catalogue, access, slug, scope).allowed) throw lacks(permission, scope);
}

/** Where the caller's user, through the caller's credential, has the permission. */
export function sightFor(
  access: CompiledAccess | undefined,
  { narrowedTo }: Principal,
  permission: BuiltinPermission,
): Sight {
  const slug = slugFor(permission);
  const isNarrowedAway = narrowedTo !== null && !narrowedTo.has(slug);
  return access === undefined || isNarrowedAway ? seesNothing : scopesOf(access, slug);
}

/** The same; throws `forbidden` if that is nowhere. */
export function requireSight(
  access: CompiledAccess | undefined,
  caller: Principal,
  permission: BuiltinPermission,
): Sight {
  const sight = sightFor(access, caller, permission);
  if (sight.scopes.length > 0) return sight;
  throw new RolecallError('forbidden', `this needs the permission ${permission}, in whatever scope`);
}

function lacks(permission: BuiltinPermission, scope: Scope): RolecallError {
  const place = scope === everywhere ? '' : ` in ${scope} and all below it`;
  return new RolecallError('forbidden', `this needs the permission ${permission}${place}`);
}

function slugFor(permission: BuiltinPermission): PermissionSlug {
  return permission as string as PermissionSlug;
}

/** Throws `last_administrator` if the write, as it stands in its transaction, leaves nobody to repair anything. */
export async function requireAdministrator(handle: WriteHandle, call: Call): Promise<void> {
  if (call.caller.kind === 'operator') return;
  if (!(await administratorRemains(handle, administratorRole, builtinSlugs))) throw noAdministrator();
}

export function noAdministrator(): RolecallError {
  return new RolecallError(
    'last_administrator',
    'somebody active must keep the role admin everywhere, without an end and without a denied rolecall permission',
  );
}

function giftsIn(facts: Facts, item: Reach): readonly Gift[] {
  if ('user' in item) {
    const gifts = giftsOf(facts.catalogue, accessOf(facts, item.user), facts.now);
    const { narrowedTo = null, until = null } = item;
    return gifts
      .filter((gift) => narrowedTo === null || narrowedTo.has(gift.permission))
      .map((gift) => (until !== null && until < endOf(gift) ? { ...gift, expiresAt: until } : gift));
  }
  const { scope, window } = item;
  const permissions =
    'role' in item ? facts.catalogue.slugsIn(facts.catalogue.permissionsOf(item.role)) : [item.permission];
  return permissions.map((permission) => ({ permission, scope, ...window }));
}

function liftedBy(facts: Facts, item: Reach): readonly Gift[] {
  return 'user' in item && item.lifting ? denialsOf(accessOf(facts, item.user), facts.now) : [];
}

/** What the caller's own user has is no gift to somebody who acts as them without limit already. */
function isOwn(item: Reach, { userId, narrowedTo }: Principal): boolean {
  return 'user' in item && item.user === userId && narrowedTo === null;
}

/** Whether a key for the caller's own user would be there when the caller's own credential has ended. */
function outlives(item: Reach, { userId, expiresAt }: Principal): boolean {
  if (!('user' in item) || item.until === undefined || item.user !== userId || expiresAt === null)
    return false;
  return item.until === null || item.until > expiresAt;
}

const noAccess: UserAccess = { active: false, grants: [], exceptions: [] };

function accessOf(facts: Facts, user: UserId): UserAccess {
  return facts.users.get(user) ?? noAccess;
}
