import { setImmediate as breathe } from 'node:timers/promises';
import type { UserAccess } from '../domain/decision/user-access.ts';
import { RolecallError } from '../domain/errors.ts';
import { exchanged, sameTerms, type Terms } from '../domain/grants.ts';
import type { Instant, RoleKey, Scope, UserId } from '../domain/ids.ts';
import { administratorRole, builtinSlugs } from '../domain/matrix/builtin.ts';
import { apiOrigin } from '../domain/origins.ts';
import { usersBehind } from '../domain/principals.ts';
import { everywhere } from '../domain/scopes.ts';
import { administrators } from '../storage/administrators.ts';
import {
  type BatchPlace,
  deleteGrants,
  findPlaces,
  type GivenGrant,
  putGrants,
} from '../storage/grant-batches.ts';
import { type GrantPlace, grantsOfUser } from '../storage/grants.ts';
import { accessOf, type Facts } from '../storage/read-models/facts.ts';
import type { WriteHandle } from '../storage/transaction.ts';
import { AdministratorFloor, noAdministrator } from './administrator-floor.ts';
import { type Call, granterOf } from './call.ts';
import { recordGrant, recordRemoval } from './grant-record.ts';
import { readPower, requirePower } from './guard.ts';
import { requireRole, unknownUser } from './lookups.ts';

/** One grant to give, or with null to take back, at exactly this place. */
export interface GrantChange {
  readonly user: UserId;
  readonly role: RoleKey;
  readonly scope: Scope;
  readonly terms: Terms | null;
}

/** A change, who wants it, and where it is noted. */
export interface AskedChange {
  readonly call: Call;
  readonly handle: WriteHandle;
  readonly change: GrantChange;
}

/** A change that was made, or for which nothing was to be done. */
export interface MadeChange {
  readonly outcome: 'created' | 'changed' | 'removed' | 'unchanged';
  readonly place: KnownPlace;
  readonly facts: Facts;
  /** What the user had before it and after it, where that is followed. */
  readonly access: { readonly before: UserAccess; readonly after: UserAccess } | null;
}

/** A place whose user and role exist. */
type KnownPlace = BatchPlace & Pick<GrantPlace, 'userPk' | 'rolePk'>;

/** How many changes are made. */
export interface Manner {
  /** Whether that somebody remains administrator is asked of all together, and not of each. */
  readonly floorAtEnd: boolean;
  /** Whether it is told what each user had before and after: for few, since it grows with what they have. */
  readonly followsUsers: boolean;
}

/** The event loop is not held for longer by the judging of rows, milliseconds. */
const longestBreath = 15;

/**
 * Makes many changes of grants in one transaction, no two of them of the same place, as though they were made one after
 * the other: each is guarded by what its caller still holds after those before it, and refused without hindering the
 * others. Resolves to what was made or the refusal of each, in their order. Throws `last_administrator` if nobody is
 * left in the end.
 */
