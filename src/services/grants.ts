import { createHash } from 'node:crypto';
import { RolecallError } from '../domain/errors.ts';
import type { Terms } from '../domain/grants.ts';
import type { RoleKey, Scope, UserId } from '../domain/ids.ts';
import { apiOrigin } from '../domain/origins.ts';
import { covers, scopesCovering } from '../domain/scopes.ts';
import { sees } from '../domain/sight.ts';
import type { ReadHandle } from '../storage/database.ts';
import { type GrantRow, grantsOfRole, grantsOfUser, type HolderPosition } from '../storage/grants.ts';
import type { Cursors, Page, PageRequest } from '../storage/pagination.ts';
import type { Transactions, Written } from '../storage/transaction.ts';
import { type Asked, openWriteSeries } from '../storage/write-series.ts';
import { type Call, granterNameOf, writeContextOf } from './call.ts';
import { type EffectiveChange, effectiveChange } from './decisions/effective-change.ts';
import { type AskedChange, changeGrants, type MadeChange } from './grant-changes.ts';
import { requireRole, requireUser, unknownRole } from './lookups.ts';

export type { GrantRow };

/** What a change of one grant did to its user, in the grant's scope. */
export interface GrantOutcome extends EffectiveChange {
  readonly user: UserId;
  readonly created: boolean;
  readonly grant: Omit<GrantRow, 'pk'> | null;
}

export interface Grants {
  /** Gives the role at the scope, or gives the grant that is there new terms. */
  put(call: Call, user: UserId, role: RoleKey, scope: Scope, terms: Terms): Promise<Written<GrantOutcome>>;
  /** Takes back the role that was given through the API at exactly this scope; nothing to take back changes nothing. */
  remove(call: Call, user: UserId, role: RoleKey, scope: Scope): Promise<Written<GrantOutcome>>;
  /**
   * Every grant of the user at the scope and below that is in sight, those out of force too, and the version that
   * replacing all of those there needs.
   */
  ofUser(
    call: Call,
    user: UserId,
    scope: Scope,
  ): Promise<{ readonly grants: readonly GrantRow[]; readonly version: string }>;
  /** Every grant in sight of the role itself, those out of force too: in any scope, or those that reach into one. */
  ofRole(call: Call, role: RoleKey, scope: Scope | null, page: PageRequest): Promise<Page<GrantRow>>;
}

export function openGrants(transactions: Transactions, cursors: Cursors): Grants {
  const change = openWriteSeries(transactions, changeTogether, ({ change: { user, role, scope } }: Ask) =>
    JSON.stringify([role, scope, user]),
  );
  return {
    put: (call, user, role, scope, terms) =>
      change(writeContextOf(call), { call, change: { user, role, scope, terms } }),

    remove: (call, user, role, scope) =>
      change(writeContextOf(call), { call, change: { user, role, scope, terms: null } }),

    ofUser: (call, userId, scope) =>
      transactions.read(call.deadline, async (handle) => {
        const { pk } = await requireUser(handle, userId);
        const standing = await grantsWithin(handle, pk, scope);
        const grants = standing.filter((grant) => sees(call.sight, grant.scope));
        return { grants, version: versionOf(grants) };
      }),

    ofRole: (call, roleKey, scope, page) =>
      transactions.read(call.deadline, async (handle) => {
        const role = await requireRole(handle, roleKey);
        const list = scope === null ? `grants of ${roleKey}` : `grants of ${roleKey} in ${scope}`;
        const after = cursors.positionOf(list, page);
        const position = after === null ? null : (JSON.parse(after) as HolderPosition);
        const scopes = scope === null ? null : scopesCovering(scope);
        const rows = await grantsOfRole(handle, role.pk, call.sight, scopes, position, page.limit);
        return cursors.pageOf(list, page, rows, (row) => JSON.stringify([row.user, row.scope, row.origin]));
      }),
  };
}

type Ask = Omit<AskedChange, 'handle'>;

async function changeTogether(
  asked: readonly Asked<Ask>[],
): Promise<readonly (GrantOutcome | RolecallError)[]> {
  const changes = asked.map(({ ask, handle }) => ({ ...ask, handle }));
  const made = await changeGrants(changes, { floorAtEnd: false, followsUsers: true });
  const outcomes: (GrantOutcome | RolecallError)[] = [];
  for (const [place, one] of made.entries()) {
    const { ask, handle } = asked[place] as Asked<Ask>;
    if (!(one instanceof RolecallError)) outcomes.push(outcomeOf(one, ask));
    else outcomes.push(one.code === 'unknown_role' ? await unknownRole(handle, ask.change.role) : one);
  }
  return outcomes;
}

function outcomeOf({ outcome, place, facts, access }: MadeChange, { call, change }: Ask): GrantOutcome {
  const { user, role, scope, terms } = change;
  const { userPk, rolePk, grant: existing } = place;
  const given = { origin: apiOrigin, grantedBy: granterNameOf(call), grantedAt: facts.now };
  const stands = outcome === 'unchanged' && existing ? existing : given;
  const { before, after } = access as NonNullable<MadeChange['access']>;
  return {
    user,
    created: outcome === 'created',
    grant: terms && { userPk, user, rolePk, role, scope, ...terms, ...stands },
    ...effectiveChange(facts, scope, before, after),
  };
}

/** A user's grants at the scope and below, of every origin. */
export async function grantsWithin(
  handle: ReadHandle,
  userPk: number,
  scope: Scope,
): Promise<readonly GrantRow[]> {
  return (await grantsOfUser(handle, userPk)).filter((grant) => covers(scope, grant.scope));
}

/** Names a state of a user's grants at a scope and below, as `replace` wants it back: another state has another name. */
export function versionOf(grants: readonly GrantRow[]): string {
  const told = grants
    .filter(({ origin }) => origin === apiOrigin)
    .map(({ pk, startsAt, expiresAt, reason }) => [pk, startsAt, expiresAt, reason]);
  return createHash('sha256').update(JSON.stringify(told)).digest('base64url').slice(0, 22);
}
