import { setImmediate as breathe } from 'node:timers/promises';
import type { UserAccess } from '../domain/decision/user-access.ts';
import { type ErrorCode, RolecallError } from '../domain/errors.ts';
import { endOf, exchanged, sameTerms, startOf, type Terms } from '../domain/grants.ts';
import type { RoleKey, Scope, UserId } from '../domain/ids.ts';
import { administratorRole, builtinSlugs } from '../domain/matrix/builtin.ts';
import { everywhere } from '../domain/scopes.ts';
import { administrators } from '../storage/administrators.ts';
import { type BatchPlace, deleteGrants, findPlaces, putGrants } from '../storage/grant-batches.ts';
import type { Facts } from '../storage/read-models/facts.ts';
import type { WriteHandle } from '../storage/transaction.ts';
import { type Call, granterOf } from './call.ts';
import { recordGrant, recordRemoval } from './grants.ts';
import { noAdministrator, readPower, requirePower } from './guard.ts';
import { unknownUser } from './lookups.ts';

/** One grant to give, or with null to take back, at exactly this place. */
export interface GrantChange {
  readonly user: UserId;
  readonly role: RoleKey;
  readonly scope: Scope;
  readonly terms: Terms | null;
}

export type ChangeOutcome =
  | { readonly outcome: 'created' | 'changed' | 'removed' | 'unchanged' }
  | { readonly outcome: 'refused'; readonly code: ErrorCode; readonly detail: string };

/** The event loop is not held for longer by the judging of rows, milliseconds. */
const longestBreath = 15;

/**
 * Makes many changes of grants, no two of them of the same place, as though they were made one after the other: each is
 * guarded by what the caller still holds after those before it, and refused without hindering the others. That somebody
 * remains administrator is asked of each, or with `floorAtEnd` of all together. Resolves to one outcome for each change, in
 * their order. Throws `unauthenticated`, and `last_administrator` at the end.
 */
export async function changeGrants(
  handle: WriteHandle,
  call: Call,
  changes: readonly GrantChange[],
  { floorAtEnd }: { readonly floorAtEnd: boolean },
): Promise<readonly ChangeOutcome[]> {
  const [places, facts, seated] = await Promise.all([
    findPlaces(handle, changes),
    readPower(handle, call, [...new Set(changes.map(({ user }) => user))]),
    administrators(handle, administratorRole, builtinSlugs),
  ]);
  const users = new Map(facts.users);
  const floor = new Floor(seated, facts);
  const isGuarded = call.caller.kind === 'user';
  let verdicts = new Map<string, RolecallError | null>();

  /** Judged once for all rows that are about the same role, scope and time. */
  function refusalOf(change: GrantChange, { grant }: BatchPlace): RolecallError | null {
    const windows = [grant, change.terms].filter((terms) => terms !== null);
    const asked = windows.map(({ startsAt, expiresAt }) => [startsAt, expiresAt]);
    const key = JSON.stringify([change.role, change.scope, asked]);
    const known = verdicts.get(key);
    if (known !== undefined) return known;
    const reach = windows.map((window) => ({ role: change.role, scope: change.scope, window }));
    const verdict = refusalBy(() =>
      requirePower({ ...facts, users }, call, 'rolecall_grant_roles', change.scope, reach),
    );
    verdicts.set(key, verdict);
    return verdict;
  }

  function judge(change: GrantChange, place: BatchPlace): ChangeOutcome {
    const verdict = refusalOf(change, place);
    // Who may not grant there at all is not told who and what exists.
    const refusal = verdict?.code === 'forbidden' ? verdict : (nobodyOrNothing(change, place) ?? verdict);
    if (refusal) return refused(refusal);
    const { grant } = place;
    const { user, role, scope, terms } = change;
    if (grant === null ? terms === null : terms !== null && sameTerms(grant, terms))
      return { outcome: 'unchanged' };
    const undo = floor.note(change, place);
    if (floor.isBroken && isGuarded && !floorAtEnd) {
      undo();
      return refused(noAdministrator());
    }
    if (call.caller.kind === 'user' && call.caller.userId === user) {
      const put = terms && { role, scope, startsAt: terms.startsAt, expiresAt: terms.expiresAt };
      const access = users.get(user) ?? nobody;
      users.set(user, { ...access, grants: exchanged(access.grants, grant, put) });
      verdicts = new Map();
    }
    if (terms === null) return { outcome: 'removed' };
    return { outcome: grant ? 'changed' : 'created' };
  }

  const outcomes: ChangeOutcome[] = [];
  let breath = performance.now();
  for (const [index, change] of changes.entries()) {
    outcomes.push(judge(change, places[index] as BatchPlace));
    if (performance.now() - breath < longestBreath) continue;
    await breathe();
    breath = performance.now();
  }
  if (floor.isBroken && isGuarded) throw noAdministrator();
  await make(handle, call, changes, places, outcomes);
  return outcomes;
}