export async function changeGrants(
  asked: readonly AskedChange[],
  { floorAtEnd, followsUsers }: Manner,
): Promise<readonly (MadeChange | RolecallError)[]> {
  const [first] = asked;
  if (!first) return [];
  const { handle } = first;
  const changes = asked.map(({ change }) => change);
  const calls = [...new Set(asked.map(({ call }) => call))];
  const [places, facts, seated] = await Promise.all([
    findPlaces(handle, changes),
    readPower(handle, calls, [...new Set(changes.map(({ user }) => user))]),
    changes.some(({ role }) => role === administratorRole)
      ? administrators(handle, administratorRole, builtinSlugs)
      : [],
  ]);
  const users = new Map(facts.users);
  const power = { ...facts, users };
  const floor = new AdministratorFloor(seated, facts);
  const guarding = new Set(
    calls.flatMap(({ caller }) => (caller.kind === 'user' ? usersBehind(caller) : [])),
  );
  let verdicts = new Map<Call['caller'], Map<string, RolecallError | null>>();

  /** Judged once for all changes by a credential that are about the same role, scope and time. */
  function refusalOf({ call, change }: AskedChange, { grant }: BatchPlace): RolecallError | null {
    const windows = [grant, change.terms].filter((terms) => terms !== null);
    const times = windows.map(({ startsAt, expiresAt }) => [startsAt, expiresAt]);
    const key = JSON.stringify([change.role, change.scope, times]);
    const known = verdicts.get(call.caller) ?? new Map<string, RolecallError | null>();
    verdicts.set(call.caller, known);
    const told = known.get(key);
    if (told !== undefined) return told;
    const reach = windows.map((window) => ({ role: change.role, scope: change.scope, window }));
    const verdict = refusalBy(() => requirePower(power, call, 'rolecall_grant_roles', change.scope, reach));
    known.set(key, verdict);
    return verdict;
  }

  function judge(one: AskedChange, place: BatchPlace): MadeChange | RolecallError {
    const { call, change } = one;
    const verdict = refusalOf(one, place);
    // Who may not grant there at all is not told who and what exists.
    const mayNotAsk = verdict?.code === 'forbidden' || verdict?.code === 'unauthenticated';
    const refusal = mayNotAsk ? verdict : (nobodyOrNothing(change, place) ?? verdict);
    if (refusal) return refusal;
    const { grant } = place;
    const { user, role, scope, terms } = change;
    const found = { place: place as KnownPlace, facts };
    const before = accessOf(power, user);
    if (grant === null ? terms === null : terms !== null && sameTerms(grant, terms))
      return { outcome: 'unchanged', ...found, access: followsUsers ? { before, after: before } : null };
    const undo = floor.note(change, grant);
    if (floor.isBroken && role === administratorRole && call.caller.kind === 'user' && !floorAtEnd) {
      undo();
      return noAdministrator();
    }
    let access: MadeChange['access'] = null;
    if (followsUsers || guarding.has(user)) {
      const put = terms && { role, scope, startsAt: terms.startsAt, expiresAt: terms.expiresAt };
      const after = { ...before, grants: exchanged(before.grants, grant, put) };
      users.set(user, after);
      if (guarding.has(user)) verdicts = new Map();
      if (followsUsers) access = { before, after };
    }
    const outcome = terms === null ? 'removed' : grant ? 'changed' : 'created';
    return { outcome, ...found, access };
  }

  const made: (MadeChange | RolecallError)[] = [];
  let breath = performance.now();
  for (const [index, one] of asked.entries()) {
    made.push(judge(one, places[index] as BatchPlace));
    if (performance.now() - breath < longestBreath) continue;
    await breathe();
    breath = performance.now();
  }
  if (floor.isBroken && calls.some(({ caller }) => caller.kind === 'user')) throw noAdministrator();
  write(handle, asked, made, facts.now);
  return made;
}

function write(
  handle: WriteHandle,
  asked: readonly AskedChange[],
  made: readonly (MadeChange | RolecallError)[],
  now: Instant,
): void {
  const given: GivenGrant[] = [];
  const taken: number[] = [];
  for (const [index, { call, handle: own, change }] of asked.entries()) {
    const one = made[index];
    if (!one || one instanceof RolecallError || one.outcome === 'unchanged') continue;
    const { userPk, rolePk, grant } = one.place;
    const { user: _, terms, ...place } = change;
    if (terms) {
      given.push({
        userPk,
        rolePk,
        scope: place.scope,
        ...terms,
        grantedBy: granterOf(call),
        grantedAt: now,
      });
      recordGrant(own, { userPk, rolePk }, grant, { ...terms, ...place });
    } else if (grant) {
      taken.push(grant.pk);
      recordRemoval(own, userPk, grant);
    }
  }
  if (taken.length > 0) deleteGrants(handle, taken);
  if (given.length > 0) putGrants(handle, given);
}

/** For the operator: gives somebody a role everywhere and for good, unless they have it so. Throws `unknown_role`. */
export async function giveForGood(
  handle: WriteHandle,
  call: Call,
  { id, pk }: { readonly id: UserId; readonly pk: number },
  roleKey: RoleKey,
  reason: string | null,
): Promise<void> {
  const role = await requireRole(handle, roleKey);
  const standing = (await grantsOfUser(handle, pk)).find(
    ({ rolePk, scope, origin }) => rolePk === role.pk && scope === everywhere && origin === apiOrigin,
  );
  if (standing && standing.startsAt === null && standing.expiresAt === null) return;
  const terms = { startsAt: null, expiresAt: null, reason };
  const change = { user: id, role: roleKey, scope: everywhere, terms };
  const manner = { floorAtEnd: false, followsUsers: false };
  for (const one of await changeGrants([{ call, handle, change }], manner))
    if (one instanceof RolecallError) throw one;
}

function nobodyOrNothing({ role }: GrantChange, { userPk, rolePk }: BatchPlace): RolecallError | null {
  if (userPk === null) return unknownUser();
  return rolePk === null ? new RolecallError('unknown_role', `there is no role "${role}"`) : null;
}

/** What the guard refuses this for. */
function refusalBy(judge: () => void): RolecallError | null {
  try {
    judge();
    return null;
  } catch (error) {
    if (error instanceof RolecallError) return error;
    throw error;
  }
}
