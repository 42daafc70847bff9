import { refuseTooMany } from '../domain/batch-limits.ts';
import { type ErrorCode, RolecallError } from '../domain/errors.ts';
import { exchanged, sameTerms, type Terms } from '../domain/grants.ts';
import type { RoleKey, Scope, UserId } from '../domain/ids.ts';
import { apiOrigin } from '../domain/origins.ts';
import { millisecondsUntil } from '../storage/deadline.ts';
import { allowMilliseconds } from '../storage/grant-batches.ts';
import type { GrantRow } from '../storage/grants.ts';
import { accessOf } from '../storage/read-models/facts.ts';
import { readSettings } from '../storage/settings.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { type Call, writeContextOf } from './call.ts';
import { type EffectiveChange, effectiveChange } from './decisions/effective-change.ts';
import { changeGrants, type GrantChange, type MadeChange, type Manner } from './grant-changes.ts';
import { grantsWithin, versionOf } from './grants.ts';
import { readPower, requirePower } from './guard.ts';
import { requireUser } from './lookups.ts';

export type { GrantChange };

export type ChangeOutcome =
  | { readonly outcome: MadeChange['outcome'] }
  | { readonly outcome: 'refused'; readonly code: ErrorCode; readonly detail: string };

/** A grant that a user shall have. */
export interface WantedGrant extends Terms {
  readonly role: RoleKey;
  readonly scope: Scope;
}

/** What replacing a user's grants did to them, in the scope at which it was done. */
export interface ReplacedGrants extends EffectiveChange {
  readonly user: UserId;
  /** Those at the scope and below, of every origin. */
  readonly grants: readonly GrantRow[];
  readonly version: string;
}

export interface GrantBatches {
  /**
   * Many changes in one transaction and one revision, each guarded as though it were made alone after those before it.
   * `each` leaves out the refused ones; with one refused, `atomic` throws `batch_refused` and nothing is done. Throws
   * `invalid_input` when two are about the same place, or for more than `grant_batch_limit`.
   */
  apply(
    call: Call,
    mode: 'atomic' | 'each',
    changes: readonly GrantChange[],
  ): Promise<Written<readonly ChangeOutcome[]>>;
  /**
   * Makes a user's grants of origin `api` at the scope and below exactly these. Throws `precondition_failed` if they are
   * not of this version any more, and whatever a single change would.
   */
  replace(
    call: Call,
    user: UserId,
    scope: Scope,
    wanted: readonly WantedGrant[],
    version: string,
  ): Promise<Written<ReplacedGrants>>;
}

export function openGrantBatches(transactions: Transactions): GrantBatches {
  return {
    apply(call, mode, changes) {
      refuseTwice(changes, 'changes');
      return transactions.write(writeContextOf(call), async (handle) => {
        await allowMilliseconds(handle, millisecondsUntil(call.deadline));
        refuseTooMany(changes.length, 'grant_batch_limit', await readSettings(handle));
        const made = await changeAll(handle, call, changes, { floorAtEnd: mode === 'atomic' });
        const outcomes = made.map(told);
        if (mode === 'atomic') refuseIfAny(outcomes);
        return outcomes;
      });
    },

    replace(call, userId, scope, wanted, version) {
      refuseTwice(
        wanted.map((grant) => ({ ...grant, user: userId })),
        'grants',
      );
      return transactions.write(writeContextOf(call), async (handle) => {
        const user = await requireUser(handle, userId);
        const power = await readPower(handle, [call], [userId]);
        requirePower(power, call, 'rolecall_grant_roles', scope, []);
        const standing = await grantsWithin(handle, user.pk, scope);
        if (versionOf(standing) !== version)
          throw new RolecallError('precondition_failed', 'the grants of this user have changed meanwhile');
        const replaceable = standing.filter(({ origin }) => origin === apiOrigin);
        const changes = changesTo(userId, replaceable, wanted);
        const made = await changeAll(handle, call, changes, { floorAtEnd: true });
        const refusal = made.find((one) => one instanceof RolecallError);
        if (refusal) throw refusal;
        const before = accessOf(power, userId);
        const others = replaceable.reduce((grants, one) => exchanged(grants, one, null), before.grants);
        const done = effectiveChange(power, scope, before, { ...before, grants: [...others, ...wanted] });
        const grants = await grantsWithin(handle, user.pk, scope);
        return { user: userId, grants, version: versionOf(grants), ...done };
      });
    },
  };
}

/** All of one caller. Throws `unauthenticated` if their credential does not stand any more. */
async function changeAll(
  handle: WriteHandle,
  call: Call,
  changes: readonly GrantChange[],
  manner: Pick<Manner, 'floorAtEnd'>,
): Promise<readonly (MadeChange | RolecallError)[]> {
  const made = await changeGrants(
    changes.map((change) => ({ call, handle, change })),
    { ...manner, followsUsers: false },
  );
  for (const one of made) if (one instanceof RolecallError && one.code === 'unauthenticated') throw one;
  return made;
}

function told(one: MadeChange | RolecallError): ChangeOutcome {
  if (!(one instanceof RolecallError)) return { outcome: one.outcome };
  return { outcome: 'refused', code: one.code, detail: one.message };
}

function changesTo(
  user: UserId,
  standing: readonly GrantRow[],
  wanted: readonly WantedGrant[],
): readonly GrantChange[] {
  const had = new Map(standing.map((grant) => [placeOf(grant), grant]));
  const places = new Set(wanted.map((grant) => placeOf({ ...grant, user })));
  const given = wanted.filter((grant) => {
    const same = had.get(placeOf({ ...grant, user }));
    return same === undefined || !sameTerms(same, grant);
  });
  const gone = standing.filter((grant) => !places.has(placeOf(grant)));
  return [
    // What is given comes first: taking their own last right to grant away would stop whoever replaces their own set.
    ...given.map(({ role, scope, startsAt, expiresAt, reason }) => {
      return { user, role, scope, terms: { startsAt, expiresAt, reason } };
    }),
    ...gone.map(({ role, scope }) => ({ user, role, scope, terms: null })),
  ];
}

function placeOf({ user, role, scope }: { user: UserId; role: RoleKey; scope: Scope }): string {
  return JSON.stringify([role, scope, user]);
}

function refuseTwice(
  named: readonly { readonly user: UserId; readonly role: RoleKey; readonly scope: Scope }[],
  member: string,
): void {
  const first = new Map<string, number>();
  for (const [index, one] of named.entries()) {
    const earlier = first.get(placeOf(one));
    first.set(placeOf(one), index);
    if (earlier === undefined) continue;
    const detail = `the same user, role and scope as /${member}/${earlier}`;
    const fault = { pointer: `/${member}/${index}`, code: 'invalid_value', detail };
    throw new RolecallError('invalid_input', `${fault.pointer}: ${detail}`, { errors: [fault] });
  }
}

const mostNamed = 100;

function refuseIfAny(outcomes: readonly ChangeOutcome[]): void {
  const faults = outcomes.flatMap((outcome, index) =>
    outcome.outcome === 'refused'
      ? [{ pointer: `/changes/${index}`, code: outcome.code, detail: outcome.detail }]
      : [],
  );
  const [first] = faults;
  if (!first) return;
  const share = `${faults.length} of ${outcomes.length} rows were refused and nothing was changed`;
  throw new RolecallError('batch_refused', `${share}; ${first.pointer}: ${first.detail}`, {
    errors: faults.slice(0, mostNamed),
  });
}