async function make(
  handle: WriteHandle,
  call: Call,
  changes: readonly GrantChange[],
  places: readonly BatchPlace[],
  outcomes: readonly ChangeOutcome[],
): Promise<void> {
  const given: (Parameters<typeof putGrants>[1][number] & Terms)[] = [];
  const taken: number[] = [];
  for (const [index, { user: _, terms, ...place }] of changes.entries()) {
    const { userPk, rolePk, grant } = places[index] as BatchPlace;
    const { outcome = 'refused' } = outcomes[index] ?? {};
    if (outcome === 'refused' || outcome === 'unchanged' || userPk === null || rolePk === null) continue;
    if (terms) {
      given.push({ userPk, rolePk, scope: place.scope, ...terms });
      recordGrant(handle, { userPk, rolePk }, grant, { ...terms, ...place });
    } else if (grant) {
      taken.push(grant.pk);
      recordRemoval(handle, userPk, grant);
    }
  }
  if (taken.length > 0) await deleteGrants(handle, taken);
  if (given.length > 0) await putGrants(handle, given, granterOf(call));
}

/** Who remains administrator, as changes of grants are made. */
class Floor {
  readonly #seated: Set<UserId>;
  readonly #facts: Facts;
  #touched = false;

  constructor(seated: readonly UserId[], facts: Facts) {
    this.#seated = new Set(seated);
    this.#facts = facts;
  }

  /** Whether a grant of the role that stood was altered and nobody is left. */
  get isBroken(): boolean {
    return this.#touched && this.#seated.size === 0;
  }

  /** Notes a change; what it returns forgets it again. */
  note({ user, role, scope, terms }: GrantChange, { grant }: BatchPlace): () => void {
    if (role !== administratorRole) return () => {};
    const [wasTouched, wasSeated] = [this.#touched, this.#seated.has(user)];
    this.#touched ||= grant !== null;
    if (scope === everywhere) this.#seat(user, terms !== null && this.#isSeat(user, terms));
    return () => {
      this.#touched = wasTouched;
      this.#seat(user, wasSeated);
    };
  }

  #seat(user: UserId, sits: boolean): void {
    if (sits) this.#seated.add(user);
    else this.#seated.delete(user);
  }

  #isSeat(user: UserId, terms: Terms): boolean {
    const { now, users } = this.#facts;
    const { active, exceptions } = users.get(user) ?? nobody;
    const isDenied = exceptions.some(
      ({ effect, permission, ...window }) =>
        effect === 'deny' && builtinSlugs.includes(permission) && endOf(window) > now,
    );
    return active && !isDenied && terms.expiresAt === null && startOf(terms) <= now;
  }
}

const nobody: UserAccess = { active: false, grants: [], exceptions: [] };

function nobodyOrNothing({ role }: GrantChange, { userPk, rolePk }: BatchPlace): RolecallError | null {
  if (userPk === null) return unknownUser();
  return rolePk === null ? new RolecallError('unknown_role', `there is no role "${role}"`) : null;
}

/** What the guard refuses this for; a credential that does not stand any more refuses everything. */
function refusalBy(judge: () => void): RolecallError | null {
  try {
    judge();
    return null;
  } catch (error) {
    if (error instanceof RolecallError && error.code !== 'unauthenticated') return error;
    throw error;
  }
}

function refused({ code, message }: RolecallError): ChangeOutcome {
  return { outcome: 'refused', code, detail: message };
}
